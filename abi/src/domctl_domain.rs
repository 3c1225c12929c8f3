//! domctl: arguments of the sub-operations about a domain as a whole. Source: Xen public header `domctl.h`.

use crate::{
    DomainId, GuestHandle, Mfn, Virq,
    layout::{constants, numbers, wire},
    memory::VirtualMemoryRange,
    version::DomainHandle,
    xen_x86::ArchDomainConfig,
};

numbers! {
    /// What a new domain is to be.
    pub struct CreateFlags(u32) {
        HVM = 1 << 0, "XEN_DOMCTL_CDF_hvm";
        HAP = 1 << 1, "XEN_DOMCTL_CDF_hap";
        S3_INTEGRITY = 1 << 2, "XEN_DOMCTL_CDF_s3_integrity";
        OOS_OFF = 1 << 3, "XEN_DOMCTL_CDF_oos_off";
        XS_DOMAIN = 1 << 4, "XEN_DOMCTL_CDF_xs_domain";
        IOMMU = 1 << 5, "XEN_DOMCTL_CDF_iommu";
        NESTED_VIRT = 1 << 6, "XEN_DOMCTL_CDF_nested_virt";
        VPMU = 1 << 7, "XEN_DOMCTL_CDF_vpmu";
    }

    /// Whether gsi_permission gives or takes.
    pub struct GsiAction(u32) {
        REVOKE = 0, "XEN_DOMCTL_GSI_REVOKE @4.20";
        GRANT = 1, "XEN_DOMCTL_GSI_GRANT @4.20";
    }

    /// State of a domain as tools see it; the shutdown reason is in bits 16 to 23.
    pub struct DomainFlags(u32) {
        DYING = 1 << 0, "XEN_DOMINF_dying";
        HVM_GUEST = 1 << 1, "XEN_DOMINF_hvm_guest";
        SHUTDOWN = 1 << 2, "XEN_DOMINF_shutdown";
        PAUSED = 1 << 3, "XEN_DOMINF_paused";
        BLOCKED = 1 << 4, "XEN_DOMINF_blocked";
        RUNNING = 1 << 5, "XEN_DOMINF_running";
        DEBUGGED = 1 << 6, "XEN_DOMINF_debugged";
        XS_DOMAIN = 1 << 7, "XEN_DOMINF_xs_domain";
        HAP = 1 << 8, "XEN_DOMINF_hap";
    }

    /// How far a domain is in its life, as get_domain_state tells.
    pub struct DomainState(u16) {
        EXIST = 1 << 0, "";
        SHUTDOWN = 1 << 1, "";
        DYING = 1 << 2, "";
        DEAD = 1 << 3, "";
    }

    /// What a domain may do, as get_domain_state tells.
    pub struct DomainCapabilities(u16) {
        CONTROL = 1 << 0, "";
        HARDWARE = 1 << 1, "";
        XENSTORE = 1 << 2, "";
    }

    /// What a frame is used as, in an entry of getpageframeinfo3.
    pub struct FrameKind(u32) {
        NO_TABLE = 0, "XEN_DOMCTL_PFINFO_NOTAB";
        L1_TABLE = 1 << 28, "XEN_DOMCTL_PFINFO_L1TAB";
        L2_TABLE = 2 << 28, "XEN_DOMCTL_PFINFO_L2TAB";
        L3_TABLE = 3 << 28, "XEN_DOMCTL_PFINFO_L3TAB";
        L4_TABLE = 4 << 28, "XEN_DOMCTL_PFINFO_L4TAB";
        PINNED_TABLE = 1 << 31, "XEN_DOMCTL_PFINFO_LPINTAB";
        INVALID = 0xF << 28, "XEN_DOMCTL_PFINFO_XTAB";
        BROKEN = 0xD << 28, "XEN_DOMCTL_PFINFO_BROKEN";
    }

    /// Sub-operation of shadow_op.
    pub struct ShadowOperation(u32) {
        OFF = 0, "XEN_DOMCTL_SHADOW_OP_OFF";
        ENABLE_TEST = 1, "XEN_DOMCTL_SHADOW_OP_ENABLE_TEST";
        ENABLE_LOGDIRTY = 2, "XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY";
        CLEAN = 11, "XEN_DOMCTL_SHADOW_OP_CLEAN";
        PEEK = 12, "XEN_DOMCTL_SHADOW_OP_PEEK";
        GET_ALLOCATION = 30, "XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION";
        SET_ALLOCATION = 31, "XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION";
        ENABLE = 32, "XEN_DOMCTL_SHADOW_OP_ENABLE";
    }
}

