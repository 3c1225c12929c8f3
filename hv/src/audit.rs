//! The audit after a domain's end: what is still there that should not be.
//!
//! Locks are seen in builds with debug assertions, where each CPU keeps the levels it holds.

use crate::{
    cpu, domain,
    interrupt::flush,
    memory::{frame_table, heap, physical},
    sync,
    time::clock,
};
use abi::{DomainId, Mfn};

/// Memory in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// Frames that are neither free nor part of the heap.
    frames: i64,
    /// Bytes in use on the heap.
    heap_bytes: i64,
}

impl Snapshot {
    /// As it is now.
    pub fn take() -> Self {
        loop {
            let mapped = heap::mapped_frames();
            let free = physical::free_frames();
            // The heap of another CPU may have been on its way from one to the other.
            if heap::mapped_frames() == mapped {
                return Self { frames: -((free + mapped) as i64), heap_bytes: heap::bytes_in_use() as i64 };
            }
        }
    }

    /// What has come since an earlier one.
    pub fn since(self, earlier: Self) -> Self {
        Self { frames: self.frames - earlier.frames, heap_bytes: self.heap_bytes - earlier.heap_bytes }
    }
}

/// What a domain that was taken down still has.
pub fn domain(dead: DomainId) -> Option<&'static str> {
    if domain::find(dead).is_some() {
        return Some("the record");
    }
    let frames = frame_table::frames();
    let is_left = |mfn: u64| frames.get(Mfn(mfn)).is_some_and(|info| info.reference().owner() == dead);
    (0..frame_table::limit().0).any(is_left).then_some("frames of the dead domain")
}

/// Locks that nobody lets go of.
pub fn locks() -> Option<&'static str> {
    // Nanoseconds. Others take and release locks all the time, and the emulator's host may stop one that holds some.
    const PATIENCE: u64 = 5_000_000_000;
    if !cfg!(debug_assertions) {
        return None;
    }
    for cpu in cpu::all() {
        let deadline = clock::now() + PATIENCE;
        while sync::held_on(cpu.index) != 0 {
            if clock::now() > deadline {
                return Some("a lock is held");
            }
            // Who holds one may wait for this CPU's answer (docs/locking.md, rule 4).
            flush::answer();
            core::hint::spin_loop();
        }
    }
    None
}
