//! platform_op: what dom0 does to the machine. Source: Xen public header `platform.h`.

use crate::{
    GuestHandle, Mfn,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Sub-operation of platform_op.
    pub struct PlatformOperation(u32) {
        SETTIME32 = 17, "XENPF_settime32";
        ADD_MEMTYPE = 31, "XENPF_add_memtype";
        DEL_MEMTYPE = 32, "XENPF_del_memtype";
        READ_MEMTYPE = 33, "XENPF_read_memtype";
        MICROCODE_UPDATE = 35, "XENPF_microcode_update";
        PLATFORM_QUIRK = 39, "XENPF_platform_quirk";
        GET_CPU_VERSION = 48, "XENPF_get_cpu_version";
        EFI_RUNTIME_CALL = 49, "XENPF_efi_runtime_call";
        FIRMWARE_INFO = 50, "XENPF_firmware_info";
        ENTER_ACPI_SLEEP = 51, "XENPF_enter_acpi_sleep";
        CHANGE_FREQ = 52, "XENPF_change_freq";
        GETIDLETIME = 53, "XENPF_getidletime";
        SET_PROCESSOR_PMINFO = 54, "XENPF_set_processor_pminfo";
        GET_CPUINFO = 55, "XENPF_get_cpuinfo";
        CPU_ONLINE = 56, "XENPF_cpu_online";
        CPU_OFFLINE = 57, "XENPF_cpu_offline";
        CPU_HOTADD = 58, "XENPF_cpu_hotadd";
        MEM_HOTADD = 59, "XENPF_mem_hotadd";
        CORE_PARKING = 60, "XENPF_core_parking";
        RESOURCE_OP = 61, "XENPF_resource_op";
        SETTIME64 = 62, "XENPF_settime64";
        GET_SYMBOL = 63, "XENPF_get_symbol";
        /// From Xen 4.18 on.
        GET_DOM0_CONSOLE = 64, "XENPF_get_dom0_console";
        /// From Xen 4.18 on.
        GET_UCODE_REVISION = 65, "XENPF_get_ucode_revision";
        /// From Xen 4.20 on.
        MICROCODE_UPDATE2 = 66, "XENPF_microcode_update2";
    }

    /// What platform_quirk announces.
    pub struct PlatformQuirk(u32) {
        NO_IRQ_BALANCING = 1, "QUIRK_NOIRQBALANCING";
        IOAPIC_BAD_REGSEL = 2, "QUIRK_IOAPIC_BAD_REGSEL";
        IOAPIC_GOOD_REGSEL = 3, "QUIRK_IOAPIC_GOOD_REGSEL";
    }

    /// Function of efi_runtime_call.
    pub struct EfiFunction(u32) {
        GET_TIME = 1, "XEN_EFI_get_time";
        SET_TIME = 2, "XEN_EFI_set_time";
        GET_WAKEUP_TIME = 3, "XEN_EFI_get_wakeup_time";
        SET_WAKEUP_TIME = 4, "XEN_EFI_set_wakeup_time";
        GET_NEXT_HIGH_MONOTONIC_COUNT = 5, "XEN_EFI_get_next_high_monotonic_count";
        GET_VARIABLE = 6, "XEN_EFI_get_variable";
        SET_VARIABLE = 7, "XEN_EFI_set_variable";
        GET_NEXT_VARIABLE_NAME = 8, "XEN_EFI_get_next_variable_name";
        QUERY_VARIABLE_INFO = 9, "XEN_EFI_query_variable_info";
        QUERY_CAPSULE_CAPABILITIES = 10, "XEN_EFI_query_capsule_capabilities";
        UPDATE_CAPSULE = 11, "XEN_EFI_update_capsule";
    }

    /// Kind of firmware_info.
    pub struct FirmwareInfoType(u32) {
        DISK_INFO = 1, "XEN_FW_DISK_INFO";
        DISK_MBR_SIGNATURE = 2, "XEN_FW_DISK_MBR_SIGNATURE";
        VBEDDC_INFO = 3, "XEN_FW_VBEDDC_INFO";
        EFI_INFO = 4, "XEN_FW_EFI_INFO";
        KBD_SHIFT_FLAGS = 5, "XEN_FW_KBD_SHIFT_FLAGS";
    }

    /// Index of firmware_info for [`FirmwareInfoType::EFI_INFO`].
    pub struct EfiInfoIndex(u32) {
        VERSION = 0, "XEN_FW_EFI_VERSION";
        CONFIG_TABLE = 1, "XEN_FW_EFI_CONFIG_TABLE";
        VENDOR = 2, "XEN_FW_EFI_VENDOR";
        MEM_INFO = 3, "XEN_FW_EFI_MEM_INFO";
        RT_VERSION = 4, "XEN_FW_EFI_RT_VERSION";
        PCI_ROM = 5, "XEN_FW_EFI_PCI_ROM";
        APPLE_PROPERTIES = 6, "XEN_FW_EFI_APPLE_PROPERTIES";
    }

    /// State of a physical CPU.
    pub struct PcpuFlags(u32) {
        ONLINE = 1, "XEN_PCPU_FLAGS_ONLINE";
        INVALID = 2, "XEN_PCPU_FLAGS_INVALID";
    }

    /// Command of core_parking.
    pub struct CoreParkingCommand(u32) {
        SET = 1, "XEN_CORE_PARKING_SET";
        GET = 2, "XEN_CORE_PARKING_GET";
    }

    /// Command of an entry of resource_op.
    pub struct ResourceCommand(u32) {
        MSR_READ = 0, "XEN_RESOURCE_OP_MSR_READ";
        MSR_WRITE = 1, "XEN_RESOURCE_OP_MSR_WRITE";
    }
}

