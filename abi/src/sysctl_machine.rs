//! sysctl: arguments of the sub-operations about the machine. Source: Xen public header `sysctl.h`.

use crate::{
    DomainId, GuestHandle,
    domctl_domain::DomainInfo,
    layout::{constants, numbers, wire},
    physdev::PciDevice,
    xen_x86::{CpuidLeaf, MsrEntry},
};

numbers! {
    /// What the platform can do.
    pub struct PhysicalCapabilities(u32) {
        HVM = 1 << 0, "XEN_SYSCTL_PHYSCAP_hvm";
        PV = 1 << 1, "XEN_SYSCTL_PHYSCAP_pv";
        DIRECTIO = 1 << 2, "XEN_SYSCTL_PHYSCAP_directio";
        HAP = 1 << 3, "XEN_SYSCTL_PHYSCAP_hap";
        SHADOW = 1 << 4, "XEN_SYSCTL_PHYSCAP_shadow";
        IOMMU_HAP_PT_SHARE = 1 << 5, "XEN_SYSCTL_PHYSCAP_iommu_hap_pt_share";
        VMTRACE = 1 << 6, "XEN_SYSCTL_PHYSCAP_vmtrace";
        VPMU = 1 << 7, "XEN_SYSCTL_PHYSCAP_vpmu";
        GNTTAB_V1 = 1 << 8, "XEN_SYSCTL_PHYSCAP_gnttab_v1";
        GNTTAB_V2 = 1 << 9, "XEN_SYSCTL_PHYSCAP_gnttab_v2";
    }

    /// Which feature set.
    pub struct FeaturesetIndex(u32) {
        RAW = 0, "XEN_SYSCTL_cpu_featureset_raw";
        HOST = 1, "XEN_SYSCTL_cpu_featureset_host";
        PV = 2, "XEN_SYSCTL_cpu_featureset_pv";
        HVM = 3, "XEN_SYSCTL_cpu_featureset_hvm";
        PV_MAX = 4, "XEN_SYSCTL_cpu_featureset_pv_max";
        HVM_MAX = 5, "XEN_SYSCTL_cpu_featureset_hvm_max";
    }

    /// Which CPU policy.
    pub struct PolicyIndex(u32) {
        RAW = 0, "XEN_SYSCTL_cpu_policy_raw";
        HOST = 1, "XEN_SYSCTL_cpu_policy_host";
        PV_MAX = 2, "XEN_SYSCTL_cpu_policy_pv_max";
        HVM_MAX = 3, "XEN_SYSCTL_cpu_policy_hvm_max";
        PV_DEFAULT = 4, "XEN_SYSCTL_cpu_policy_pv_default";
        HVM_DEFAULT = 5, "XEN_SYSCTL_cpu_policy_hvm_default";
    }

    /// What get_pmstat tells about.
    pub struct PowerStatistics(u32) {
        GET_MAX_PX = 0x11, "PMSTAT_get_max_px";
        GET_PX = 0x12, "PMSTAT_get_pxstat";
        RESET_PX = 0x13, "PMSTAT_reset_pxstat";
        GET_MAX_CX = 0x21, "PMSTAT_get_max_cx";
        GET_CX = 0x22, "PMSTAT_get_cxstat";
        RESET_CX = 0x23, "PMSTAT_reset_cxstat";
    }

    /// What page_offline_op is to do with frames.
    pub struct FrameCommand(u32) {
        OFFLINE = 1, "sysctl_page_offline";
        ONLINE = 2, "sysctl_page_online";
        QUERY = 3, "sysctl_query_page_offline";
    }

    /// What became of a frame that was to leave.
    pub struct FrameOutcome(u32) {
        INVALID = 1 << 0, "PG_OFFLINE_INVALID";
        OFFLINED = 1 << 1, "PG_OFFLINE_OFFLINED";
        PENDING = 1 << 2, "PG_OFFLINE_PENDING";
        FAILED = 1 << 3, "PG_OFFLINE_FAILED";
        XEN_PAGE = 1 << 8, "PG_OFFLINE_XENPAGE";
        NOT_RAM = 1 << 11, "PG_OFFLINE_NOT_CONV_RAM";
        OWNED = 1 << 12, "PG_OFFLINE_OWNED";
    }

    /// How a frame is that is asked for.
    pub struct FrameStatus(u32) {
        OFFLINED = 1 << 1, "PG_OFFLINE_STATUS_OFFLINED";
        PENDING = 1 << 3, "PG_OFFLINE_STATUS_OFFLINE_PENDING";
    }

    /// What pm_op is to do.
    pub struct PowerCommand(u32) {
        GET_CPUFREQ_PARAMETERS = 0x11, "GET_CPUFREQ_PARA";
        SET_CPUFREQ_GOVERNOR = 0x12, "SET_CPUFREQ_GOV";
        SET_CPUFREQ_PARAMETER = 0x13, "SET_CPUFREQ_PARA";
        GET_CPUFREQ_AVERAGE = 0x14, "GET_CPUFREQ_AVGFREQ";
        SET_SMT_SCHEDULING = 0x21, "XEN_SYSCTL_pm_op_set_sched_opt_smt";
        GET_MAX_CSTATE = 0x22, "XEN_SYSCTL_pm_op_get_max_cstate";
        SET_MAX_CSTATE = 0x23, "XEN_SYSCTL_pm_op_set_max_cstate";
        ENABLE_TURBO = 0x26, "XEN_SYSCTL_pm_op_enable_turbo";
        DISABLE_TURBO = 0x27, "XEN_SYSCTL_pm_op_disable_turbo";
    }

    /// What cpu_hotplug is to do.
    pub struct HotplugOperation(u32) {
        ONLINE = 0, "XEN_SYSCTL_CPU_HOTPLUG_ONLINE";
        OFFLINE = 1, "XEN_SYSCTL_CPU_HOTPLUG_OFFLINE";
        SMT_ENABLE = 2, "XEN_SYSCTL_CPU_HOTPLUG_SMT_ENABLE";
        SMT_DISABLE = 3, "XEN_SYSCTL_CPU_HOTPLUG_SMT_DISABLE";
    }

    /// How CPUID can be made to show less.
    pub struct LevellingCapabilities(u32) {
        FAULTING = 1 << 0, "XEN_SYSCTL_CPU_LEVELCAP_faulting";
        ECX = 1 << 1, "XEN_SYSCTL_CPU_LEVELCAP_ecx";
        EDX = 1 << 2, "XEN_SYSCTL_CPU_LEVELCAP_edx";
        EXTENDED_ECX = 1 << 3, "XEN_SYSCTL_CPU_LEVELCAP_extd_ecx";
        EXTENDED_EDX = 1 << 4, "XEN_SYSCTL_CPU_LEVELCAP_extd_edx";
        XSAVE_EAX = 1 << 5, "XEN_SYSCTL_CPU_LEVELCAP_xsave_eax";
        THERMAL_ECX = 1 << 6, "XEN_SYSCTL_CPU_LEVELCAP_thermal_ecx";
        L7S0_EAX = 1 << 7, "XEN_SYSCTL_CPU_LEVELCAP_l7s0_eax";
        L7S0_EBX = 1 << 8, "XEN_SYSCTL_CPU_LEVELCAP_l7s0_ebx";
    }
}

