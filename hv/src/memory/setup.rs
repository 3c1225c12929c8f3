//! Builds the final page tables, the heap and the frame allocator, in that order.
//!
//! Context: boot CPU, boot page tables, once.

#![expect(unsafe_code, reason = "loads the new page-table root")]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::{DomainId, Errno, Mfn, Result};
use frame_allocator::FrameAllocator;
use pv_mmu::SharedAccess;

use super::{boot_frames::BootFrames, entry, frame_table, image, layout, physical, tables, tables::Size, window};
use crate::{arch::control, boot::loader::LoaderInfo};

/// What boot must know about memory afterwards.
pub struct Memory {
    /// One past the highest usable frame.
    pub frame_limit: u64,
    /// Frames of usable memory, all together.
    pub total_frames: u64,
}

static USABLE_FRAMES: AtomicU64 = AtomicU64::new(0);

/// Frames of usable memory, all together.
pub fn usable_frames() -> u64 {
    USABLE_FRAMES.load(Relaxed)
}

const LOW_MEMORY: u64 = 1 << 20;
/// Frames covered by 2 MiB of the machine-to-physical table.
const FRAMES_PER_TABLE_BLOCK: u64 = (2 << 20) / 8;

/// Does it all. Errors: `ENOMEM` when there is too little memory for the hypervisor itself.
pub fn initialise(info: &LoaderInfo) -> Result<Memory> {
    let mut frames = BootFrames::new(info.regions());
    let total_frames = frames.total();
    let usable = frames.clone();
    frames.reserve(0, LOW_MEMORY);
    let loaded = image::loaded_range();
    frames.reserve(loaded.start, loaded.end - loaded.start);
    for module in info.modules() {
        frames.reserve(module.start, module.length);
    }
    let memory = Memory { frame_limit: usable.end(), total_frames };
    USABLE_FRAMES.store(total_frames, Relaxed);

    let root = frames.take(1, 1)?;
    map_image(root, &mut frames)?;
    map_direct(root, &usable, &mut frames)?;
    map_frame_tables(root, &usable, &mut frames)?;
    for address in [layout::DEVICE_WINDOW, layout::CPU_BLOCKS] {
        tables::prepare(root, address, &mut || frames.take(1, 1))?;
    }
    // SAFETY: 1. `root` maps image, direct map and tables as `memory::layout` says; the boot stack is in the image.
    unsafe { control::write_cr3(root.address().0) };
    // SAFETY: 1. only PGE is added.
    unsafe { control::write_cr4(control::read_cr4() | 1 << 7) };
    window::set_frame_limit(memory.frame_limit);
    frame_table::open(memory.frame_limit);

    physical::start_boot(frames, root);
    physical::start_allocator(FrameAllocator::new(memory.frame_limit)?)?;
    share_machine_to_physical(root, memory.frame_limit);
    Ok(memory)
}

/// Gives the boot tables' and the boot stack's frames to the allocator. Errors: `ENOMEM`, when they stay lost.
///
/// Context: boot CPU, on its own stack and the final tables, no other CPU running.
pub fn release_boot_only() -> Result<()> {
    let range = image::boot_only();
    for address in range.clone().step_by(4096) {
        if let Some(old) = tables::unmap(physical::root(), address, Size::Page) {
            control::invalidate_page(address);
            window::zero(entry::frame(old));
        }
    }
    physical::release_range(image::physical(range.start) >> 12, image::physical(range.end) >> 12)
}

/// Lets control domains map the machine-to-physical table read-only, by its frame numbers: tools that save guests do.
fn share_machine_to_physical(root: Mfn, frame_limit: u64) {
    for block in 0..frame_limit.div_ceil(FRAMES_PER_TABLE_BLOCK) {
        let Some(mapping) = tables::lookup(root, layout::MACHINE_TO_PHYSICAL + (block << 21)) else { continue };
        let first = entry::frame(mapping).0;
        for info in (first..first + 512).filter_map(|frame| frame_table::frames().get(Mfn(frame))) {
            info.assign_shared(DomainId::XEN, SharedAccess::ReadOnly);
        }
    }
}