constants! {
    /// What every request must carry.
    pub const PLATFORM_INTERFACE_VERSION: u32 = 0x0300_0001, "XENPF_INTERFACE_VERSION";
    /// Flag of microcode_update2: whatever version the CPU has.
    pub const MICROCODE_FORCE: u32 = 1, "XENPF_UCODE_FORCE @4.20";
    /// Flag of enter_acpi_sleep: the values are for the extended registers.
    pub const ACPI_SLEEP_EXTENDED: u32 = 1, "XENPF_ACPI_SLEEP_EXTENDED";
    /// Out flag of EFI get_time.
    pub const EFI_GET_TIME_SET_CLEARS_NS: u32 = 1, "XEN_EFI_GET_TIME_SET_CLEARS_NS";
    /// Out flag of EFI get_wakeup_time.
    pub const EFI_GET_WAKEUP_TIME_ENABLED: u32 = 1, "XEN_EFI_GET_WAKEUP_TIME_ENABLED";
    /// Out flag of EFI get_wakeup_time.
    pub const EFI_GET_WAKEUP_TIME_PENDING: u32 = 2, "XEN_EFI_GET_WAKEUP_TIME_PENDING";
    /// Flag of EFI set_wakeup_time.
    pub const EFI_SET_WAKEUP_TIME_ENABLE: u32 = 1, "XEN_EFI_SET_WAKEUP_TIME_ENABLE";
    /// Flag of EFI set_wakeup_time.
    pub const EFI_SET_WAKEUP_TIME_ENABLE_ONLY: u32 = 2, "XEN_EFI_SET_WAKEUP_TIME_ENABLE_ONLY";
    /// Flag of EFI query_variable_info.
    pub const EFI_VARINFO_BOOT_SNAPSHOT: u32 = 1, "XEN_EFI_VARINFO_BOOT_SNAPSHOT";
}

