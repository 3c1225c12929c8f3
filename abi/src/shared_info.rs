//! The page shared with every guest, and the per-vCPU blocks that guests may move elsewhere.
//!
//! All of this lies in guest-writable memory: `hv` touches it through atomics, and these types give the offsets and the
//! values to write. Source: Xen public headers `xen.h`, `arch-x86/xen.h`, `arch-x86/xen-x86_64.h`.

use crate::{
    Pfn,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Flags of [`VcpuTimeInfo`].
    pub struct TimeFlags(u8) {
        /// The TSC is the same and steady on all CPUs.
        TSC_STABLE = 1, "XEN_PVCLOCK_TSC_STABLE_BIT";
        GUEST_STOPPED = 2, "XEN_PVCLOCK_GUEST_STOPPED";
    }
}

constants! {
    /// vCPUs that have a slot in the shared page.
    pub const LEGACY_MAX_VCPUS: usize = 32, "XEN_LEGACY_MAX_VCPUS";
}

wire! {
    /// Clock parameters of a vCPU: `system_time + ((tsc - tsc_timestamp) << tsc_shift) * mul >> 32` nanoseconds.
    pub struct VcpuTimeInfo = "struct vcpu_time_info", 32 {
        /// Odd while being updated.
        pub version: u32 = "version",
        /// Padding.
        pub reserved0: u32 = "pad0",
        /// TSC at the last update.
        pub tsc_timestamp: u64 = "tsc_timestamp",
        /// Nanoseconds since boot at the last update.
        pub system_time: u64 = "system_time",
        /// Multiplier, a fraction of 2^32.
        pub tsc_to_system_mul: u32 = "tsc_to_system_mul",
        /// Shift before the multiplication; negative shifts right.
        pub tsc_shift: i8 = "tsc_shift",
        /// Properties of the clock.
        pub flags: TimeFlags = "flags",
        /// Padding.
        pub reserved1: [u8; 2] = "pad1",
    }

    /// x86 part of [`VcpuInfo`].
    pub struct ArchVcpuInfo = "struct arch_vcpu_info", 16 {
        /// Faulting address of the last page fault, for PV guests.
        pub cr2: u64 = "cr2",
        /// Padding.
        pub reserved: u64 = "pad",
    }

    /// Event state and clock of a vCPU.
    pub struct VcpuInfo = "struct vcpu_info", 64 {
        /// Nonzero when events wait.
        pub upcall_pending: u8 = "evtchn_upcall_pending",
        /// Nonzero while the guest holds upcalls off.
        pub upcall_mask: u8 = "evtchn_upcall_mask",
        /// Padding.
        pub reserved: [u8; 6] = "",
        /// Bit per word of the pending bitmap, 2-level ABI.
        pub pending_selector: u64 = "evtchn_pending_sel",
        /// CR2.
        pub arch: ArchVcpuInfo = "arch",
        /// Clock.
        pub time: VcpuTimeInfo = "time",
    }

    /// x86 part of [`SharedInfo`]; the guest fills it for the toolstack.
    pub struct ArchSharedInfo = "struct arch_shared_info", 48 {
        /// Last PFN of the P2M.
        pub max_pfn: u64 = "max_pfn",
        /// Root of the three-level P2M.
        pub pfn_to_mfn_frame_list_list: Pfn = "pfn_to_mfn_frame_list_list",
        /// [`crate::nmi::NmiReason`] bits, written by Xen for dom0.
        pub nmi_reason: u64 = "nmi_reason",
        /// CR3 of the P2M's address space.
        pub p2m_cr3: u64 = "p2m_cr3",
        /// Virtual address of the P2M.
        pub p2m_vaddr: u64 = "p2m_vaddr",
        /// Odd while the guest changes the P2M.
        pub p2m_generation: u64 = "p2m_generation",
    }

    /// The shared page.
    pub struct SharedInfo = "struct shared_info", 3136 {
        /// One per vCPU below [`LEGACY_MAX_VCPUS`].
        pub vcpu_info: [VcpuInfo; 32] = "vcpu_info",
        /// Pending bitmap, 2-level ABI.
        pub pending: [u64; 64] = "evtchn_pending",
        /// Mask bitmap, 2-level ABI.
        pub mask: [u64; 64] = "evtchn_mask",
        /// Odd while the wall clock is updated.
        pub wallclock_version: u32 = "wc_version",
        /// Unix time at system time 0, low half of the seconds.
        pub wallclock_seconds: u32 = "wc_sec",
        /// Nanoseconds of the same.
        pub wallclock_nanoseconds: u32 = "wc_nsec",
        /// High half of the seconds.
        pub wallclock_seconds_high: u32 = "wc_sec_hi",
        /// P2M and NMI reason.
        pub arch: ArchSharedInfo = "arch",
    }
}
