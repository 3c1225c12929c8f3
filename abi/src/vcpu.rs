//! vcpu_op. Source: Xen public header `vcpu.h`.

use crate::{
    Mfn,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Sub-operation of vcpu_op.
    pub struct VcpuOperation(u32) {
        INITIALISE = 0, "VCPUOP_initialise";
        UP = 1, "VCPUOP_up";
        DOWN = 2, "VCPUOP_down";
        IS_UP = 3, "VCPUOP_is_up";
        GET_RUNSTATE_INFO = 4, "VCPUOP_get_runstate_info";
        REGISTER_RUNSTATE_MEMORY_AREA = 5, "VCPUOP_register_runstate_memory_area";
        SET_PERIODIC_TIMER = 6, "VCPUOP_set_periodic_timer";
        STOP_PERIODIC_TIMER = 7, "VCPUOP_stop_periodic_timer";
        SET_SINGLESHOT_TIMER = 8, "VCPUOP_set_singleshot_timer";
        STOP_SINGLESHOT_TIMER = 9, "VCPUOP_stop_singleshot_timer";
        REGISTER_VCPU_INFO = 10, "VCPUOP_register_vcpu_info";
        SEND_NMI = 11, "VCPUOP_send_nmi";
        GET_PHYSID = 12, "VCPUOP_get_physid";
        REGISTER_VCPU_TIME_MEMORY_AREA = 13, "VCPUOP_register_vcpu_time_memory_area";
        /// From Xen 4.18 on.
        REGISTER_RUNSTATE_PHYS_AREA = 14, "VCPUOP_register_runstate_phys_area";
        /// From Xen 4.18 on.
        REGISTER_VCPU_TIME_PHYS_AREA = 15, "VCPUOP_register_vcpu_time_phys_area";
    }

    /// What a vCPU is doing; also the index into [`RunstateInfo::time`].
    pub struct Runstate(u32) {
        RUNNING = 0, "RUNSTATE_running";
        RUNNABLE = 1, "RUNSTATE_runnable";
        BLOCKED = 2, "RUNSTATE_blocked";
        OFFLINE = 3, "RUNSTATE_offline";
    }

    /// Flags of set_singleshot_timer.
    pub struct SingleshotFlags(u32) {
        /// Fail with `ETIME` if the time has passed (ignored since 4.17).
        FUTURE = 1, "VCPU_SSHOTTMR_future";
    }
}

constants! {
    /// Bit of `state_entry_time` that is set while a runstate area is updated, if the guest asked for it.
    pub const RUNSTATE_UPDATE: u64 = 1 << 63, "XEN_RUNSTATE_UPDATE";
}

wire! {
    /// Where a vCPU's time went.
    pub struct RunstateInfo = "struct vcpu_runstate_info", 48 {
        /// Current state.
        pub state: Runstate = "state",
        /// Padding.
        pub reserved: u32 = "",
        /// System time at which it was entered, nanoseconds.
        pub state_entry_time: u64 = "state_entry_time",
        /// Nanoseconds spent in each state.
        pub time: [u64; 4] = "time",
    }

    /// Argument of register_runstate_memory_area.
    pub struct RegisterRunstateMemoryArea = "struct vcpu_register_runstate_memory_area", 8 {
        /// Guest-virtual address of a [`RunstateInfo`] (of the physical area: guest-physical).
        pub address: u64 = "addr",
    }

    /// Argument of set_periodic_timer.
    pub struct SetPeriodicTimer = "struct vcpu_set_periodic_timer", 8 {
        /// Nanoseconds.
        pub period: u64 = "period_ns",
    }

    /// Argument of set_singleshot_timer.
    pub struct SetSingleshotTimer = "struct vcpu_set_singleshot_timer", 16 {
        /// Absolute system time, nanoseconds.
        pub timeout: u64 = "timeout_abs_ns",
        /// [`SingleshotFlags`].
        pub flags: SingleshotFlags = "flags",
        /// Padding.
        pub reserved: u32 = "",
    }

    /// Argument of register_vcpu_info.
    pub struct RegisterVcpuInfo = "struct vcpu_register_vcpu_info", 16 {
        /// Frame that will hold the block.
        pub mfn: Mfn = "mfn",
        /// Offset in the frame.
        pub offset: u32 = "offset",
        /// Unused.
        pub reserved: u32 = "rsvd",
    }

    /// Argument of get_physid.
    pub struct GetPhysid = "struct vcpu_get_physid", 8 {
        /// Out: APIC id in the low half, ACPI id in the high half.
        pub physical_id: u64 = "phys_id",
    }

    /// Argument of register_vcpu_time_memory_area.
    pub struct RegisterTimeMemoryArea = "struct vcpu_register_time_memory_area", 8 {
        /// Guest-virtual address of a [`crate::shared_info::VcpuTimeInfo`] (of the physical area: guest-physical).
        pub address: u64 = "addr",
    }
}