fn map_image(root: Mfn, frames: &mut BootFrames) -> Result<()> {
    let sections = image::sections();
    let parts = [(sections.text, entry::CODE), (sections.rodata, entry::CONSTANT), (sections.data, entry::DATA)];
    for (range, rights) in parts {
        for address in range.step_by(4096) {
            let target = image::physical(address);
            tables::map(root, address, target, Size::Page, rights, &mut || frames.take(1, 1))?;
        }
    }
    Ok(())
}

fn map_direct(root: Mfn, usable: &BootFrames, frames: &mut BootFrames) -> Result<()> {
    // The first MiB whole (boot code for other CPUs, the text screen); of the rest what the firmware calls usable.
    let low_end = LOW_MEMORY >> 12;
    let above = usable.ranges().iter().map(|&(first, end)| (first.max(low_end), end));
    for (first, end) in core::iter::once((0, low_end)).chain(above) {
        let mut frame = first;
        while frame < end {
            let size = if frame.is_multiple_of(512) && end - frame >= 512 { Size::Large } else { Size::Page };
            let target = frame << 12;
            let mapped =
                tables::map(root, layout::DIRECT_MAP + target, target, size, entry::DATA, &mut || frames.take(1, 1));
            // Firmware maps may overlap; the first mapping of a frame is as good as the second.
            if mapped.is_err_and(|errno| errno != Errno::EEXIST) {
                return mapped;
            }
            frame += size.bytes() >> 12;
        }
    }
    Ok(())
}

/// Frame table and both views of the machine-to-physical table. The frame table is mapped without holes, so that any
/// MFN below the limit has a record; the other is mapped only where there is memory, so that reading a hole faults.
fn map_frame_tables(root: Mfn, usable: &BootFrames, frames: &mut BootFrames) -> Result<()> {
    // The first MiB is the firmware's: dom0 maps it as it maps devices, whatever the map calls it.
    let is_memory = |frame: u64| {
        frame >= LOW_MEMORY >> 12 && usable.ranges().iter().any(|&(first, end)| (first..end).contains(&frame))
    };
    let has_memory = |range: core::ops::Range<u64>| {
        usable.ranges().iter().any(|&(first, end)| first < end && first < range.end && range.start < end)
    };
    let mut shared_hole = None;
    for block in 0..frames.end().div_ceil(frame_table::RECORDS_PER_BLOCK) {
        let first = block * frame_table::RECORDS_PER_BLOCK;
        let memory_here = has_memory(first..first + frame_table::RECORDS_PER_BLOCK);
        let (target, rights) = match shared_hole {
            Some(hole) if !memory_here => (hole, entry::CONSTANT),
            _ => {
                let target = frames.take(512, 512)?;
                frame_table::fill_block(target, first, is_memory);
                if !memory_here {
                    shared_hole = Some(target);
                }
                (target, if memory_here { entry::DATA } else { entry::CONSTANT })
            }
        };
        let address = layout::FRAME_TABLE + (block << 21);
        tables::map(root, address, target.address().0, Size::Large, rights, &mut || frames.take(1, 1))?;
    }
    for block in 0..frames.end().div_ceil(FRAMES_PER_TABLE_BLOCK) {
        let first = block * FRAMES_PER_TABLE_BLOCK;
        if has_memory(first..first + FRAMES_PER_TABLE_BLOCK) {
            map_machine_to_physical(root, block, frames)?;
        }
    }
    Ok(())
}

fn map_machine_to_physical(root: Mfn, block: u64, frames: &mut BootFrames) -> Result<()> {
    let target = frames.take(512, 512)?;
    for frame in target.0..target.0 + 512 {
        window::fill(Mfn(frame), u64::MAX);
    }
    let writable = layout::MACHINE_TO_PHYSICAL_WRITABLE + (block << 21);
    let readable = layout::MACHINE_TO_PHYSICAL + (block << 21);
    let for_guests = entry::PRESENT | entry::USER | entry::ACCESSED | entry::NO_EXECUTE;
    tables::map(root, writable, target.address().0, Size::Large, entry::DATA, &mut || frames.take(1, 1))?;
    tables::map(root, readable, target.address().0, Size::Large, for_guests, &mut || frames.take(1, 1))
}
