//! Guest-shared memory as atomics: the shared page, a vCPU's block, and pages of FIFO words.
//!
//! The guest writes all of it at any time, so every read is one snapshot and nothing read here is trusted twice.
//! Layouts equal `abi::shared_info` (asserted below). Source: Xen public headers `xen.h`, `event_channel.h`.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use crate::sync::{AtomicU8, AtomicU32, AtomicU64, BITMAP_WORDS, LEGACY_VCPUS, PAGE_WORDS};

/// Event words in a page of the FIFO array.
pub const WORDS_PER_PAGE: usize = PAGE_WORDS;

/// A page of FIFO event words, or the page around a control block.
pub type EventPage = [AtomicU32; WORDS_PER_PAGE];

/// Event state and clock of a vCPU (`struct vcpu_info`).
#[derive(Debug, Default)]
#[repr(C)]
pub struct VcpuInfo {
    /// Nonzero when events wait; cleared by the guest.
    pub upcall_pending: AtomicU8,
    /// Nonzero while the guest holds upcalls off.
    pub upcall_mask: AtomicU8,
    reserved0: [AtomicU8; 6],
    /// A bit per word of the 2-level pending bitmap; cleared by the guest.
    pub pending_selector: AtomicU64,
    /// Address of the last page fault, written before a bounce to a PV guest.
    pub cr2: AtomicU64,
    reserved1: AtomicU64,
    /// The clock (`struct vcpu_time_info`), which is the time keeper's to write.
    pub time: [AtomicU64; 4],
}

/// The page shared with every guest (`struct shared_info`).
#[derive(Debug)]
#[repr(C)]
pub struct SharedInfo {
    /// Blocks of the vCPUs that have not registered one elsewhere.
    pub vcpu_info: [VcpuInfo; LEGACY_VCPUS],
    /// The 2-level pending bitmap; cleared by the guest.
    pub pending: [AtomicU64; BITMAP_WORDS],
    /// The 2-level mask bitmap.
    pub mask: [AtomicU64; BITMAP_WORDS],
    /// Version, seconds, nanoseconds and high half of the seconds.
    pub wallclock: [AtomicU32; 4],
    /// The x86 part (`struct arch_shared_info`).
    pub arch: [AtomicU64; 6],
}

#[cfg(not(loom))]
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<VcpuInfo>() == size_of::<abi::shared_info::VcpuInfo>());
    assert!(offset_of!(VcpuInfo, upcall_mask) == offset_of!(abi::shared_info::VcpuInfo, upcall_mask));
    assert!(offset_of!(VcpuInfo, pending_selector) == offset_of!(abi::shared_info::VcpuInfo, pending_selector));
    assert!(offset_of!(VcpuInfo, cr2) == offset_of!(abi::shared_info::VcpuInfo, arch));
    assert!(offset_of!(VcpuInfo, time) == offset_of!(abi::shared_info::VcpuInfo, time));
    assert!(size_of::<SharedInfo>() == size_of::<abi::shared_info::SharedInfo>());
    assert!(offset_of!(SharedInfo, pending) == offset_of!(abi::shared_info::SharedInfo, pending));
    assert!(offset_of!(SharedInfo, mask) == offset_of!(abi::shared_info::SharedInfo, mask));
    assert!(offset_of!(SharedInfo, wallclock) == offset_of!(abi::shared_info::SharedInfo, wallclock_version));
    assert!(offset_of!(SharedInfo, arch) == offset_of!(abi::shared_info::SharedInfo, arch));
};

/// Whether a vCPU holds upcalls off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpcallMask {
    /// Events may interrupt the guest.
    Open,
    /// The guest holds them off.
    Masked,
}

impl VcpuInfo {
    /// Whether an upcall must be delivered now: something is pending and the guest lets it in.
    #[inline]
    pub fn upcall_due(&self) -> bool {
        self.upcall_pending.load(SeqCst) != 0 && self.upcall_mask.load(Relaxed) == 0
    }

    /// Whether something is pending, masked or not: what a PVH or HVM vCPU looks at, and one that is about to block.
    #[inline]
    pub fn upcall_pending(&self) -> bool {
        self.upcall_pending.load(SeqCst) != 0
    }

    /// What the guest says about upcalls; the value to save in a bounce frame.
    #[inline]
    pub fn upcall_mask(&self) -> UpcallMask {
        if self.upcall_mask.load(Relaxed) == 0 { UpcallMask::Open } else { UpcallMask::Masked }
    }

    /// Sets the mask, as entering an upcall or a trap handler, iret and block do. Only the vCPU that runs on this CPU.
    #[inline]
    pub fn set_upcall_mask(&self, mask: UpcallMask) {
        // Opening is followed by a test of the pending byte, which must not be read before the guest's view changes.
        self.upcall_mask.store(u8::from(mask == UpcallMask::Masked), SeqCst);
    }

    /// The step in which a frame for an upcall is built: true, with the mask set, when one is due.
    #[inline]
    pub fn begin_upcall(&self) -> bool {
        let due = self.upcall_due();
        if due {
            self.upcall_mask.store(1, Relaxed);
        }
        due
    }

    /// Reports an event; true when nothing was pending before, so that the vCPU must be kicked.
    #[inline]
    pub(crate) fn mark_pending(&self) -> bool {
        self.upcall_pending.swap(1, SeqCst) == 0
    }

    /// Marks a word of the 2-level bitmap as worth a look; true when it was not.
    #[inline]
    pub(crate) fn select(&self, word: usize) -> bool {
        let bit = 1u64 << (word & 63);
        self.pending_selector.fetch_or(bit, SeqCst) & bit == 0
    }

    /// Takes over another block's content. The vCPU must not be running guest code.
    pub(crate) fn copy_from(&self, old: &VcpuInfo) {
        self.upcall_pending.store(old.upcall_pending.load(Acquire), Relaxed);
        self.upcall_mask.store(old.upcall_mask.load(Relaxed), Relaxed);
        self.pending_selector.store(old.pending_selector.load(Relaxed), Relaxed);
        self.cr2.store(old.cr2.load(Relaxed), Relaxed);
        for (to, from) in self.time.iter().zip(&old.time) {
            to.store(from.load(Relaxed), Relaxed);
        }
    }

    /// Makes the guest look at everything once.
    pub(crate) fn mark_everything(&self) {
        self.pending_selector.store(u64::MAX, Release);
        self.upcall_pending.store(1, SeqCst);
    }
}

impl Default for SharedInfo {
    fn default() -> Self {
        use core::array::from_fn;
        Self {
            vcpu_info: from_fn(|_| VcpuInfo::default()),
            pending: from_fn(|_| AtomicU64::new(0)),
            mask: from_fn(|_| AtomicU64::new(0)),
            wallclock: from_fn(|_| AtomicU32::new(0)),
            arch: from_fn(|_| AtomicU64::new(0)),
        }
    }
}