wire! {
    /// A request: head and the argument of its sub-operation.
    pub struct PlatformOp = "struct xen_platform_op", 136 {
        /// Sub-operation.
        pub command: PlatformOperation = "cmd",
        /// [`PLATFORM_INTERFACE_VERSION`].
        pub interface_version: u32 = "interface_version",
        /// The argument struct of the sub-operation, from its first byte.
        pub argument: [u64; 16] = "u",
    }

    /// Argument of settime32.
    pub struct Settime32 = "struct xenpf_settime32", 16 {
        /// Unix time.
        pub seconds: u32 = "secs",
        /// Nanoseconds.
        pub nanoseconds: u32 = "nsecs",
        /// System time at which it was that late.
        pub system_time: u64 = "system_time",
    }

    /// Argument of settime64.
    pub struct Settime64 = "struct xenpf_settime64", 24 {
        /// Unix time.
        pub seconds: u64 = "secs",
        /// Nanoseconds.
        pub nanoseconds: u32 = "nsecs",
        /// Must be 0.
        pub must_be_zero: u32 = "mbz",
        /// System time at which it was that late.
        pub system_time: u64 = "system_time",
    }

    /// Argument of add_memtype.
    pub struct AddMemtype = "struct xenpf_add_memtype", 32 {
        /// First frame.
        pub mfn: Mfn = "mfn",
        /// Frames.
        pub count: u64 = "nr_mfns",
        /// MTRR type.
        pub kind: u32 = "type",
        /// Out.
        pub handle: u32 = "handle",
        /// Out.
        pub register: u32 = "reg",
        /// Padding.
        pub reserved: u32 = "",
    }

    /// Argument of del_memtype.
    pub struct DelMemtype = "struct xenpf_del_memtype", 8 {
        /// From add_memtype.
        pub handle: u32 = "handle",
        /// From add_memtype.
        pub register: u32 = "reg",
    }

    /// Argument of read_memtype.
    pub struct ReadMemtype = "struct xenpf_read_memtype", 32 {
        /// Which variable MTRR.
        pub register: u32 = "reg",
        /// Padding.
        pub reserved0: u32 = "",
        /// Out: first frame.
        pub mfn: Mfn = "mfn",
        /// Out: frames.
        pub count: u64 = "nr_mfns",
        /// Out: MTRR type.
        pub kind: u32 = "type",
        /// Padding.
        pub reserved1: u32 = "",
    }

    /// Argument of microcode_update.
    pub struct MicrocodeUpdate = "struct xenpf_microcode_update", 16 {
        /// The blob.
        pub data: GuestHandle<u8> = "data",
        /// Its bytes.
        pub length: u32 = "length",
        /// Padding.
        pub reserved: u32 = "",
    }

    /// Argument of microcode_update2. Came with Xen 4.20.
    pub struct MicrocodeUpdate2 = "struct xenpf_microcode_update2 @4.20", 16 {
        /// [`MICROCODE_FORCE`].
        pub flags: u32 = "flags",
        /// Bytes of the blob.
        pub length: u32 = "length",
        /// The blob.
        pub data: GuestHandle<u8> = "data",
    }

    /// Argument of platform_quirk.
    pub struct PlatformQuirkArgument = "struct xenpf_platform_quirk", 4 {
        /// Which.
        pub quirk: PlatformQuirk = "quirk_id",
    }

    /// Head of the argument of efi_runtime_call.
    pub struct EfiRuntimeCall = "struct xenpf_efi_runtime_call", 56 {
        /// Which.
        pub function: EfiFunction = "function",
        /// Flags in and out, as the function says.
        pub misc: u32 = "misc",
        /// Out: the EFI status.
        pub status: u64 = "status",
        /// The arguments of the function.
        pub argument: [u64; 5] = "u",
    }

    /// EFI time.
    pub struct EfiTime = "struct xenpf_efi_time", 16 {
        /// Year.
        pub year: u16 = "year",
        /// 1 to 12.
        pub month: u8 = "month",
        /// 1 to 31.
        pub day: u8 = "day",
        /// 0 to 23.
        pub hour: u8 = "hour",
        /// 0 to 59.
        pub minute: u8 = "min",
        /// 0 to 59.
        pub second: u8 = "sec",
        /// Padding.
        pub reserved0: u8 = "",
        /// Nanoseconds.
        pub nanosecond: u32 = "ns",
        /// Minutes from UTC.
        pub time_zone: i16 = "tz",
        /// Daylight saving.
        pub daylight: u8 = "daylight",
        /// Padding.
        pub reserved1: u8 = "",
    }

    /// EFI GUID.
    pub struct EfiGuid = "struct xenpf_efi_guid", 16 {
        /// First group.
        pub data1: u32 = "data1",
        /// Second group.
        pub data2: u16 = "data2",
        /// Third group.
        pub data3: u16 = "data3",
        /// The rest.
        pub data4: [u8; 8] = "data4",
    }

    /// Argument of firmware_info.
    pub struct FirmwareInfo = "struct xenpf_firmware_info", 40 {
        /// Kind.
        pub kind: FirmwareInfoType = "type",
        /// Which one of the kind.
        pub index: u32 = "index",
        /// Out: as the kind says.
        pub info: [u64; 4] = "u",
    }

    /// Argument of enter_acpi_sleep.
    pub struct EnterAcpiSleep = "struct xenpf_enter_acpi_sleep", 12 {
        /// For PM1a_CNT.
        pub value_a: u16 = "val_a",
        /// For PM1b_CNT.
        pub value_b: u16 = "val_b",
        /// 3 or 5.
        pub sleep_state: u32 = "sleep_state",
        /// [`ACPI_SLEEP_EXTENDED`] or 0.
        pub flags: u32 = "flags",
    }

    /// Argument of change_freq.
    pub struct ChangeFreq = "struct xenpf_change_freq", 16 {
        /// Must be 0.
        pub flags: u32 = "flags",
        /// Which.
        pub cpu: u32 = "cpu",
        /// Hz.
        pub frequency: u64 = "freq",
    }

    /// Argument of getidletime.
    pub struct GetIdleTime = "struct xenpf_getidletime", 32 {
        /// In: CPUs asked about, out: CPUs answered.
        pub cpu_bitmap: GuestHandle<u8> = "cpumap_bitmap",
        /// Bits of it.
        pub cpu_count: u32 = "cpumap_nr_cpus",
        /// Padding.
        pub reserved: u32 = "",
        /// Out: nanoseconds of each.
        pub idle_time: GuestHandle<u64> = "idletime",
        /// Out: system time.
        pub now: u64 = "now",
    }

    /// Argument of get_cpuinfo.
    pub struct PcpuInfo = "struct xenpf_pcpuinfo", 20 {
        /// In: which.
        pub cpu: u32 = "xen_cpuid",
        /// Out: highest that is present.
        pub max_present: u32 = "max_present",
        /// Out: state.
        pub flags: PcpuFlags = "flags",
        /// Out.
        pub apic_id: u32 = "apic_id",
        /// Out.
        pub acpi_id: u32 = "acpi_id",
    }

    /// Argument of get_cpu_version.
    pub struct PcpuVersion = "struct xenpf_pcpu_version", 32 {
        /// In: which.
        pub cpu: u32 = "xen_cpuid",
        /// Out: highest that is present.
        pub max_present: u32 = "max_present",
        /// Out: CPUID vendor.
        pub vendor: [u8; 12] = "vendor_id",
        /// Out.
        pub family: u32 = "family",
        /// Out.
        pub model: u32 = "model",
        /// Out.
        pub stepping: u32 = "stepping",
    }

    /// Argument of cpu_online and cpu_offline.
    pub struct CpuOnline = "struct xenpf_cpu_ol", 4 {
        /// Which.
        pub cpu: u32 = "cpuid",
    }

    /// Argument of cpu_hotadd.
    pub struct CpuHotadd = "struct xenpf_cpu_hotadd", 12 {
        /// APIC id.
        pub apic_id: u32 = "apic_id",
        /// ACPI id.
        pub acpi_id: u32 = "acpi_id",
        /// Proximity domain.
        pub proximity: u32 = "pxm",
    }

    /// Argument of mem_hotadd.
    pub struct MemHotadd = "struct xenpf_mem_hotadd", 24 {
        /// First frame.
        pub start: u64 = "spfn",
        /// First frame after it.
        pub end: u64 = "epfn",
        /// Proximity domain.
        pub proximity: u32 = "pxm",
        /// Must be 0.
        pub flags: u32 = "flags",
    }

    /// Argument of core_parking.
    pub struct CoreParking = "struct xenpf_core_parking", 8 {
        /// What to do.
        pub command: CoreParkingCommand = "type",
        /// CPUs to park, or out: parked.
        pub idle_count: u32 = "idle_nums",
    }

    /// Entry of resource_op.
    pub struct ResourceEntry = "struct xenpf_resource_entry", 24 {
        /// In: command, out: result.
        pub command: ResourceCommand = "u.cmd",
        /// Must be 0.
        pub reserved: u32 = "rsvd",
        /// MSR.
        pub index: u64 = "idx",
        /// In or out.
        pub value: u64 = "val",
    }

    /// Argument of resource_op.
    pub struct ResourceOp = "struct xenpf_resource_op", 16 {
        /// Number of entries.
        pub entry_count: u32 = "nr_entries",
        /// Where.
        pub cpu: u32 = "cpu",
        /// The entries.
        pub entries: GuestHandle<ResourceEntry> = "entries",
    }

    /// Argument of get_symbol.
    pub struct SymbolData = "struct xenpf_symdata", 32 {
        /// In: room, out: needed.
        pub name_len: u32 = "namelen",
        /// In: which, out: the next.
        pub symbol: u32 = "symnum",
        /// Out.
        pub name: GuestHandle<u8> = "name",
        /// Out.
        pub address: u64 = "address",
        /// Out: as nm prints it.
        pub kind: u8 = "type",
        /// Padding.
        pub reserved: [u8; 7] = "",
    }
}