constants! {
    /// Where the owner's number begins in an outcome.
    pub const FRAME_OWNER_SHIFT: u32 = 16, "PG_OFFLINE_OWNER_SHIFT";
    /// What coming back can come to.
    pub const FRAME_ONLINED: u32 = 2, "PG_ONLINE_ONLINED";
    /// Kinds of power statistics, and of power commands.
    pub const POWER_CATEGORY: u32 = 0xf0, "PMSTAT_CATEGORY_MASK";
    /// Statistics of frequencies.
    pub const POWER_FREQUENCIES: u32 = 0x10, "PMSTAT_PX";
    /// Statistics of idle states.
    pub const POWER_IDLE_STATES: u32 = 0x20, "PMSTAT_CX";
    /// No core number.
    pub const NO_CORE: u32 = u32::MAX, "XEN_INVALID_CORE_ID";
    /// No socket number.
    pub const NO_SOCKET: u32 = u32::MAX, "XEN_INVALID_SOCKET_ID";
    /// No node number.
    pub const NO_NODE: u32 = u32::MAX, "XEN_INVALID_NODE_ID";
    /// No such device.
    pub const NO_DEVICE: u32 = u32::MAX - 1, "XEN_INVALID_DEV";
    /// No distance.
    pub const NO_DISTANCE: u32 = u32::MAX, "XEN_INVALID_NODE_DIST";
}

