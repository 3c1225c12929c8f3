//! Mapping handles: what a domain has mapped of others, by number.
//!
//! A handle is an index into an array that grows 256 handles at a time. Each slot is one state word, changed by
//! compare-and-swap, and the mapped frame. The word holds the mapping and, per part (host, device), whether it exists or
//! is being taken down; a part is taken down by whoever moved its bit from `MAPPED` to `LEAVING`, and the slot is free
//! when all four bits are clear.
//!
//! Free slots wait in queues, one per vCPU (up to 16) so that vCPUs do not contend, each under a lock of its own (level
//! `MapTrack`). They are queues and not stacks so that a number comes back as late as possible, and in the order in which
//! guests see them come back on Xen. An empty queue makes the array grow (serialised by a lock of level `GrantTable`); at
//! the limit it takes from the others.

use alloc::vec::Vec;

use abi::{DomainId, GrantHandle, GrantRef, Mfn, VcpuId, grant_table::MapFlags};
use locks::{Level, Lock};

use crate::{
    growing::{Growing, try_collect},
    host::{Access, OutOfMemory, TableMemory},
    sync::{AtomicU32, AtomicU64, Ordering},
};

/// Handles in a page of 16-byte slots; few under loom.
pub const HANDLES_PER_FRAME: u32 = if cfg!(loom) { 2 } else { 256 };
/// More lists than this do not pay.
const MAX_LISTS: u32 = 16;
/// End of a free list.
const NONE: u32 = u32::MAX;

/// The two kinds of mapping one handle can stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parts(u64);

impl Parts {
    /// Neither.
    pub const NONE: Parts = Parts(0);
    /// The one of the CPU.
    pub const HOST: Parts = Parts(MapFlags::HOST_MAP.0 as u64);
    /// The one of devices.
    pub const DEVICE: Parts = Parts(MapFlags::DEVICE_MAP.0 as u64);
    /// Both.
    pub const BOTH: Parts = Parts(Parts::HOST.0 | Parts::DEVICE.0);

    /// Union.
    pub const fn with(self, other: Parts) -> Parts {
        Parts(self.0 | other.0)
    }

    /// Whether all of `parts` are in.
    pub const fn contains(self, parts: Parts) -> bool {
        self.0 & parts.0 == parts.0
    }

    /// Whether nothing is in.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

// State word: 0-1 parts mapped, 2-4 flags of the map operation, 5-6 parts leaving, 8-23 domid, 32-63 reference, or next
// free slot.
const LEAVING_SHIFT: u32 = 5;
const KEPT_FLAGS: u64 = (MapFlags::READONLY.0 | MapFlags::APPLICATION_MAP.0 | MapFlags::CONTAINS_PTE.0) as u64;
const IN_USE: u64 = Parts::BOTH.0 | Parts::BOTH.0 << LEAVING_SHIFT;
const DOMAIN_SHIFT: u32 = 8;
const HIGH_SHIFT: u32 = 32;

/// What a handle stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping(u64);

impl Mapping {
    /// A mapping of entry `reference` of `domain`. The available bits of `flags` are not kept.
    pub const fn new(domain: DomainId, reference: GrantRef, flags: MapFlags) -> Self {
        let flags = flags.0 as u64 & (Parts::BOTH.0 | KEPT_FLAGS);
        Mapping(flags | (domain.0 as u64) << DOMAIN_SHIFT | (reference.0 as u64) << HIGH_SHIFT)
    }

    /// The granting domain.
    pub const fn domain(self) -> DomainId {
        DomainId((self.0 >> DOMAIN_SHIFT) as u16)
    }

    /// The granted entry.
    pub const fn reference(self) -> GrantRef {
        GrantRef((self.0 >> HIGH_SHIFT) as u32)
    }

    /// Flags of the map operation that say how: readonly, application, contains_pte.
    pub const fn flags(self) -> MapFlags {
        MapFlags((self.0 & KEPT_FLAGS) as u32)
    }

    /// The access the flags give.
    pub const fn access(self) -> Access {
        if self.flags().contains(MapFlags::READONLY) { Access::Read } else { Access::Write }
    }

