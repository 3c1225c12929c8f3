//! How much memory a domain has and may have, where it may lie, and the memory map and NUMA topology it is told. Whose a
//! frame is stands in the frame table only. Locks: [`Level::DomainFrames`] around what is told; the rest is atomic.

use alloc::vec::Vec;
use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use abi::{Errno, Result, memory::E820Entry};
use hypercalls::op::virtual_numa::VirtualTopology;
use locks::{Level, Lock};
use pv_mmu::Regions;

use crate::memory::frame_table;

/// A domain's account, in frames.
pub struct DomainMemory {
    total: AtomicU64,
    maximum: AtomicU64,
    /// Free frames set aside for it; changed by `memory::claims` only.
    pub claimed: AtomicU64,
    /// Where its frames are, and were: whoever makes a frame the domain's notes it here first.
    pub regions: Regions,
    /// The memory map that its builder gave it; empty if none did.
    pub map: Lock<Vec<E820Entry>>,
    /// The NUMA topology that its builder gave it, if one did.
    pub topology: Lock<Option<VirtualTopology>>,
}

impl DomainMemory {
    /// An empty account.
    pub fn new(maximum: u64) -> Self {
        Self {
            total: AtomicU64::new(0),
            maximum: AtomicU64::new(maximum),
            claimed: AtomicU64::new(0),
            regions: Regions::new(frame_table::limit()),
            map: Lock::new(Level::DomainFrames, Vec::new()),
            topology: Lock::new(Level::DomainFrames, None),
        }
    }

    /// Frames the domain has.
    pub fn total(&self) -> u64 {
        self.total.load(Acquire)
    }

    /// Frames it may have.
    pub fn maximum(&self) -> u64 {
        self.maximum.load(Relaxed)
    }

    /// Changes what it may have; may be below what it has.
    pub fn set_maximum(&self, frames: u64) {
        self.maximum.store(frames, Relaxed);
    }

    /// Books `frames` more. Errors: `ENOMEM` beyond the maximum.
    pub fn charge(&self, frames: u64) -> Result<()> {
        let maximum = self.maximum();
        self.total
            .try_update(AcqRel, Acquire, |total| total.checked_add(frames).filter(|&sum| sum <= maximum))
            .map(|_| ())
            .map_err(|_| Errno::ENOMEM)
    }

    /// Books one frame less.
    pub fn release_one(&self) {
        self.release(1);
    }

    /// Books `frames` less.
    pub fn release(&self, frames: u64) {
        let before = self.total.fetch_sub(frames, AcqRel);
        assert!(before >= frames, "a domain gave back more frames than it had");
    }
}
