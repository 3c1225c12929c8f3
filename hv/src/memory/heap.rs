//! The byte heap: the global allocator, two arenas of virtual address space that grow by mapped pages.
//!
//! The permanent arena holds the hypervisor's objects, grows by a few pages, and gives back what lies behind the last object
//! when a domain's record has gone. The temporary one serves dom0's construction (decompressors want up to 130 MiB), grows
//! by large pages and is given back whole. Which arena allocates is a switch that only boot uses; which arena frees is told
//! by the address. Lock: [`Level::Heap`].

#![expect(unsafe_code, reason = "implements the global allocator")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use abi::{Errno, Result};
use locks::{Level, Lock};
use talc::{DefaultBinning, base::Talc, source::Manual};

use super::{entry, layout, physical, tables};

/// One growing range of addresses.
struct Arena {
    talc: Talc<Manual, DefaultBinning>,
    base: u64,
    /// What it is mapped by.
    size: tables::Size,
    /// End of what is mapped.
    mapped_end: u64,
    /// Where talc says its heap ends, once it has claimed the first pages.
    heap_end: Option<NonNull<u8>>,
    allocations: u64,
}

// SAFETY: the arena's pointers are to its own address range, reached only under its lock.
unsafe impl Send for Arena {}

impl Arena {
    const fn new(base: u64, size: tables::Size) -> Self {
        Self { talc: Talc::new(Manual), base, size, mapped_end: base, heap_end: None, allocations: 0 }
    }

    /// Maps at least `bytes` more. Errors: `ENOMEM`, as a rule before anything is mapped: what the heap has it keeps, so a
    /// request that cannot be met must not take what others need. Other CPUs may still be quicker; then it keeps a part.
    fn grow(&mut self, bytes: u64) -> Result<()> {
        let step = self.size.bytes().max(GROWTH);
        let start = self.mapped_end;
        let length = bytes.next_multiple_of(step);
        if start + length > self.base + layout::HEAP_SIZE || length >> 12 > physical::free_frames() {
            return Err(Errno::ENOMEM);
        }
        let outcome = self.map_up_to(start + length);
        if self.mapped_end > start {
            self.accept();
        }
        outcome
    }

    fn map_up_to(&mut self, target: u64) -> Result<()> {
        while self.mapped_end < target {
            physical::map_heap(self.mapped_end, self.size)?;
            self.mapped_end += self.size.bytes();
        }
        Ok(())
    }

    /// Tells talc about memory mapped up to `mapped_end`.
    fn accept(&mut self) {
        let end = self.mapped_end as *mut u8;
        self.heap_end = match self.heap_end {
            // SAFETY: 1. the old end is talc's own; 2. everything up to the new end is mapped, zeroed and ours alone.
            Some(old) => Some(unsafe { self.talc.extend(old, end) }),
            // SAFETY: 1. the range is mapped, ours alone and never unmapped while talc uses it.
            None => unsafe { self.talc.claim(self.base as *mut u8, (self.mapped_end - self.base) as usize) },
        };
    }

    /// Gives up to [`physical::BATCH`] pages behind the last object back; whether there are more.
    ///
    /// Waits for the other CPUs to forget them, under this lock (docs/locking.md, rule 4): nobody may grow the arena into
    /// addresses that are still translated to what was there.
    fn give_back(&mut self) -> bool {
        let Some(heap_end) = self.heap_end else { return false };
        // SAFETY: 1. the end is talc's own.
        let reserved = unsafe { self.talc.reserved(heap_end) }.up_to.as_ptr() as u64;
        let least = self.base + (reserved - self.base).next_multiple_of(GROWTH);
        let target = least.max(self.mapped_end.saturating_sub((physical::BATCH as u64) << 12));
        if target >= self.mapped_end {
            return false;
        }
        // SAFETY: 1. the end is talc's own; it keeps off what lies above the new one.
        self.heap_end = unsafe { self.talc.truncate(heap_end, target as *mut u8) };
        physical::unmap_heap_pages(target, self.mapped_end);
        self.mapped_end = target;
        target > least
    }