    /// Parts that are there and not being taken down.
    pub const fn parts(self) -> Parts {
        Parts(self.0 & Parts::BOTH.0)
    }
}

struct Slot {
    state: AtomicU64,
    frame: AtomicU64,
}

/// A handle that stood for something when it was looked up.
#[derive(Clone, Copy)]
pub(crate) struct Handle<'a> {
    slot: &'a Slot,
    pub(crate) mapping: Mapping,
}

impl Handle<'_> {
    /// Moves a part from mapped to leaving; whoever succeeds takes it down. Answers the mapped frame, which is stable from
    /// now on. Fails if the part is gone or the handle means something else by now.
    #[inline]
    pub(crate) fn claim(self, part: Parts) -> Option<Mfn> {
        let mut state = self.mapping.0;
        loop {
            let next = (state & !part.0) | part.0 << LEAVING_SHIFT;
            match self.slot.state.compare_exchange(state, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(Mfn(self.slot.frame.load(Ordering::Acquire))),
                Err(seen) => state = seen,
            }
            // The other part may come and go meanwhile; everything else must be as it was.
            if (state ^ self.mapping.0) & !IN_USE != 0 || state & part.0 != part.0 {
                return None;
            }
        }
    }

    /// Undoes a claim: the part is still mapped.
    pub(crate) fn unclaim(self, part: Parts) {
        // One step, so that the slot is never seen without any part.
        self.slot.state.fetch_xor(part.0 | part.0 << LEAVING_SHIFT, Ordering::AcqRel);
    }
}

/// A queue of free slots; `tail` means something while there is a `head`.
struct FreeList {
    head: u32,
    tail: u32,
}

/// On a cache line of its own.
#[repr(align(64))]
struct List(Lock<FreeList>);

/// A domain's handles.
pub struct MapTrack {
    owner: DomainId,
    limit: u32,
    chunks: Growing<Vec<Slot>>,
    chunk_count: AtomicU32,
    lists: Vec<List>,
    growth: Lock<()>,
}

/// A slot that nobody else has; dropping it without a mapping frees it.
#[must_use]
pub struct Reservation<'a> {
    maptrack: &'a MapTrack,
    slot: &'a Slot,
    list: u32,
    index: u32,
}

impl Reservation<'_> {
    /// Makes the handle valid.
    #[inline]
    pub fn publish(self, mapping: Mapping, frame: Mfn) -> GrantHandle {
        let handle = GrantHandle(self.index);
        self.slot.frame.store(frame.0, Ordering::Relaxed);
        self.slot.state.store(mapping.0, Ordering::Release);
        core::mem::forget(self);
        handle
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.maptrack.push_chain(self.list, self.index, (self.index, self.slot));
    }
}

impl MapTrack {
    pub(crate) fn new(owner: DomainId, limit: u32, vcpus: u32) -> Result<Self, OutOfMemory> {
        let lists = vcpus.clamp(1, MAX_LISTS).next_power_of_two() as usize;
        Ok(Self {
            owner,
            limit,
            chunks: Growing::new(limit as usize)?,
            chunk_count: AtomicU32::new(0),
            lists: try_collect(lists, |_| List(Lock::new(Level::MapTrack, FreeList { head: NONE, tail: NONE })))?,
            growth: Lock::new(Level::GrantTable, ()),
        })
    }

    /// Handles that exist, free or not; all lie below.
    #[inline]
    pub fn handle_count(&self) -> u32 {
        self.chunk_count.load(Ordering::Acquire) * HANDLES_PER_FRAME
    }

    /// Heap bytes in use.
    pub(crate) fn heap_bytes(&self) -> usize {
        Self::heap_bytes_for(&self.chunks, self.chunk_count.load(Ordering::Acquire))
            + self.lists.len() * size_of::<List>()
    }

    fn heap_bytes_for(chunks: &Growing<Vec<Slot>>, count: u32) -> usize {
        chunks.heap_bytes(count as usize) + (count * HANDLES_PER_FRAME) as usize * size_of::<Slot>()
    }

    #[inline]
    fn slot(&self, handle: GrantHandle) -> Option<&Slot> {
        self.chunks.get((handle.0 / HANDLES_PER_FRAME) as usize)?.get((handle.0 % HANDLES_PER_FRAME) as usize)
    }

    /// What a handle stands for; nothing if it is out of range or has no part left.
    #[inline]
    pub fn get(&self, handle: GrantHandle) -> Option<Mapping> {
        self.find(handle).map(|mapped| mapped.mapping)
    }