impl FrameKind {
    /// Whether it is a page table of some level, pinned or not.
    pub const fn is_table(self) -> bool {
        let level = FrameKind(self.0 & !FrameKind::PINNED_TABLE.0);
        matches!(level, FrameKind::L1_TABLE | FrameKind::L2_TABLE | FrameKind::L3_TABLE | FrameKind::L4_TABLE)
    }
}

constants! {
    /// `nr_online_vcpus` has no counterpart: the highest vCPU id of a domain without vCPUs.
    pub const NO_VCPUS: u32 = u32::MAX, "XEN_INVALID_MAX_VCPU_ID";
    /// Position of the shutdown reason in [`DomainFlags`].
    pub const SHUTDOWN_SHIFT: u32 = 16, "XEN_DOMINF_shutdownshift";
    /// Width of the shutdown reason.
    pub const SHUTDOWN_MASK: u32 = 255, "XEN_DOMINF_shutdownmask";
    /// Relaxed treatment of unknown MSRs, in `ArchDomainConfig::misc_flags`.
    pub const MSR_RELAXED: u32 = 1, "XEN_X86_MSR_RELAXED";
    /// The part of `grant_opts` that holds the version.
    pub const GRANT_VERSION_MASK: u32 = 0xF, "XEN_DOMCTL_GRANT_version_mask";
    /// Page-table logging, a mode of `ShadowOperation::ENABLE`.
    pub const SHADOW_LOG_DIRTY: u32 = 1 << 2, "XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY";
}