    fn allocate(&mut self, layout: Layout) -> *mut u8 {
        for _ in 0..2 {
            // SAFETY: `GlobalAlloc` callers pass layouts of non-zero size.
            if let Some(pointer) = unsafe { self.talc.allocate(layout) } {
                self.allocations += 1;
                return pointer.as_ptr();
            }
            if self.grow((layout.size() + layout.align()) as u64 + 4096).is_err() {
                break;
            }
        }
        core::ptr::null_mut()
    }
}

/// The least number of bytes by which an arena grows: room for many small objects, few unused pages.
const GROWTH: u64 = 16 << 12;

struct Heap {
    permanent: Lock<Arena>,
    temporary: Lock<Arena>,
}

const TEMPORARY_BASE: u64 = layout::HEAP + 2 * layout::HEAP_SIZE;

#[global_allocator]
static HEAP: Heap = Heap {
    permanent: Lock::new(Level::Heap, Arena::new(layout::HEAP, tables::Size::Page)),
    temporary: Lock::new(Level::Heap, Arena::new(TEMPORARY_BASE, tables::Size::Large)),
};

static USE_TEMPORARY: AtomicBool = AtomicBool::new(false);
static PERMANENT_BYTES: AtomicU64 = AtomicU64::new(0);

impl Heap {
    fn arena_of(&self, address: u64) -> &Lock<Arena> {
        if address >= TEMPORARY_BASE { &self.temporary } else { &self.permanent }
    }
}

// SAFETY: talc returns blocks that fit the layout and do not overlap; each block goes back to the arena it came from.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if USE_TEMPORARY.load(Relaxed) {
            return self.temporary.lock().allocate(layout);
        }
        let pointer = self.permanent.lock().allocate(layout);
        if !pointer.is_null() {
            PERMANENT_BYTES.fetch_add(layout.size() as u64, Relaxed);
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let mut arena = self.arena_of(pointer as u64).lock();
        arena.allocations -= 1;
        if (pointer as u64) < TEMPORARY_BASE {
            PERMANENT_BYTES.fetch_sub(layout.size() as u64, Relaxed);
        }
        // SAFETY: the caller passes what `alloc` returned and its layout; the address chose the arena it came from.
        unsafe { arena.talc.deallocate(pointer, layout) };
    }
}

/// Gives a batch of pages back that the hypervisor's objects need no more; whether there are more of them.
///
/// Context: no lock held that another CPU waits for without answering flushes.
pub fn give_back() -> bool {
    HEAP.permanent.lock().give_back()
}

/// Bytes in use on the permanent heap; the audit compares it before and after a domain's life.
pub fn bytes_in_use() -> u64 {
    PERMANENT_BYTES.load(Relaxed)
}

/// Frames that are mapped as permanent heap.
#[cfg(feature = "fail-points")]
pub fn mapped_frames() -> u64 {
    let arena = HEAP.permanent.lock();
    (arena.mapped_end - arena.base) >> 12
}

/// Runs `work` with allocations going to the temporary arena, then gives that arena's memory back.
///
/// Context: boot CPU, before any other uses the heap. Nothing that `work` allocates may outlive it but its result,
/// which must not own heap memory.
pub fn with_temporary<R: Copy>(work: impl FnOnce() -> R) -> R {
    USE_TEMPORARY.store(true, Relaxed);
    let result = work();
    USE_TEMPORARY.store(false, Relaxed);
    let mut arena = HEAP.temporary.lock();
    assert!(arena.allocations == 0, "boot left {} temporary allocations behind", arena.allocations);
    while arena.mapped_end > arena.base {
        arena.mapped_end -= arena.size.bytes();
        physical::unmap_heap(arena.mapped_end, arena.size);
    }
    *arena = Arena::new(TEMPORARY_BASE, arena.size);
    result
}

/// Rights of heap pages.
pub const RIGHTS: u64 = entry::DATA;
