//! The machine's free frames and the hypervisor's own mappings of them.
//!
//! Locks: [`Level::FrameAllocator`] around the free frames. The root table is set once by `memory::setup`.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::{DomainId, Errno, Mfn, Result};
use frame_allocator::{FrameAllocator, Held, Hold, Order};
use locks::{Level, Lock};
use pv_mmu::FrameInfo;

use super::{boot_frames::BootFrames, entry, frame_table, heap, layout, tables, window};
use crate::{arch::control, interrupt::flush};

/// Who hands out frames: nobody, the boot ranges, then the allocator.
#[expect(clippy::large_enum_variant, reason = "there is one, in static memory; the heap comes later than the frames")]
enum Source {
    None,
    Boot(BootFrames),
    Buddy(FrameAllocator),
}

static SOURCE: Lock<Source> = Lock::new(Level::FrameAllocator, Source::None);
static ROOT: AtomicU64 = AtomicU64::new(0);

/// No limit on the address of a frame.
pub const ANYWHERE: Mfn = Mfn::INVALID;

/// The hypervisor's own top-level table, in use where no guest's is.
pub fn root() -> Mfn {
    Mfn(ROOT.load(Relaxed))
}

/// Takes over the boot ranges and the root table that `memory::setup` made.
pub fn start_boot(frames: BootFrames, root: Mfn) {
    ROOT.store(root.0, Relaxed);
    *SOURCE.lock() = Source::Boot(frames);
}

/// Replaces the boot ranges by the allocator, which gets all that is left of them.
pub fn start_allocator(mut allocator: FrameAllocator) -> Result<()> {
    let mut source = SOURCE.lock();
    if let Source::Boot(boot) = &*source {
        for &(first, end) in boot.ranges() {
            allocator.add_range(first..end)?;
        }
    }
    *source = Source::Buddy(allocator);
    Ok(())
}

/// Adds frames that boot had kept aside (modules, once dom0 is built).
pub fn release_range(first: u64, end: u64) -> Result<()> {
    match &mut *SOURCE.lock() {
        Source::Buddy(allocator) => allocator.add_range(first..end),
        _ => Err(Errno::EBUSY),
    }
}

/// Takes 2^`order` contiguous frames below `limit`; their contents are what they were. Errors: `ENOMEM`.
#[inline]
pub fn allocate(order: Order, limit: Mfn) -> Result<Mfn> {
    match &mut *SOURCE.lock() {
        Source::Buddy(allocator) => allocator.allocate(order, limit),
        Source::Boot(boot) => boot.take(1 << order.0, 1 << order.0),
        Source::None => Err(Errno::ENOMEM),
    }
}

/// Takes one frame and fills it with zeros. Errors: `ENOMEM`.
pub fn allocate_zeroed() -> Result<Mfn> {
    let frame = allocate(Order(0), ANYWHERE)?;
    window::zero(frame);
    Ok(frame)
}

/// Gives frames of the hypervisor's own back. The caller owned them and no translation to them is left on any CPU.
pub fn free(first: Mfn, order: Order) {
    for frame in first.0..first.0 + (1 << order.0) {
        if let Some(info) = frame_table::frames().get(Mfn(frame)) {
            info.forget_content();
        }
    }
    give_back(first, order);
}

/// Gives a frame back that a domain had; its record says whose content it still has.
#[inline]
pub fn free_used(frame: Mfn) {
    give_back(frame, Order(0));
}

#[inline]
fn give_back(first: Mfn, order: Order) {
    if let Source::Buddy(allocator) = &mut *SOURCE.lock() {
        let returned = allocator.free(first, order);
        assert!(returned.is_ok(), "frame {first:?} was given back twice");
    }
}

/// Frames nobody has.
pub fn free_frames() -> u64 {
    match &*SOURCE.lock() {
        Source::Buddy(allocator) => allocator.free_frames(),
        Source::Boot(boot) => boot.total(),
        Source::None => 0,
    }
}

/// Free frames with numbers in `range`.
pub fn free_frames_in(range: core::ops::Range<u64>) -> u64 {
    match &*SOURCE.lock() {
        Source::Buddy(allocator) => allocator.free_frames_in(range),
        Source::Boot(_) | Source::None => 0,
    }
}

/// Whether a frame is kept from being given out.
pub fn hold_of(frame: Mfn) -> Hold {
    match &*SOURCE.lock() {
        Source::Buddy(allocator) => allocator.hold_of(frame),
        Source::Boot(_) | Source::None => Hold::None,
    }
}

