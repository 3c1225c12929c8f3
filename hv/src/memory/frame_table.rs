//! The frame table: one `pv_mmu::FrameInfo` for each frame, at a fixed address, by MFN.
//!
//! Where there is no memory the table's pages are one shared block of records that say "I/O memory", mapped read-only:
//! the crate changes only records of frames that have an owner. Filled once by `memory::setup`.

#![expect(unsafe_code, reason = "the table lies at a fixed address")]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::Mfn;
use pv_mmu::{FrameInfo, Frames};

use super::layout::FRAME_TABLE;

/// Bytes of a record.
pub const RECORD_SIZE: u64 = size_of::<FrameInfo>() as u64;
/// Records in 2 MiB of the table.
pub const RECORDS_PER_BLOCK: u64 = (2 << 20) / RECORD_SIZE;

static FRAME_LIMIT: AtomicU64 = AtomicU64::new(0);

/// Opens the table for `frames` records; all of them are mapped and filled.
pub fn open(frames: u64) {
    FRAME_LIMIT.store(frames, Relaxed);
}

/// The table.
#[inline(always)]
pub fn frames() -> Frames<'static> {
    let length = FRAME_LIMIT.load(Relaxed) as usize;
    // SAFETY: `open` was called after every record below the limit was mapped and filled; records are atomics.
    Frames::new(unsafe { core::slice::from_raw_parts(FRAME_TABLE as *const FrameInfo, length) })
}

/// One past the highest frame of memory.
pub fn limit() -> Mfn {
    Mfn(FRAME_LIMIT.load(Relaxed))
}

/// Fills one block of records through the direct map: `is_memory` tells which frames are memory.
pub fn fill_block(first_frame_of_table: Mfn, first_record: u64, is_memory: impl Fn(u64) -> bool) {
    let per_frame = 4096 / RECORD_SIZE;
    let template = FrameInfo::new();
    let io = FrameInfo::new();
    io.mark_io();
    for page in 0..512 {
        let words = super::window::words(Mfn(first_frame_of_table.0 + page));
        for (index, record) in words.chunks_exact(RECORD_SIZE as usize / 8).enumerate() {
            let frame = first_record + page * per_frame + index as u64;
            let source = if is_memory(frame) { &template } else { &io };
            if let Some(first) = record.first() {
                first.store(source.reference().bits(), Relaxed);
            }
        }
    }
}
