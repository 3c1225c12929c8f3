//! Power management data that dom0 uploads with XENPF_set_processor_pminfo. Source: Xen public header `platform.h`.

use crate::{
    GuestHandle,
    layout::{numbers, wire},
};

numbers! {
    /// Kind of set_processor_pminfo.
    pub struct PowerInfoType(u32) {
        CX = 0, "XEN_PM_CX";
        PX = 1, "XEN_PM_PX";
        TX = 2, "XEN_PM_TX";
        PDC = 3, "XEN_PM_PDC";
    }

    /// Power-management bits of the start flags, before their shift by 8.
    pub struct ProcessorPower(u32) {
        CX = 1, "XEN_PROCESSOR_PM_CX";
        PX = 2, "XEN_PROCESSOR_PM_PX";
        TX = 4, "XEN_PROCESSOR_PM_TX";
    }

    /// Parts a [`ProcessorPerformance`] holds.
    pub struct PerformanceFlags(u32) {
        PCT = 1, "XEN_PX_PCT";
        PSS = 2, "XEN_PX_PSS";
        PPC = 4, "XEN_PX_PPC";
        PSD = 8, "XEN_PX_PSD";
    }

    /// Which CPUs of a domain must change together.
    pub struct SharedType(u32) {
        HARDWARE = 1, "XEN_CPUPERF_SHARED_TYPE_HW";
        ALL = 2, "XEN_CPUPERF_SHARED_TYPE_ALL";
        ANY = 3, "XEN_CPUPERF_SHARED_TYPE_ANY";
    }
}

wire! {
    /// Address of a power-management register, as ACPI states it.
    pub struct PowerRegister = "struct xen_power_register", 24 {
        /// Address space.
        pub space: u32 = "space_id",
        /// Bits.
        pub bit_width: u32 = "bit_width",
        /// First bit.
        pub bit_offset: u32 = "bit_offset",
        /// Access size.
        pub access_size: u32 = "access_size",
        /// Address.
        pub address: u64 = "address",
    }

    /// Dependency between C-states.
    pub struct ProcessorCsd = "struct xen_processor_csd", 12 {
        /// Domain.
        pub domain: u32 = "domain",
        /// How it is coordinated.
        pub coordination: u32 = "coord_type",
        /// CPUs of it.
        pub count: u32 = "num",
    }

    /// A C-state.
    pub struct ProcessorCx = "struct xen_processor_cx", 48 {
        /// How to enter it.
        pub register: PowerRegister = "reg",
        /// 1 to 3.
        pub kind: u8 = "type",
        /// Padding.
        pub reserved: [u8; 3] = "",
        /// Microseconds.
        pub latency: u32 = "latency",
        /// Milliwatts.
        pub power: u32 = "power",
        /// Dependencies.
        pub dependency_count: u32 = "dpcnt",
        /// Dependencies.
        pub dependencies: GuestHandle<ProcessorCsd> = "dp",
    }

    /// C-states of a CPU.
    pub struct ProcessorPowerInfo = "struct xen_processor_power", 16 {
        /// Number of states.
        pub count: u32 = "count",
        /// bm_control, bm_check, has_cst, power_setup_done, bm_rld_set from bit 0.
        pub flags: u32 = "flags",
        /// The states.
        pub states: GuestHandle<ProcessorCx> = "states",
    }

    /// Register of performance states.
    pub struct PctRegister = "struct xen_pct_register", 16 {
        /// ACPI.
        pub descriptor: u8 = "descriptor",
        /// Padding.
        pub reserved0: u8 = "",
        /// ACPI.
        pub length: u16 = "length",
        /// Address space.
        pub space: u8 = "space_id",
        /// Bits.
        pub bit_width: u8 = "bit_width",
        /// First bit.
        pub bit_offset: u8 = "bit_offset",
        /// ACPI.
        pub reserved: u8 = "reserved",
        /// Address.
        pub address: u64 = "address",
    }

    /// A performance state.
    pub struct ProcessorPx = "struct xen_processor_px", 48 {
        /// MHz.
        pub core_frequency: u64 = "core_frequency",
        /// Milliwatts.
        pub power: u64 = "power",
        /// Microseconds.
        pub transition_latency: u64 = "transition_latency",
        /// Microseconds.
        pub bus_master_latency: u64 = "bus_master_latency",
        /// Value that selects it.
        pub control: u64 = "control",
        /// Value that reports it.
        pub status: u64 = "status",
    }

    /// Dependency between performance states.
    pub struct PsdPackage = "struct xen_psd_package", 40 {
        /// ACPI.
        pub entries: u64 = "num_entries",
        /// ACPI.
        pub revision: u64 = "revision",
        /// Domain.
        pub domain: u64 = "domain",
        /// How it is coordinated.
        pub coordination: u64 = "coord_type",
        /// CPUs of it.
        pub processors: u64 = "num_processors",
    }

    /// Performance states of a CPU.
    pub struct ProcessorPerformance = "struct xen_processor_performance", 104 {
        /// Which parts are there.
        pub flags: PerformanceFlags = "flags",
        /// Best state now allowed.
        pub platform_limit: u32 = "platform_limit",
        /// Register.
        pub control_register: PctRegister = "control_register",
        /// Register.
        pub status_register: PctRegister = "status_register",
        /// Number of states.
        pub state_count: u32 = "state_count",
        /// Padding.
        pub reserved0: u32 = "",
        /// The states.
        pub states: GuestHandle<ProcessorPx> = "states",
        /// Dependency.
        pub domain_info: PsdPackage = "domain_info",
        /// Dependency.
        pub shared_type: SharedType = "shared_type",
        /// Padding.
        pub reserved1: u32 = "",
    }

    /// Argument of set_processor_pminfo.
    pub struct SetProcessorPminfo = "struct xenpf_set_processor_pminfo", 112 {
        /// ACPI id of the CPU.
        pub id: u32 = "id",
        /// Kind.
        pub kind: PowerInfoType = "type",
        /// [`ProcessorPowerInfo`], [`ProcessorPerformance`], or a handle of 32-bit words, as the kind says.
        pub info: [u64; 13] = "u",
    }
}
