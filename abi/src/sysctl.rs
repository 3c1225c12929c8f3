//! sysctl: what the toolstack asks of the machine. Source: Xen public header `sysctl.h`.
//!
//! The head of a request and the sub-operations; their argument structs are in [`crate::sysctl_machine`] and
//! [`crate::sysctl_scheduler`].

use crate::layout::{constants, numbers, wire};

numbers! {
    /// Sub-operation of sysctl.
    pub struct SysctlOperation(u32) {
        READCONSOLE = 1, "XEN_SYSCTL_readconsole";
        TBUF_OP = 2, "XEN_SYSCTL_tbuf_op";
        PHYSINFO = 3, "XEN_SYSCTL_physinfo";
        SCHED_ID = 4, "XEN_SYSCTL_sched_id";
        PERFC_OP = 5, "XEN_SYSCTL_perfc_op";
        GETDOMAININFOLIST = 6, "XEN_SYSCTL_getdomaininfolist";
        DEBUG_KEYS = 7, "XEN_SYSCTL_debug_keys";
        GETCPUINFO = 8, "XEN_SYSCTL_getcpuinfo";
        AVAILHEAP = 9, "XEN_SYSCTL_availheap";
        GET_PMSTAT = 10, "XEN_SYSCTL_get_pmstat";
        CPU_HOTPLUG = 11, "XEN_SYSCTL_cpu_hotplug";
        PM_OP = 12, "XEN_SYSCTL_pm_op";
        PAGE_OFFLINE_OP = 14, "XEN_SYSCTL_page_offline_op";
        LOCKPROF_OP = 15, "XEN_SYSCTL_lockprof_op";
        CPUTOPOINFO = 16, "XEN_SYSCTL_cputopoinfo";
        NUMAINFO = 17, "XEN_SYSCTL_numainfo";
        CPUPOOL_OP = 18, "XEN_SYSCTL_cpupool_op";
        SCHEDULER_OP = 19, "XEN_SYSCTL_scheduler_op";
        COVERAGE_OP = 20, "XEN_SYSCTL_coverage_op";
        PSR_CMT_OP = 21, "XEN_SYSCTL_psr_cmt_op";
        PCITOPOINFO = 22, "XEN_SYSCTL_pcitopoinfo";
        PSR_ALLOC = 23, "XEN_SYSCTL_psr_alloc";
        GET_CPU_LEVELLING_CAPS = 25, "XEN_SYSCTL_get_cpu_levelling_caps";
        GET_CPU_FEATURESET = 26, "XEN_SYSCTL_get_cpu_featureset";
        LIVEPATCH_OP = 27, "XEN_SYSCTL_livepatch_op";
        GET_CPU_POLICY = 29, "XEN_SYSCTL_get_cpu_policy";
        /// From Xen 4.18 on.
        DT_OVERLAY = 30, "XEN_SYSCTL_dt_overlay";
    }
}

constants! {
    /// What every request must carry, checked before anything else (`EACCES`).
    pub const SYSCTL_INTERFACE_VERSION: u32 = 0x15, "XEN_SYSCTL_INTERFACE_VERSION";
}

wire! {
    /// A request: head and the argument of its sub-operation.
    pub struct Sysctl = "struct xen_sysctl", 136 {
        /// Sub-operation.
        pub command: SysctlOperation = "cmd",
        /// [`SYSCTL_INTERFACE_VERSION`].
        pub interface_version: u32 = "interface_version",
        /// The argument struct of the sub-operation, from its first byte.
        pub argument: [u64; 16] = "u",
    }
}