    /// The same, to work on.
    #[inline]
    pub(crate) fn find(&self, handle: GrantHandle) -> Option<Handle<'_>> {
        let slot = self.slot(handle)?;
        let mapping = Mapping(slot.state.load(Ordering::Acquire));
        if mapping.parts().is_empty() { None } else { Some(Handle { slot, mapping }) }
    }

    /// Takes a free slot for a mapping made by `vcpu`. Nothing when the limit or memory is exhausted.
    #[inline]
    pub fn reserve(&self, vcpu: VcpuId, memory: &impl TableMemory) -> Option<Reservation<'_>> {
        let list = self.list_of(vcpu);
        let (index, slot) = match self.pop(list) {
            Some(free) => free,
            None => self.reserve_slowly(list, memory)?,
        };
        Some(Reservation { maptrack: self, slot, list, index })
    }

    #[cold]
    fn reserve_slowly(&self, list: u32, memory: &impl TableMemory) -> Option<(u32, &Slot)> {
        let lists = self.lists.len() as u32;
        self.grow(list, memory).or_else(|| (1..lists).find_map(|step| self.pop((list + step) % lists)))
    }

    /// Adds a chunk, keeps its first slot for the caller and frees the others.
    fn grow(&self, list: u32, memory: &impl TableMemory) -> Option<(u32, &Slot)> {
        let _growing = self.growth.lock();
        // Whoever had the lock before may have left enough.
        if let Some(free) = self.pop(list) {
            return Some(free);
        }
        let count = self.chunk_count.load(Ordering::Acquire);
        if count >= self.limit {
            return None;
        }
        let bytes = Self::heap_bytes_for(&self.chunks, count + 1) - Self::heap_bytes_for(&self.chunks, count);
        memory.charge(self.owner, bytes).ok()?;
        let first = count * HANDLES_PER_FRAME;
        let last = first + HANDLES_PER_FRAME - 1;
        let filled = try_collect(HANDLES_PER_FRAME as usize, |offset| Slot {
            state: AtomicU64::new((u64::from(first) + offset as u64 + 1) << HIGH_SHIFT),
            frame: AtomicU64::new(0),
        })
        .and_then(|slots| self.chunks.fill(count as usize, slots));
        if filled.is_err() {
            memory.uncharge(self.owner, bytes);
            return None;
        }
        self.chunk_count.store(count + 1, Ordering::Release);
        self.push_chain(list, first + 1, (last, self.slot(GrantHandle(last))?));
        Some((first, self.slot(GrantHandle(first))?))
    }

    /// The claimed parts are gone; frees the handle if they were the last.
    #[inline]
    pub(crate) fn complete(&self, (number, handle): (GrantHandle, Handle<'_>), parts: Parts, vcpu: VcpuId) {
        let slot = handle.slot;
        let gone = parts.0 << LEAVING_SHIFT;
        let before = slot.state.fetch_and(!gone, Ordering::AcqRel);
        if before & !gone & IN_USE == 0 {
            self.push_chain(self.list_of(vcpu), number.0, (number.0, slot));
        }
    }

    /// Lists are a power of two, so that no division is needed.
    #[inline]
    fn list_of(&self, vcpu: VcpuId) -> u32 {
        vcpu.0 & (self.lists.len() as u32 - 1)
    }

    #[inline]
    fn pop(&self, list: u32) -> Option<(u32, &Slot)> {
        let mut free = self.lists.get(list as usize)?.0.lock();
        let index = free.head;
        if index == NONE {
            return None;
        }
        let slot = self.slot(GrantHandle(index))?;
        free.head = (slot.state.load(Ordering::Relaxed) >> HIGH_SHIFT) as u32;
        Some((index, slot))
    }

    /// Puts the slots from `first` to `last`, which are linked already, at the end of a list.
    #[inline]
    fn push_chain(&self, list: u32, first: u32, (last, end): (u32, &Slot)) {
        let Some(list) = self.lists.get(list as usize) else {
            return;
        };
        end.state.store(u64::from(NONE) << HIGH_SHIFT, Ordering::Relaxed);
        let mut free = list.0.lock();
        if free.head == NONE {
            free.head = first;
        } else if let Some(before) = self.slot(GrantHandle(free.tail)) {
            before.state.store(u64::from(first) << HIGH_SHIFT, Ordering::Relaxed);
        }
        free.tail = last;
    }
}
