//! domctl: arguments of the sub-operations about one vCPU, scheduling and CPU policies. Source: Xen public header
//! `domctl.h`.

use crate::{
    GuestHandle, VcpuId,
    domctl_domain::Bitmap,
    layout::{constants, numbers, wire},
    xen_x86::{CpuidLeaf, MsrEntry, VcpuGuestContext},
};

numbers! {
    /// Which affinity to set or get.
    pub struct AffinityFlags(u32) {
        HARD = 1 << 0, "XEN_VCPUAFFINITY_HARD";
        SOFT = 1 << 1, "XEN_VCPUAFFINITY_SOFT";
        FORCE = 1 << 2, "XEN_VCPUAFFINITY_FORCE";
    }

    /// A scheduler.
    pub struct SchedulerId(u32) {
        CREDIT = 5, "XEN_SCHEDULER_CREDIT";
        CREDIT2 = 6, "XEN_SCHEDULER_CREDIT2";
        ARINC653 = 7, "XEN_SCHEDULER_ARINC653";
        RTDS = 8, "XEN_SCHEDULER_RTDS";
        NULL = 9, "XEN_SCHEDULER_NULL";
    }

    /// What scheduler_op is to do.
    pub struct SchedulerCommand(u32) {
        PUT_INFO = 0, "XEN_DOMCTL_SCHEDOP_putinfo";
        GET_INFO = 1, "XEN_DOMCTL_SCHEDOP_getinfo";
        PUT_VCPU_INFO = 2, "XEN_DOMCTL_SCHEDOP_putvcpuinfo";
        GET_VCPU_INFO = 3, "XEN_DOMCTL_SCHEDOP_getvcpuinfo";
    }

    /// What to send to a vCPU.
    pub struct Trigger(u32) {
        NMI = 0, "XEN_DOMCTL_SENDTRIGGER_NMI";
        RESET = 1, "XEN_DOMCTL_SENDTRIGGER_RESET";
        INIT = 2, "XEN_DOMCTL_SENDTRIGGER_INIT";
        POWER = 3, "XEN_DOMCTL_SENDTRIGGER_POWER";
        SLEEP = 4, "XEN_DOMCTL_SENDTRIGGER_SLEEP";
    }
}

constants! {
    /// No subleaf in a CPUID leaf of a policy.
    pub const NO_SUBLEAF: u32 = u32::MAX, "XEN_CPUID_NO_SUBLEAF";
}

