//! One domain's grant table: its size, its pages of shared entries, and the pins of each entry.
//!
//! The table only grows. Entries are found without a lock; each has one of its own (level `GrantEntry`). Growth is
//! serialised by the table's lock (level `GrantTable`), which no other operation takes.

use alloc::vec::Vec;

use abi::{
    DomainId, GrantRef, Mfn,
    grant_table::{EntryFlags, GrantStatus},
};
use locks::{Level, Lock};

use crate::{
    entry::{Active, Words, head},
    growing::{Growing, try_collect},
    host::{OutOfMemory, SharedPage, TableMemory},
    maptrack::MapTrack,
    sync::{AtomicU32, Ordering},
};

/// Version 1 entries in a page; few under loom, which pays for each atomic.
pub const ENTRIES_PER_FRAME: u32 = if cfg!(loom) { 2 } else { abi::grant_table::V1_ENTRIES_PER_PAGE };

/// What a table may grow to; 32-bit words hold the defaults of Xen's command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Pages of shared entries (`gnttab_max_frames`).
    pub frames: u32,
    /// Pages of 256 mapping handles (`gnttab_max_maptrack_frames`).
    pub maptrack_frames: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frames: 64, maptrack_frames: 1024 }
    }
}

/// Whether a step of growth was the last.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Growth {
    /// The table has the wanted size.
    Done,
    /// More steps are needed.
    More,
}

struct Frame<P> {
    page: P,
    active: Vec<Lock<Active>>,
}

/// An entry: both its sides.
pub(crate) struct Slot<'a> {
    pub(crate) words: Words<'a>,
    pub(crate) active: &'a Lock<Active>,
}

/// A domain's grant table and mapping handles. Shared between CPUs; every operation locks what it needs.
pub struct GrantTable<P> {
    owner: DomainId,
    limits: Limits,
    frames: Growing<Frame<P>>,
    frame_count: AtomicU32,
    growth: Lock<()>,
    maptrack: MapTrack,
}

impl<P: SharedPage> GrantTable<P> {
    /// The version of every entry.
    pub const VERSION: u32 = 1;

    /// A table of `initial_frames` pages for `owner`, which will have up to `vcpus` vCPUs.
    pub fn new(
        owner: DomainId,
        limits: Limits,
        initial_frames: u32,
        vcpus: u32,
        memory: &impl TableMemory<Page = P>,
    ) -> Result<Self, OutOfMemory> {
        let table = Self {
            owner,
            limits,
            frames: Growing::new(limits.frames as usize)?,
            frame_count: AtomicU32::new(0),
            growth: Lock::new(Level::GrantTable, ()),
            maptrack: MapTrack::new(owner, limits.maptrack_frames, vcpus)?,
        };
        memory.charge(owner, table.heap_bytes())?;
        while table.frame_count() < initial_frames {
            if table.grow(initial_frames, memory).is_err() {
                memory.uncharge(owner, table.heap_bytes());
                return Err(OutOfMemory);
            }
        }
        Ok(table)
    }

    /// Whose table it is.
    pub fn owner(&self) -> DomainId {
        self.owner
    }

    /// Its limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Pages of shared entries it has.
    #[inline]
    pub fn frame_count(&self) -> u32 {
        self.frame_count.load(Ordering::Acquire)
    }

    /// Entries it has.
    pub fn entry_count(&self) -> u32 {
        self.frame_count() * ENTRIES_PER_FRAME
    }

    /// The machine frame of page `index`.
    pub fn shared_frame(&self, index: u32) -> Option<Mfn> {
        self.frames.get(index as usize).map(|frame| frame.page.frame())
    }

    /// The handles of what this domain has mapped.
    #[inline]
    pub fn maptrack(&self) -> &MapTrack {
        &self.maptrack
    }

