//! hvm_op and HVM parameters. Source: Xen public headers `hvm/hvm_op.h` and `hvm/params.h`.

use crate::{
    DomainId, VcpuId,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Sub-operation of hvm_op.
    pub struct HvmOperation(u32) {
        SET_PARAM = 0, "HVMOP_set_param";
        GET_PARAM = 1, "HVMOP_get_param";
        FLUSH_TLBS = 5, "HVMOP_flush_tlbs";
        PAGETABLE_DYING = 9, "HVMOP_pagetable_dying";
        GET_TIME = 10, "HVMOP_get_time";
        XENTRACE = 11, "HVMOP_xentrace";
        SET_MEM_ACCESS = 12, "HVMOP_set_mem_access";
        GET_MEM_ACCESS = 13, "HVMOP_get_mem_access";
        GET_MEM_TYPE = 15, "HVMOP_get_mem_type";
        SET_EVTCHN_UPCALL_VECTOR = 23, "HVMOP_set_evtchn_upcall_vector";
        GUEST_REQUEST_VM_EVENT = 24, "HVMOP_guest_request_vm_event";
        ALTP2M = 25, "HVMOP_altp2m";
    }

    /// Index of a parameter.
    pub struct HvmParam(u32) {
        CALLBACK_IRQ = 0, "HVM_PARAM_CALLBACK_IRQ";
        STORE_PFN = 1, "HVM_PARAM_STORE_PFN";
        STORE_EVTCHN = 2, "HVM_PARAM_STORE_EVTCHN";
        PAE_ENABLED = 4, "HVM_PARAM_PAE_ENABLED";
        IOREQ_PFN = 5, "HVM_PARAM_IOREQ_PFN";
        BUFIOREQ_PFN = 6, "HVM_PARAM_BUFIOREQ_PFN";
        VIRIDIAN = 9, "HVM_PARAM_VIRIDIAN";
        TIMER_MODE = 10, "HVM_PARAM_TIMER_MODE";
        HPET_ENABLED = 11, "HVM_PARAM_HPET_ENABLED";
        IDENT_PT = 12, "HVM_PARAM_IDENT_PT";
        DM_DOMAIN = 13, "HVM_PARAM_DM_DOMAIN";
        ACPI_S_STATE = 14, "HVM_PARAM_ACPI_S_STATE";
        VM86_TSS = 15, "HVM_PARAM_VM86_TSS";
        VPT_ALIGN = 16, "HVM_PARAM_VPT_ALIGN";
        CONSOLE_PFN = 17, "HVM_PARAM_CONSOLE_PFN";
        CONSOLE_EVTCHN = 18, "HVM_PARAM_CONSOLE_EVTCHN";
        ACPI_IOPORTS_LOCATION = 19, "HVM_PARAM_ACPI_IOPORTS_LOCATION";
        NESTEDHVM = 24, "HVM_PARAM_NESTEDHVM";
        BUFIOREQ_EVTCHN = 26, "HVM_PARAM_BUFIOREQ_EVTCHN";
        PAGING_RING_PFN = 27, "HVM_PARAM_PAGING_RING_PFN";
        MONITOR_RING_PFN = 28, "HVM_PARAM_MONITOR_RING_PFN";
        SHARING_RING_PFN = 29, "HVM_PARAM_SHARING_RING_PFN";
        TRIPLE_FAULT_REASON = 31, "HVM_PARAM_TRIPLE_FAULT_REASON";
        IOREQ_SERVER_PFN = 32, "HVM_PARAM_IOREQ_SERVER_PFN";
        NR_IOREQ_SERVER_PAGES = 33, "HVM_PARAM_NR_IOREQ_SERVER_PAGES";
        VM_GENERATION_ID_ADDR = 34, "HVM_PARAM_VM_GENERATION_ID_ADDR";
        ALTP2M = 35, "HVM_PARAM_ALTP2M";
        X87_FIP_WIDTH = 36, "HVM_PARAM_X87_FIP_WIDTH";
        VM86_TSS_SIZED = 37, "HVM_PARAM_VM86_TSS_SIZED";
        MCA_CAP = 38, "HVM_PARAM_MCA_CAP";
    }

    /// Type of a guest page.
    pub struct HvmMemoryType(u16) {
        RAM_RW = 0, "HVMMEM_ram_rw";
        RAM_RO = 1, "HVMMEM_ram_ro";
        MMIO_DM = 2, "HVMMEM_mmio_dm";
        UNUSED = 3, "HVMMEM_unused";
        IOREQ_SERVER = 4, "HVMMEM_ioreq_server";
    }
}

constants! {
    /// Number of parameters; indices from here on are `EINVAL`.
    pub const HVM_PARAM_COUNT: u32 = 39, "HVM_NR_PARAMS";
    /// Interface version of the altp2m sub-operation.
    pub const ALTP2M_INTERFACE_VERSION: u32 = 1, "HVMOP_ALTP2M_INTERFACE_VERSION";
}

wire! {
    /// Argument of set_param and get_param.
    pub struct HvmParamArgument = "struct xen_hvm_param", 16 {
        /// Whose.
        pub domain: DomainId = "domid",
        /// Padding.
        pub reserved: u16 = "pad",
        /// Which.
        pub index: HvmParam = "index",
        /// In or out.
        pub value: u64 = "value",
    }

    /// Argument of pagetable_dying.
    pub struct HvmPagetableDying = "struct xen_hvm_pagetable_dying", 16 {
        /// Whose.
        pub domain: DomainId = "domid",
        /// Padding.
        pub reserved: [u16; 3] = "pad",
        /// Top-level table, guest-physical.
        pub address: u64 = "gpa",
    }

    /// Argument of get_time.
    pub struct HvmGetTime = "struct xen_hvm_get_time", 8 {
        /// Out: guest time, nanoseconds.
        pub now: u64 = "now",
    }

    /// Argument of get_mem_type.
    pub struct HvmGetMemType = "struct xen_hvm_get_mem_type", 16 {
        /// Whose.
        pub domain: DomainId = "domid",
        /// Out.
        pub memory_type: HvmMemoryType = "mem_type",
        /// Padding.
        pub reserved: [u16; 2] = "pad",
        /// Which.
        pub pfn: u64 = "pfn",
    }

    /// Argument of set_evtchn_upcall_vector.
    pub struct HvmEvtchnUpcallVector = "struct xen_hvm_evtchn_upcall_vector", 8 {
        /// Which vCPU.
        pub vcpu: VcpuId = "vcpu",
        /// Which vector.
        pub vector: u8 = "vector",
        /// Padding.
        pub reserved: [u8; 3] = "",
    }
}