wire! {
    /// A bitmap in the caller's memory.
    pub struct Bitmap = "struct xenctl_bitmap", 16 {
        /// Its bytes, lowest first.
        pub bitmap: GuestHandle<u8> = "bitmap",
        /// How many bits there is room for.
        pub bits: u32 = "nr_bits",
        /// Padding.
        pub reserved: u32 = "",
    }

    /// createdomain, as of interface versions 0x15 and 0x16.
    pub struct CreateDomain = "struct xen_domctl_createdomain @4.17", 64 {
        /// Security label.
        pub ssidref: u32 = "ssidref",
        /// UUID.
        pub handle: DomainHandle = "handle",
        /// What it is to be.
        pub flags: CreateFlags = "flags",
        /// Only with an IOMMU.
        pub iommu_options: u32 = "iommu_opts",
        /// vCPUs.
        pub max_vcpus: u32 = "max_vcpus",
        /// Highest event port.
        pub max_port: u32 = "max_evtchn_port",
        /// Frames of its grant table; negative for the default.
        pub max_grant_frames: i32 = "max_grant_frames",
        /// Frames of mapping handles; negative for the default.
        pub max_maptrack_frames: i32 = "max_maptrack_frames",
        /// Highest grant-table version in the low four bits.
        pub grant_options: u32 = "grant_opts",
        /// Trace buffer of each vCPU, bytes.
        pub trace_size: u32 = "vmtrace_size",
        /// CPU pool.
        pub cpupool: u32 = "cpupool_id",
        /// Of x86.
        pub arch: ArchDomainConfig = "arch",
    }

    /// createdomain, as of interface versions 0x17 and 0x18: a word about alternate p2ms came in between.
    pub struct CreateDomain17 = "struct xen_domctl_createdomain @4.20", 68 {
        /// Security label.
        pub ssidref: u32 = "ssidref",
        /// UUID.
        pub handle: DomainHandle = "handle",
        /// What it is to be.
        pub flags: CreateFlags = "flags",
        /// Only with an IOMMU.
        pub iommu_options: u32 = "iommu_opts",
        /// vCPUs.
        pub max_vcpus: u32 = "max_vcpus",
        /// Highest event port.
        pub max_port: u32 = "max_evtchn_port",
        /// Frames of its grant table; negative for the default.
        pub max_grant_frames: i32 = "max_grant_frames",
        /// Frames of mapping handles; negative for the default.
        pub max_maptrack_frames: i32 = "max_maptrack_frames",
        /// Highest grant-table version in the low four bits.
        pub grant_options: u32 = "grant_opts",
        /// Alternate p2ms: mode, and from Xen 4.21 on their number in the upper half.
        pub altp2m: u32 = "altp2m_opts",
        /// Trace buffer of each vCPU, bytes.
        pub trace_size: u32 = "vmtrace_size",
        /// CPU pool.
        pub cpupool: u32 = "cpupool_id",
        /// Of x86.
        pub arch: ArchDomainConfig = "arch",
    }

    /// getdomaininfo, and an entry of sysctl's getdomaininfolist.
    pub struct DomainInfo = "struct xen_domctl_getdomaininfo", 112 {
        /// Which domain.
        pub domain: DomainId = "domain",
        /// Padding.
        pub reserved1: u16 = "pad1",
        /// State.
        pub flags: DomainFlags = "flags",
        /// Frames it has.
        pub total_pages: u64 = "tot_pages",
        /// Frames it may have.
        pub max_pages: u64 = "max_pages",
        /// Frames of its claim.
        pub outstanding_pages: u64 = "outstanding_pages",
        /// Frames it shares with others by memory sharing.
        pub shared_pages: u64 = "shr_pages",
        /// Frames that are paged out.
        pub paged_pages: u64 = "paged_pages",
        /// Its shared page.
        pub shared_info_frame: Mfn = "shared_info_frame",
        /// Nanoseconds that its vCPUs have run.
        pub cpu_time: u64 = "cpu_time",
        /// vCPUs that are up.
        pub online_vcpus: u32 = "nr_online_vcpus",
        /// Highest vCPU id, or [`NO_VCPUS`].
        pub max_vcpu_id: u32 = "max_vcpu_id",
        /// Security label.
        pub ssidref: u32 = "ssidref",
        /// UUID.
        pub handle: DomainHandle = "handle",
        /// CPU pool.
        pub cpupool: u32 = "cpupool",
        /// Width of its physical addresses.
        pub address_bits: u8 = "gpaddr_bits",
        /// Padding.
        pub reserved2: [u8; 7] = "pad2",
        /// Of x86.
        pub arch: ArchDomainConfig = "arch_config",
    }

    /// getpageframeinfo3.
    pub struct PageFrameInfo = "struct xen_domctl_getpageframeinfo3", 16 {
        /// Entries.
        pub count: u64 = "num",
        /// In: frame numbers; out: what they are used as.
        pub array: GuestHandle<u64> = "array",
    }

    /// Counts of logging.
    pub struct ShadowStatistics = "struct xen_domctl_shadow_op_stats", 8 {
        /// Faults.
        pub faults: u32 = "fault_count",
        /// Pages written.
        pub dirty: u32 = "dirty_count",
    }

    /// shadow_op.
    pub struct ShadowOp = "struct xen_domctl_shadow_op", 40 {
        /// What to do.
        pub operation: ShadowOperation = "op",
        /// Flags of the operation.
        pub mode: u32 = "mode",
        /// Megabytes.
        pub megabytes: u32 = "mb",
        /// Padding.
        pub reserved: u32 = "",
        /// Where to write which pages changed.
        pub bitmap: GuestHandle<u8> = "dirty_bitmap",
        /// In: room; out: pages told about.
        pub pages: u64 = "pages",
        /// Counts.
        pub statistics: ShadowStatistics = "stats",
    }

    /// max_mem.
    pub struct MaxMem = "struct xen_domctl_max_mem", 8 {
        /// Kilobytes.
        pub kilobytes: u64 = "max_memkb",
    }

    /// setnodeaffinity, getnodeaffinity.
    pub struct NodeAffinity = "struct xen_domctl_nodeaffinity", 16 {
        /// Nodes.
        pub nodes: Bitmap = "nodemap",
    }

    /// max_vcpus.
    pub struct MaxVcpus = "struct xen_domctl_max_vcpus", 4 {
        /// vCPUs; the number that createdomain had.
        pub max: u32 = "max",
    }

    /// setdomainhandle.
    pub struct SetDomainHandle = "struct xen_domctl_setdomainhandle", 16 {
        /// UUID.
        pub handle: DomainHandle = "handle",
    }

    /// setdebugging.
    pub struct SetDebugging = "struct xen_domctl_setdebugging", 1 {
        /// Not 0: on.
        pub enable: u8 = "enable",
    }

    /// irq_permission.
    pub struct IrqPermission = "struct xen_domctl_irq_permission", 8 {
        /// Interrupt, by the caller's number.
        pub pirq: u32 = "pirq",
        /// Not 0: grant.
        pub allow: u8 = "allow_access",
        /// Padding.
        pub reserved: [u8; 3] = "pad",
    }

    /// gsi_permission. Came with Xen 4.20.
    pub struct GsiPermission = "struct xen_domctl_gsi_permission @4.20", 8 {
        /// The interrupt line.
        pub line: u32 = "gsi",
        /// Given or taken.
        pub action: GsiAction = "flags",
    }

    /// iomem_permission.
    pub struct IomemPermission = "struct xen_domctl_iomem_permission", 24 {
        /// First frame.
        pub first: Mfn = "first_mfn",
        /// Frames.
        pub count: u64 = "nr_mfns",
        /// Not 0: grant.
        pub allow: u8 = "allow_access",
        /// Padding.
        pub reserved: [u8; 7] = "",
    }

    /// ioport_permission.
    pub struct IoportPermission = "struct xen_domctl_ioport_permission", 12 {
        /// First port.
        pub first: u32 = "first_port",
        /// Ports.
        pub count: u32 = "nr_ports",
        /// Not 0: grant.
        pub allow: u8 = "allow_access",
        /// Padding.
        pub reserved: [u8; 3] = "",
    }

    /// hypercall_init.
    pub struct HypercallInit = "struct xen_domctl_hypercall_init", 8 {
        /// The page to fill.
        pub frame: Mfn = "gmfn",
    }

    /// settimeoffset.
    pub struct SetTimeOffset = "struct xen_domctl_settimeoffset", 8 {
        /// Seconds from the host's time of day.
        pub seconds: i64 = "time_offset_seconds",
    }

    /// set_address_size, get_address_size.
    pub struct AddressSize = "struct xen_domctl_address_size", 4 {
        /// Bits.
        pub bits: u32 = "size",
    }

    /// subscribe.
    pub struct Subscribe = "struct xen_domctl_subscribe", 4 {
        /// Port to notify when the domain suspends.
        pub port: u32 = "port",
    }

    /// set_virq_handler.
    pub struct SetVirqHandler = "struct xen_domctl_set_virq_handler", 4 {
        /// Which of the global ones.
        pub virq: Virq = "virq",
    }

    /// gettscinfo, settscinfo.
    pub struct TscInfo = "struct xen_domctl_tsc_info", 24 {
        /// 0 default, 1 always emulated, 2 never emulated.
        pub mode: u32 = "tsc_mode",
        /// The guest's frequency.
        pub kilohertz: u32 = "gtsc_khz",
        /// How often it was restored.
        pub incarnation: u32 = "incarnation",
        /// Padding.
        pub reserved: u32 = "pad",
        /// Nanoseconds on the guest's clock.
        pub elapsed: u64 = "elapsed_nsec",
    }

    /// set_target.
    pub struct SetTarget = "struct xen_domctl_set_target", 2 {
        /// Whose device model it becomes.
        pub target: DomainId = "target",
    }

    /// get_paging_mempool_size, set_paging_mempool_size.
    pub struct PagingMempool = "struct xen_domctl_paging_mempool", 8 {
        /// Bytes.
        pub size: u64 = "size",
    }

    /// set_llc_colors: which parts of the last-level cache a domain's memory may lie in. Came with Xen 4.20.
    pub struct SetCacheColors = "struct xen_domctl_set_llc_colors @4.20", 16 {
        /// How many.
        pub count: u32 = "num_llc_colors",
        /// Zero.
        pub pad: u32 = "pad",
        /// Which.
        pub colors: GuestHandle<u32> = "llc_colors",
    }

    /// get_domain_state. Came with Xen 4.21, whose headers say: `struct xen_domctl_get_domain_state`.
    pub struct GetDomainState = "", 16 {
        /// Out.
        pub state: DomainState = "",
        /// Out.
        pub capabilities: DomainCapabilities = "",
        /// Zero.
        pub pad: u32 = "",
        /// Out: what no other domain has, before or after.
        pub unique_id: u64 = "",
    }

    /// assign_device, test_assign_device, deassign_device for PCI.
    pub struct AssignDevice = "struct xen_domctl_assign_device", 24 {
        /// 0: PCI.
        pub kind: u32 = "dev",
        /// Flags.
        pub flags: u32 = "flags",
        /// Segment, bus, device and function.
        pub device: u32 = "u.pci.machine_sbdf",
        /// The rest of the union.
        pub reserved: [u32; 3] = "",
    }

    /// setvnumainfo.
    pub struct VirtualNuma = "struct xen_domctl_vnuma", 48 {
        /// Nodes.
        pub nodes: u32 = "nr_vnodes",
        /// Memory ranges.
        pub ranges: u32 = "nr_vmemranges",
        /// vCPUs.
        pub vcpus: u32 = "nr_vcpus",
        /// Must be 0.
        pub reserved: u32 = "pad",
        /// Distances.
        pub distances: GuestHandle<u32> = "vdistance",
        /// Node of each vCPU.
        pub vcpu_nodes: GuestHandle<u32> = "vcpu_to_vnode",
        /// Physical node of each.
        pub physical_nodes: GuestHandle<u32> = "vnode_to_pnode",
        /// The ranges.
        pub memory: GuestHandle<VirtualMemoryRange> = "vmemrange",
    }
}