    /// Adds one page if the table has fewer than `wanted`, so that a long growth can be preempted between steps.
    /// Errors: the limit or memory is exhausted; what was added before stays.
    pub fn grow(&self, wanted: u32, memory: &impl TableMemory<Page = P>) -> Result<Growth, OutOfMemory> {
        let _growing = self.growth.lock();
        let count = self.frame_count();
        if count >= wanted {
            return Ok(Growth::Done);
        }
        if wanted > self.limits.frames {
            return Err(OutOfMemory);
        }
        let bytes = Self::heap_bytes_for(&self.frames, count + 1) - Self::heap_bytes_for(&self.frames, count);
        memory.charge(self.owner, bytes)?;
        let filled = memory.shared_page(self.owner).and_then(|page| {
            let active = try_collect(ENTRIES_PER_FRAME as usize, |_| Lock::new(Level::GrantEntry, Active::IDLE))?;
            self.frames.fill(count as usize, Frame { page, active })
        });
        if filled.is_err() {
            memory.uncharge(self.owner, bytes);
            return Err(OutOfMemory);
        }
        self.frame_count.store(count + 1, Ordering::Release);
        Ok(if count + 1 == wanted { Growth::Done } else { Growth::More })
    }

    /// Heap bytes charged so far for this table and its handles, not counting the pages of shared entries.
    pub fn heap_bytes(&self) -> usize {
        Self::heap_bytes_for(&self.frames, self.frame_count()) + self.maptrack.heap_bytes()
    }

    fn heap_bytes_for(frames: &Growing<Frame<P>>, count: u32) -> usize {
        frames.heap_bytes(count as usize) + (count * ENTRIES_PER_FRAME) as usize * size_of::<Lock<Active>>()
    }

    /// The entry of `reference`, if the table has grown that far.
    #[inline]
    pub(crate) fn slot(&self, reference: GrantRef) -> Option<Slot<'_>> {
        let frame = self.frames.get((reference.0 / ENTRIES_PER_FRAME) as usize)?;
        let index = (reference.0 % ENTRIES_PER_FRAME) as usize;
        let words = frame.page.words();
        Some(Slot {
            words: Words { head: words.get(2 * index)?, frame: words.get(2 * index + 1)? },
            active: frame.active.get(index)?,
        })
    }

    /// A copy of the hypervisor's side of an entry, for audits and the debug key.
    pub fn active(&self, reference: GrantRef) -> Option<Active> {
        self.slot(reference).map(|slot| *slot.active.lock())
    }

    /// The shared words of an entry at this moment ({flags, domid}, frame), for audits and the debug key.
    pub fn shared_words(&self, reference: GrantRef) -> Option<(u32, u32)> {
        let words = self.slot(reference)?.words;
        Some((words.head.load(Ordering::Acquire), words.frame.load(Ordering::Acquire)))
    }

    /// Grants `frame` to `grantee` in the owner's name, before the owner runs: the console and xenstore pages that a
    /// domain builder offers in the first entries. Answers whether the entry exists.
    pub fn seed(&self, reference: GrantRef, grantee: DomainId, frame: u32) -> bool {
        let Some(slot) = self.slot(reference) else {
            return false;
        };
        slot.words.frame.store(frame, Ordering::Relaxed);
        slot.words.head.store(head(EntryFlags::PERMIT_ACCESS, grantee), Ordering::Release);
        true
    }

    /// Exchanges two entries of the owner's (`swap_grant_ref`).
    /// Errors: `BAD_GNTREF` for one out of range, `EAGAIN` while one is in use.
    pub fn swap(&self, first: GrantRef, second: GrantRef) -> Result<(), GrantStatus> {
        let low = self.slot(first.min(second)).ok_or(GrantStatus::BAD_GNTREF)?;
        let high = self.slot(first.max(second)).ok_or(GrantStatus::BAD_GNTREF)?;
        if first == second {
            return Ok(());
        }
        // Two locks of a level: the lower reference first.
        let low_active = low.active.lock();
        let high_active = high.active.lock_second(&low_active);
        if !low_active.pins.is_empty() || !high_active.pins.is_empty() {
            return Err(GrantStatus::EAGAIN);
        }
        low.words.swap(high.words);
        Ok(())
    }
}