wire! {
    /// readconsole.
    pub struct ReadConsole = "struct xen_sysctl_readconsole", 24 {
        /// Not 0: what was read is gone.
        pub clear: u8 = "clear",
        /// Not 0: begin at `index`.
        pub incremental: u8 = "incremental",
        /// Padding.
        pub reserved0: u8 = "pad0",
        /// Padding.
        pub reserved1: u8 = "pad1",
        /// In: where to begin; out: where it ended.
        pub index: u32 = "index",
        /// Where to write.
        pub buffer: GuestHandle<u8> = "buffer",
        /// In: room; out: bytes.
        pub count: u32 = "count",
        /// Padding.
        pub reserved2: u32 = "",
    }

    /// physinfo.
    pub struct PhysInfo = "struct xen_sysctl_physinfo", 112 {
        /// Threads of a core.
        pub threads_per_core: u32 = "threads_per_core",
        /// Cores of a socket.
        pub cores_per_socket: u32 = "cores_per_socket",
        /// CPUs that run.
        pub cpus: u32 = "nr_cpus",
        /// Largest number of a CPU.
        pub max_cpu_id: u32 = "max_cpu_id",
        /// Nodes.
        pub nodes: u32 = "nr_nodes",
        /// Largest number of a node.
        pub max_node_id: u32 = "max_node_id",
        /// Frequency.
        pub kilohertz: u32 = "cpu_khz",
        /// What the platform can do.
        pub capabilities: PhysicalCapabilities = "capabilities",
        /// Of other architectures.
        pub arch_capabilities: u32 = "arch_capabilities",
        /// Padding.
        pub reserved: u32 = "pad",
        /// Frames.
        pub total_pages: u64 = "total_pages",
        /// Frames nobody has.
        pub free_pages: u64 = "free_pages",
        /// Frames that wait to be scrubbed.
        pub scrub_pages: u64 = "scrub_pages",
        /// Frames of claims.
        pub outstanding_pages: u64 = "outstanding_pages",
        /// Largest frame number.
        pub max_mfn: u64 = "max_mfn",
        /// CPUID words.
        pub hardware: [u32; 8] = "hw_cap",
    }

    /// getdomaininfolist.
    pub struct DomainInfoList = "struct xen_sysctl_getdomaininfolist", 24 {
        /// Lowest id.
        pub first: DomainId = "first_domain",
        /// Padding.
        pub reserved1: u16 = "",
        /// Room.
        pub max: u32 = "max_domains",
        /// Where to write.
        pub buffer: GuestHandle<DomainInfo> = "buffer",
        /// How many were written.
        pub count: u32 = "num_domains",
        /// Padding.
        pub reserved2: u32 = "",
    }

    /// debug_keys.
    pub struct DebugKeys = "struct xen_sysctl_debug_keys", 16 {
        /// The keys.
        pub keys: GuestHandle<u8> = "keys",
        /// How many.
        pub count: u32 = "nr_keys",
        /// Padding.
        pub reserved: u32 = "",
    }

    /// A CPU's idleness.
    pub struct CpuInfo = "struct xen_sysctl_cpuinfo", 8 {
        /// Nanoseconds.
        pub idle_time: u64 = "idletime",
    }

    /// getcpuinfo.
    pub struct GetCpuInfo = "struct xen_sysctl_getcpuinfo", 24 {
        /// Room.
        pub max: u32 = "max_cpus",
        /// Padding.
        pub reserved1: u32 = "",
        /// Where to write.
        pub info: GuestHandle<CpuInfo> = "info",
        /// How many were written.
        pub count: u32 = "nr_cpus",
        /// Padding.
        pub reserved2: u32 = "",
    }

    /// availheap.
    pub struct AvailHeap = "struct xen_sysctl_availheap", 24 {
        /// Smallest address width.
        pub min_bits: u32 = "min_bitwidth",
        /// Largest address width; 0 for any.
        pub max_bits: u32 = "max_bitwidth",
        /// Node, or -1.
        pub node: i32 = "node",
        /// Padding.
        pub reserved: u32 = "",
        /// Free memory.
        pub bytes: u64 = "avail_bytes",
    }

    /// page_offline_op.
    pub struct PageOffline = "struct xen_sysctl_page_offline_op", 24 {
        /// What to do.
        pub command: FrameCommand = "cmd",
        /// The first frame.
        pub first: u32 = "start",
        /// The last one.
        pub last: u32 = "end",
        /// Padding.
        pub reserved: u32 = "",
        /// Where to write what came of each.
        pub status: GuestHandle<u32> = "status",
    }

    /// cpu_hotplug.
    pub struct CpuHotplug = "struct xen_sysctl_cpu_hotplug", 8 {
        /// Which CPU.
        pub cpu: u32 = "cpu",
        /// What to do.
        pub operation: HotplugOperation = "op",
    }

    /// get_pmstat about idle states.
    pub struct IdleStatistics = "struct xen_sysctl_get_pmstat", 64 {
        /// What to tell about.
        pub kind: PowerStatistics = "type",
        /// Which CPU.
        pub cpu: u32 = "cpuid",
        /// In: room; out: states, the running one included.
        pub states: u32 = "u.getcx.nr",
        /// The last state.
        pub last: u32 = "u.getcx.last",
        /// Nanoseconds idle.
        pub idle_time: u64 = "u.getcx.idle_time",
        /// Where to write how often each state was entered.
        pub entries: GuestHandle<u64> = "u.getcx.triggers",
        /// Where to write nanoseconds in each state.
        pub residencies: GuestHandle<u64> = "u.getcx.residencies",
        /// Package counters.
        pub package_counters: u32 = "u.getcx.nr_pc",
        /// Core counters.
        pub core_counters: u32 = "u.getcx.nr_cc",
        /// Where to write package counters.
        pub package: GuestHandle<u64> = "u.getcx.pc",
        /// Where to write core counters.
        pub core: GuestHandle<u64> = "u.getcx.cc",
    }

    /// pm_op, of whose union only a word is used.
    pub struct PowerOp = "struct xen_sysctl_pm_op", 128 {
        /// What to do.
        pub command: PowerCommand = "cmd",
        /// Which CPU, or which limit.
        pub cpu: u32 = "cpuid",
        /// The value.
        pub value: u32 = "u.get_max_cstate",
        /// The rest of the union.
        pub reserved: [u32; 29] = "",
    }

    /// Where a CPU is.
    pub struct CpuTopology = "struct xen_sysctl_cputopo", 12 {
        /// Core.
        pub core: u32 = "core",
        /// Socket.
        pub socket: u32 = "socket",
        /// Node.
        pub node: u32 = "node",
    }

    /// cputopoinfo.
    pub struct CpuTopologyInfo = "struct xen_sysctl_cputopoinfo", 16 {
        /// In: room; out: how many.
        pub count: u32 = "num_cpus",
        /// Padding.
        pub reserved: u32 = "",
        /// Where to write.
        pub cpus: GuestHandle<CpuTopology> = "cputopo",
    }

    /// A node's memory.
    pub struct NodeMemory = "struct xen_sysctl_meminfo", 16 {
        /// Bytes.
        pub size: u64 = "memsize",
        /// Of them free.
        pub free: u64 = "memfree",
    }

    /// numainfo.
    pub struct NumaInfo = "struct xen_sysctl_numainfo", 24 {
        /// In: room; out: how many.
        pub count: u32 = "num_nodes",
        /// Padding.
        pub reserved: u32 = "",
        /// Where to write memory sizes.
        pub memory: GuestHandle<NodeMemory> = "meminfo",
        /// Where to write distances.
        pub distances: GuestHandle<u32> = "distance",
    }

    /// pcitopoinfo.
    pub struct PciTopologyInfo = "struct xen_sysctl_pcitopoinfo", 24 {
        /// In: devices; out: how many were looked at.
        pub count: u32 = "num_devs",
        /// Padding.
        pub reserved: u32 = "",
        /// The devices.
        pub devices: GuestHandle<PciDevice> = "devs",
        /// Where to write their nodes.
        pub nodes: GuestHandle<u32> = "nodes",
    }

    /// get_cpu_levelling_caps.
    pub struct CpuLevelling = "struct xen_sysctl_cpu_levelling_caps", 4 {
        /// What there is.
        pub capabilities: LevellingCapabilities = "caps",
    }

    /// get_cpu_featureset.
    pub struct CpuFeatureset = "struct xen_sysctl_cpu_featureset", 16 {
        /// Which set.
        pub index: FeaturesetIndex = "index",
        /// In: room; out: words.
        pub count: u32 = "nr_features",
        /// Where to write.
        pub features: GuestHandle<u32> = "features",
    }

    /// get_cpu_policy.
    pub struct SystemCpuPolicy = "struct xen_sysctl_cpu_policy", 32 {
        /// Which policy.
        pub index: PolicyIndex = "index",
        /// In: room; out: how many.
        pub leaf_count: u32 = "nr_leaves",
        /// In: room; out: how many.
        pub msr_count: u32 = "nr_msrs",
        /// Must be 0.
        pub reserved: u32 = "_rsvd",
        /// CPUID leaves.
        pub leaves: GuestHandle<CpuidLeaf> = "leaves",
        /// MSRs.
        pub msrs: GuestHandle<MsrEntry> = "msrs",
    }
}
