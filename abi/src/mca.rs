//! mca: machine checks for dom0. Source: Xen public header `arch-x86/xen-mca.h`.

use crate::{
    DomainId, GuestHandle,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Sub-operation of mca.
    pub struct McaOperation(u32) {
        FETCH = 1, "XEN_MC_fetch";
        NOTIFYDOMAIN = 2, "XEN_MC_notifydomain";
        PHYSCPUINFO = 3, "XEN_MC_physcpuinfo";
        MSRINJECT = 4, "XEN_MC_msrinject";
        MCEINJECT = 5, "XEN_MC_mceinject";
        INJECT_V2 = 6, "XEN_MC_inject_v2";
    }

    /// Flags of fetch: in which queue and whether it is an acknowledgement, out what happened.
    pub struct McaFetchFlags(u32) {
        NONURGENT = 1 << 0, "XEN_MC_NONURGENT";
        URGENT = 1 << 1, "XEN_MC_URGENT";
        ACK = 1 << 2, "XEN_MC_ACK";
        OK = 0, "XEN_MC_OK";
        FETCH_FAILED = 1 << 0, "XEN_MC_FETCHFAILED";
        NO_DATA = 1 << 1, "XEN_MC_NODATA";
        NO_MATCH = 1 << 2, "XEN_MC_NOMATCH";
        CANNOT_HANDLE = 1 << 3, "XEN_MC_CANNOTHANDLE";
        NOT_DELIVERED = 1 << 4, "XEN_MC_NOTDELIVERED";
    }
}

constants! {
    /// What every request must carry.
    pub const MCA_INTERFACE_VERSION: u32 = 0x01EC_C003, "XEN_MCA_INTERFACE_VERSION";
}

wire! {
    /// A request: head and the argument of its sub-operation.
    pub struct Mca = "struct xen_mc", 152 {
        /// Sub-operation.
        pub command: McaOperation = "cmd",
        /// [`MCA_INTERFACE_VERSION`].
        pub interface_version: u32 = "interface_version",
        /// The argument struct of the sub-operation.
        pub argument: [u64; 18] = "u",
    }

    /// Argument of fetch.
    pub struct McaFetch = "struct xen_mc_fetch", 24 {
        /// In and out.
        pub flags: McaFetchFlags = "flags",
        /// Padding.
        pub reserved: u32 = "_pad0",
        /// Out; in for an acknowledgement.
        pub fetch_id: u64 = "fetch_id",
        /// Out: a [`McaInfo`].
        pub data: GuestHandle<McaInfo> = "data",
    }

    /// Records of one machine check.
    pub struct McaInfo = "struct mc_info", 768 {
        /// Number of records.
        pub entry_count: u32 = "mi_nentries",
        /// 1 if some did not fit.
        pub flags: u32 = "flags",
        /// The records.
        pub data: [u64; 95] = "mi_data",
    }

    /// Argument of physcpuinfo.
    pub struct McaPhysicalCpuInfo = "struct xen_mc_physcpuinfo", 16 {
        /// In: room, out: CPUs.
        pub cpu_count: u32 = "ncpus",
        /// Padding.
        pub reserved: u32 = "_pad0",
        /// Out; null asks for the number only.
        pub info: GuestHandle<McaLogicalCpu> = "info",
    }

    /// Argument of msrinject.
    pub struct McaMsrInject = "struct xen_mc_msrinject", 144 {
        /// Number of the CPU.
        pub cpu: u32 = "mcinj_cpunr",
        /// Flags.
        pub flags: u32 = "mcinj_flags",
        /// Registers in use below.
        pub count: u32 = "mcinj_count",
        /// Whose physical addresses are meant.
        pub domain: DomainId = "mcinj_domid",
        /// Padding.
        pub reserved: u16 = "_pad0",
        /// Registers: number, value.
        pub registers: [[u64; 2]; 8] = "mcinj_msr",
    }

    /// A CPU as physcpuinfo reports it.
    pub struct McaLogicalCpu = "struct mcinfo_logical_cpu", 304 {
        /// Number.
        pub cpu: u32 = "mc_cpunr",
        /// Socket.
        pub chip: u32 = "mc_chipid",
        /// Core.
        pub core: u16 = "mc_coreid",
        /// Thread.
        pub thread: u16 = "mc_threadid",
        /// APIC id.
        pub apic_id: u32 = "mc_apicid",
        /// Cluster.
        pub cluster: u32 = "mc_clusterid",
        /// Cores of the socket.
        pub cores: u32 = "mc_ncores",
        /// Those in use.
        pub active_cores: u32 = "mc_ncores_active",
        /// Threads of a core.
        pub threads: u32 = "mc_nthreads",
        /// Highest CPUID leaf.
        pub cpuid_level: i32 = "mc_cpuid_level",
        /// CPUID.
        pub family: u32 = "mc_family",
        /// Xen's vendor number.
        pub vendor: u32 = "mc_vendor",
        /// CPUID.
        pub model: u32 = "mc_model",
        /// CPUID.
        pub stepping: u32 = "mc_step",
        /// CPUID, NUL-padded.
        pub vendor_name: [u8; 16] = "mc_vendorid",
        /// CPUID, NUL-padded.
        pub brand: [u8; 64] = "mc_brandid",
        /// Feature words.
        pub capabilities: [u32; 7] = "mc_cpu_caps",
        /// KiB.
        pub cache_size: u32 = "mc_cache_size",
        /// Bytes.
        pub cache_alignment: u32 = "mc_cache_alignment",
        /// Number of MSRs below.
        pub msr_count: i32 = "mc_nmsrvals",
        /// Padding.
        pub reserved: u32 = "",
        /// MSRs: number, value; the first is MCG_CAP.
        pub msrs: [[u64; 2]; 8] = "mc_msrvalues",
    }
}
