//! sched_op. Source: Xen public header `sched.h`.

use crate::{
    DomainId, GuestHandle, Port,
    layout::{numbers, wire},
};

numbers! {
    /// Sub-operation of sched_op.
    pub struct SchedOperation(u32) {
        YIELD = 0, "SCHEDOP_yield";
        BLOCK = 1, "SCHEDOP_block";
        SHUTDOWN = 2, "SCHEDOP_shutdown";
        POLL = 3, "SCHEDOP_poll";
        REMOTE_SHUTDOWN = 4, "SCHEDOP_remote_shutdown";
        SHUTDOWN_CODE = 5, "SCHEDOP_shutdown_code";
        WATCHDOG = 6, "SCHEDOP_watchdog";
        PIN_OVERRIDE = 7, "SCHEDOP_pin_override";
    }

    /// Why a domain shut down.
    pub struct ShutdownReason(u32) {
        POWEROFF = 0, "SHUTDOWN_poweroff";
        REBOOT = 1, "SHUTDOWN_reboot";
        SUSPEND = 2, "SHUTDOWN_suspend";
        CRASH = 3, "SHUTDOWN_crash";
        WATCHDOG = 4, "SHUTDOWN_watchdog";
        SOFT_RESET = 5, "SHUTDOWN_soft_reset";
        MAX = 5, "SHUTDOWN_MAX";
    }
}

/// Most ports of one poll; more are `EINVAL`. Not in the public headers.
pub const POLL_PORTS_MAX: u32 = 128;
/// Watchdog timers of a domain. Not in the public headers.
pub const WATCHDOG_TIMERS: usize = 2;

wire! {
    /// Argument of shutdown and shutdown_code.
    pub struct SchedShutdown = "struct sched_shutdown", 4 {
        /// Why.
        pub reason: ShutdownReason = "reason",
    }

    /// Argument of poll.
    pub struct SchedPoll = "struct sched_poll", 24 {
        /// Ports to wait for.
        pub ports: GuestHandle<Port> = "ports",
        /// How many.
        pub port_count: u32 = "nr_ports",
        /// Padding.
        pub reserved: u32 = "",
        /// Absolute system time in nanoseconds, 0 for no timeout.
        pub timeout: u64 = "timeout",
    }

    /// Argument of remote_shutdown.
    pub struct SchedRemoteShutdown = "struct sched_remote_shutdown", 8 {
        /// Which domain.
        pub domain: DomainId = "domain_id",
        /// Padding.
        pub reserved: u16 = "",
        /// Why.
        pub reason: ShutdownReason = "reason",
    }

    /// Argument of watchdog.
    pub struct SchedWatchdog = "struct sched_watchdog", 8 {
        /// 0 allocates a timer, otherwise names one.
        pub id: u32 = "id",
        /// Seconds; 0 destroys it.
        pub timeout: u32 = "timeout",
    }

    /// Argument of pin_override.
    pub struct SchedPinOverride = "struct sched_pin_override", 4 {
        /// Physical CPU, negative to end the pinning.
        pub pcpu: i32 = "pcpu",
    }
}