/// Keeps a frame from being given out; its owner if it has one, who keeps it until it is given back. Errors: `EPERM` for
/// the hypervisor's own, `ENOMEM`.
pub fn hold(frame: Mfn) -> Result<Option<DomainId>> {
    let lacks_room = |source: &Source| matches!(source, Source::Buddy(allocator) if allocator.lacks_room());
    // The heap takes its frames here too and gives them back, so neither is done under the lock: two CPUs may both find
    // that there is no room, and the second one's is left over.
    let room = if lacks_room(&SOURCE.lock()) { Some(Held::new(frame_table::limit().0)?) } else { None };
    let (held, left_over) = match &mut *SOURCE.lock() {
        Source::Buddy(allocator) => {
            let left_over = room.and_then(|room| allocator.give_room(room));
            (hold_in(allocator, frame), left_over)
        }
        Source::Boot(_) | Source::None => (Err(Errno::EPERM), room),
    };
    drop(left_over);
    held
}

fn hold_in(allocator: &mut FrameAllocator, frame: Mfn) -> Result<Option<DomainId>> {
    let owner = frame_table::frames().get(frame).and_then(owner_of);
    if owner.is_none() && !allocator.is_free(frame) && allocator.hold_of(frame) != Hold::Gone {
        return Err(Errno::EPERM);
    }
    Ok(if allocator.hold(frame)? == Hold::Pending { owner } else { None })
}

/// Who has a frame: a domain, or the hypervisor where everybody may look.
fn owner_of(info: &FrameInfo) -> Option<DomainId> {
    let reference = info.reference();
    let is_own = reference.is_xen_heap() && reference.owner() != DomainId::XEN;
    (reference.count() != 0 && reference.owner() != DomainId::IO && !is_own).then_some(reference.owner())
}

/// Ends that; how it was.
pub fn release(frame: Mfn) -> Hold {
    match &mut *SOURCE.lock() {
        Source::Buddy(allocator) => allocator.release(frame),
        Source::Boot(_) | Source::None => Hold::None,
    }
}

/// Maps a page of fresh, zeroed memory into the heap at `address`. Errors: `ENOMEM`.
pub fn map_heap(address: u64, size: tables::Size) -> Result<()> {
    let block = allocate(size.order(), ANYWHERE)?;
    zero(block, size);
    let target = block.address().0;
    tables::map(root(), address, target, size, heap::RIGHTS, &mut allocate_zeroed)
        .inspect_err(|_| free(block, size.order()))
}

/// How many pages [`unmap_heap_pages`] takes at a time.
pub const BATCH: usize = 64;

/// Unmaps pages of the heap from `start` to `end`, [`BATCH`] at most, has every CPU forget them and gives their memory back.
///
/// Context: nothing lives there, and nobody maps anything there meanwhile (the heap's lock).
pub fn unmap_heap_pages(start: u64, end: u64) {
    let mut frames = [Mfn::INVALID; BATCH];
    for (slot, address) in frames.iter_mut().zip((start..end).step_by(4096)) {
        if let Some(old) = tables::unmap(root(), address, tables::Size::Page) {
            *slot = entry::frame(old);
        }
    }
    flush::on(flush::CpuMask(u64::MAX));
    for frame in frames.into_iter().filter(|&frame| frame != Mfn::INVALID) {
        free(frame, Order(0));
    }
}

/// Unmaps a page of the heap and gives its memory back. Context: boot CPU, no other running.
pub fn unmap_heap(address: u64, size: tables::Size) {
    if let Some(old) = tables::unmap(root(), address, size) {
        control::invalidate_page(address);
        let block = entry::frame(old);
        zero(block, size);
        free(block, size.order());
    }
}

fn zero(first: Mfn, size: tables::Size) {
    for frame in first.0..first.0 + (size.bytes() >> 12) {
        window::zero(Mfn(frame));
    }
}

static NEXT_DEVICE: AtomicU64 = AtomicU64::new(layout::DEVICE_WINDOW);

/// Maps device registers or firmware tables for good and returns their address. Errors: `ENOMEM`.
///
/// Context: boot, or under the lock of the device. The same physical range may be mapped more than once.
pub fn map_device(physical: u64, length: u64, rights: u64) -> Result<u64> {
    let (first, end) = (physical & !0xFFF, (physical + length).next_multiple_of(4096));
    let base = NEXT_DEVICE.fetch_add(end - first, Relaxed);
    if base + (end - first) > layout::DEVICE_WINDOW + layout::DEVICE_WINDOW_SIZE {
        return Err(Errno::ENOMEM);
    }
    for offset in (0..end - first).step_by(4096) {
        tables::map(root(), base + offset, first + offset, tables::Size::Page, rights, &mut allocate_zeroed)?;
    }
    Ok(base + (physical - first))
}
