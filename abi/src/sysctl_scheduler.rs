//! sysctl: arguments of the sub-operations about CPU pools and their schedulers. Source: Xen public header `sysctl.h`.

use crate::{
    domctl_domain::Bitmap,
    domctl_vcpu::SchedulerId,
    layout::{constants, numbers, wire},
};

numbers! {
    /// What cpupool_op is to do.
    pub struct CpupoolCommand(u32) {
        CREATE = 1, "XEN_SYSCTL_CPUPOOL_OP_CREATE";
        DESTROY = 2, "XEN_SYSCTL_CPUPOOL_OP_DESTROY";
        INFO = 3, "XEN_SYSCTL_CPUPOOL_OP_INFO";
        ADD_CPU = 4, "XEN_SYSCTL_CPUPOOL_OP_ADDCPU";
        REMOVE_CPU = 5, "XEN_SYSCTL_CPUPOOL_OP_RMCPU";
        MOVE_DOMAIN = 6, "XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN";
        FREE_INFO = 7, "XEN_SYSCTL_CPUPOOL_OP_FREEINFO";
    }

    /// What scheduler_op is to do.
    pub struct SystemSchedulerCommand(u32) {
        PUT_INFO = 0, "XEN_SYSCTL_SCHEDOP_putinfo";
        GET_INFO = 1, "XEN_SYSCTL_SCHEDOP_getinfo";
    }
}

constants! {
    /// Any pool, or any CPU.
    pub const CPUPOOL_ANY: u32 = u32::MAX, "XEN_SYSCTL_CPUPOOL_PAR_ANY";
    /// Longest rate limit, microseconds.
    pub const RATE_LIMIT_MAX: u32 = 500_000, "XEN_SYSCTL_SCHED_RATELIMIT_MAX";
    /// Shortest rate limit other than none, microseconds.
    pub const RATE_LIMIT_MIN: u32 = 100, "XEN_SYSCTL_SCHED_RATELIMIT_MIN";
}

wire! {
    /// sched_id.
    pub struct SchedId = "struct xen_sysctl_sched_id", 4 {
        /// The default scheduler.
        pub scheduler: SchedulerId = "sched_id",
    }

    /// cpupool_op.
    pub struct CpupoolOp = "struct xen_sysctl_cpupool_op", 40 {
        /// What to do.
        pub command: CpupoolCommand = "op",
        /// Which pool.
        pub pool: u32 = "cpupool_id",
        /// Its scheduler.
        pub scheduler: SchedulerId = "sched_id",
        /// A domain.
        pub domain: u32 = "domid",
        /// A CPU.
        pub cpu: u32 = "cpu",
        /// Domains in it.
        pub domains: u32 = "n_dom",
        /// Its CPUs.
        pub cpus: Bitmap = "cpumap",
    }

    /// scheduler_op; of the union, what credit2 has.
    pub struct SystemSchedulerOp = "struct xen_sysctl_scheduler_op", 32 {
        /// Whose scheduler.
        pub pool: u32 = "cpupool_id",
        /// Which scheduler it is.
        pub scheduler: SchedulerId = "sched_id",
        /// What to do.
        pub command: SystemSchedulerCommand = "cmd",
        /// Padding.
        pub reserved1: u32 = "",
        /// How long who has just got a CPU keeps it, microseconds.
        pub rate_limit: u32 = "u.sched_credit2.ratelimit_us",
        /// The rest of the union.
        pub reserved2: [u32; 3] = "",
    }
}