wire! {
    /// setvcpucontext, getvcpucontext.
    pub struct VcpuContext = "struct xen_domctl_vcpucontext", 16 {
        /// Which vCPU.
        pub vcpu: VcpuId = "vcpu",
        /// Padding.
        pub reserved: u32 = "",
        /// The context.
        pub context: GuestHandle<VcpuGuestContext> = "ctxt",
    }

    /// getvcpuinfo.
    pub struct VcpuInformation = "struct xen_domctl_getvcpuinfo", 24 {
        /// Which vCPU.
        pub vcpu: VcpuId = "vcpu",
        /// Whether it is up.
        pub online: u8 = "online",
        /// Whether it waits for an event.
        pub blocked: u8 = "blocked",
        /// Whether it runs.
        pub running: u8 = "running",
        /// Padding.
        pub reserved1: u8 = "",
        /// Nanoseconds it has run.
        pub cpu_time: u64 = "cpu_time",
        /// Where.
        pub cpu: u32 = "cpu",
        /// Padding.
        pub reserved2: u32 = "",
    }

    /// setvcpuaffinity, getvcpuaffinity.
    pub struct VcpuAffinity = "struct xen_domctl_vcpuaffinity", 40 {
        /// Which vCPU.
        pub vcpu: VcpuId = "vcpu",
        /// Which of them.
        pub flags: AffinityFlags = "flags",
        /// Where it must run.
        pub hard: Bitmap = "cpumap_hard",
        /// Where it should run.
        pub soft: Bitmap = "cpumap_soft",
    }

    /// Share of a domain under credit and credit2.
    pub struct SchedulerShare = "struct xen_domctl_sched_credit2", 4 {
        /// Weight.
        pub weight: u16 = "weight",
        /// Percent of a CPU; 0 for no limit.
        pub cap: u16 = "cap",
    }

    /// scheduler_op.
    pub struct SchedulerOp = "struct xen_domctl_scheduler_op", 24 {
        /// Which scheduler's parameters.
        pub scheduler: SchedulerId = "sched_id",
        /// What to do.
        pub command: SchedulerCommand = "cmd",
        /// The share.
        pub share: SchedulerShare = "u.credit2",
        /// The rest of the union.
        pub reserved: [u32; 3] = "",
    }

    /// sendtrigger.
    pub struct SendTrigger = "struct xen_domctl_sendtrigger", 8 {
        /// What.
        pub trigger: Trigger = "trigger",
        /// To which vCPU.
        pub vcpu: VcpuId = "vcpu",
    }

    /// set_ext_vcpucontext, get_ext_vcpucontext.
    pub struct ExtendedContext = "struct xen_domctl_ext_vcpucontext", 64 {
        /// Which vCPU.
        pub vcpu: VcpuId = "vcpu",
        /// Bytes of this that mean something.
        pub size: u32 = "size",
        /// Callback of 32-bit SYSCALL.
        pub syscall32_address: u64 = "syscall32_callback_eip",
        /// Callback of SYSENTER.
        pub sysenter_address: u64 = "sysenter_callback_eip",
        /// For 32-bit guests.
        pub syscall32_selector: u16 = "syscall32_callback_cs",
        /// For 32-bit guests.
        pub sysenter_selector: u16 = "sysenter_callback_cs",
        /// Whether it masks events.
        pub syscall32_masks: u8 = "syscall32_disables_events",
        /// Whether it masks events.
        pub sysenter_masks: u8 = "sysenter_disables_events",
        /// Padding.
        pub reserved: [u8; 2] = "",
        /// Machine-check capabilities.
        pub mcg_cap: u64 = "mcg_cap",
        /// MSRs of the first two banks, and more.
        pub machine_check: [u64; 3] = "",
    }

    /// setvcpuextstate, getvcpuextstate.
    pub struct ExtendedState = "struct xen_domctl_vcpuextstate", 32 {
        /// Which vCPU.
        pub vcpu: VcpuId = "vcpu",
        /// Padding.
        pub reserved: u32 = "",
        /// Features in use.
        pub features: u64 = "xfeature_mask",
        /// Bytes.
        pub size: u64 = "size",
        /// The state.
        pub buffer: GuestHandle<u8> = "buffer",
    }

    /// An MSR and its value.
    pub struct VcpuMsr = "struct xen_domctl_vcpu_msr", 16 {
        /// Number.
        pub index: u32 = "index",
        /// Must be 0.
        pub reserved: u32 = "reserved",
        /// Value.
        pub value: u64 = "value",
    }

    /// get_vcpu_msrs, set_vcpu_msrs.
    pub struct VcpuMsrs = "struct xen_domctl_vcpu_msrs", 16 {
        /// Which vCPU.
        pub vcpu: VcpuId = "vcpu",
        /// In: room; out: how many.
        pub count: u32 = "msr_count",
        /// The MSRs.
        pub msrs: GuestHandle<VcpuMsr> = "msrs",
    }

    /// get_cpu_policy, set_cpu_policy.
    pub struct CpuPolicy = "struct xen_domctl_cpu_policy", 40 {
        /// In: room; out: how many.
        pub leaf_count: u32 = "nr_leaves",
        /// In: room; out: how many.
        pub msr_count: u32 = "nr_msrs",
        /// CPUID leaves.
        pub leaves: GuestHandle<CpuidLeaf> = "leaves",
        /// MSRs.
        pub msrs: GuestHandle<MsrEntry> = "msrs",
        /// What would not do.
        pub error_leaf: u32 = "err_leaf",
        /// What would not do.
        pub error_subleaf: u32 = "err_subleaf",
        /// What would not do.
        pub error_msr: u32 = "err_msr",
        /// Padding.
        pub reserved: u32 = "",
    }
}
