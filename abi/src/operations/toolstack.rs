//! Who needs which sub-operation: calls of the toolstack.
//!
//! `tests/operations.rs` holds every table against the named numbers of its type.

use crate::operations::list_groups;

list_groups! {
    DOMCTL domctl::DomctlOperation {
        CREATEDOMAIN: XL;
        DESTROYDOMAIN: XL;
        PAUSEDOMAIN: XL SR;
        UNPAUSEDOMAIN: XL SR;
        GETDOMAININFO: XL;
        SETVCPUAFFINITY: XL;
        SHADOW_OP: XL SR;
        MAX_MEM: XL;
        SETVCPUCONTEXT: XL SR;
        GETVCPUCONTEXT: XL SR;
        GETVCPUINFO: XL;
        MAX_VCPUS: XL;
        SCHEDULER_OP: XL;
        SETDOMAINHANDLE: XL;
        SETDEBUGGING: R;
        IRQ_PERMISSION: XL PCI;
        IOMEM_PERMISSION: XL PCI;
        IOPORT_PERMISSION: XL PCI;
        HYPERCALL_INIT: XL;
        SOFT_RESET_CONT: I;
        SETTIMEOFFSET: XL;
        GETVCPUAFFINITY: XL;
        REAL_MODE_AREA: R;
        RESUMEDOMAIN: SR;
        SENDTRIGGER: XL;
        SUBSCRIBE: SR;
        GETHVMCONTEXT: XL SR;
        SETHVMCONTEXT: XL SR;
        SET_ADDRESS_SIZE: XL SR;
        GET_ADDRESS_SIZE: XL SR;
        ASSIGN_DEVICE: XL PCI;
        BIND_PT_IRQ: XL QD PCI;
        MEMORY_MAPPING: XL QD PCI;
        IOPORT_MAPPING: QD PCI;
        SET_EXT_VCPUCONTEXT: SR;
        GET_EXT_VCPUCONTEXT: SR;
        SET_OPT_FEATURE: R;
        TEST_ASSIGN_DEVICE: XL PCI;
        SET_TARGET: XL;
        DEASSIGN_DEVICE: XL PCI;
        UNBIND_PT_IRQ: XL QD PCI;
        GET_DEVICE_GROUP: PCI;
        DEBUG_OP: R;
        GETHVMCONTEXT_PARTIAL: XL;
        VM_EVENT_OP: R;
        MEM_SHARING_OP: R;
        GETTSCINFO: XL SR;
        SETTSCINFO: XL SR;
        GETPAGEFRAMEINFO3: XL SR;
        SETVCPUEXTSTATE: SR;
        GETVCPUEXTSTATE: SR;
        SET_ACCESS_REQUIRED: R;
        AUDIT_P2M: R;
        SET_VIRQ_HANDLER: XL;
        SET_BROKEN_PAGE_P2M: R;
        SETNODEAFFINITY: XL;
        GETNODEAFFINITY: XL;
        CACHEFLUSH: XL;
        GET_VCPU_MSRS: SR;
        SET_VCPU_MSRS: SR;
        SETVNUMAINFO: XL;
        PSR_CMT_OP: XL;
        MONITOR_OP: R;
        PSR_ALLOC: XL;
        SOFT_RESET: XL;
        VUART_OP: R;
        GET_CPU_POLICY: XL SR;
        SET_CPU_POLICY: XL SR;
        VMTRACE_OP: R;
        GET_PAGING_MEMPOOL_SIZE: XL;
        SET_PAGING_MEMPOOL_SIZE: XL;
        DT_OVERLAY: R;
        GSI_PERMISSION: XL PCI;
        SET_LLC_COLORS: XL;
        GET_DOMAIN_STATE: XL;
        GDBSX_GUESTMEMIO: R;
        GDBSX_PAUSEVCPU: R;
        GDBSX_UNPAUSEVCPU: R;
        GDBSX_DOMSTATUS: R;
    }

    SYSCTL sysctl::SysctlOperation {
        READCONSOLE: XL;
        TBUF_OP: XL;
        PHYSINFO: XL;
        SCHED_ID: XL;
        PERFC_OP: R;
        GETDOMAININFOLIST: XL;
        DEBUG_KEYS: XL;
        GETCPUINFO: XL;
        AVAILHEAP: XL;
        GET_PMSTAT: XL;
        CPU_HOTPLUG: XL;
        PM_OP: XL;
        PAGE_OFFLINE_OP: R;
        LOCKPROF_OP: R;
        CPUTOPOINFO: XL;
        NUMAINFO: XL;
        CPUPOOL_OP: XL;
        SCHEDULER_OP: XL;
        COVERAGE_OP: R;
        PSR_CMT_OP: XL;
        PCITOPOINFO: XL;
        PSR_ALLOC: XL;
        GET_CPU_LEVELLING_CAPS: XL;
        GET_CPU_FEATURESET: XL;
        LIVEPATCH_OP: R;
        GET_CPU_POLICY: XL;
        DT_OVERLAY: R;
    }

    HYPFS_OP hypfs::HypfsOperation {
        GET_VERSION: XL;
        READ: XL;
        WRITE_CONTENTS: XL;
    }

    XSM_OP xsm::FlaskOperation {
        LOAD: XL;
        GETENFORCE: XL;
        SETENFORCE: XL;
        CONTEXT_TO_SID: XL;
        SID_TO_CONTEXT: XL;
        ACCESS: XL;
        CREATE: XL;
        RELABEL: XL;
        USER: XL;
        POLICYVERS: XL;
        GETBOOL: XL;
        SETBOOL: XL;
        COMMITBOOLS: XL;
        MLS: XL;
        DISABLE: XL;
        GETAVC_THRESHOLD: XL;
        SETAVC_THRESHOLD: XL;
        AVC_HASHSTATS: XL;
        AVC_CACHESTATS: XL;
        MEMBER: XL;
        ADD_OCONTEXT: XL;
        DEL_OCONTEXT: XL;
        GET_PEER_SID: XL;
        RELABEL_DOMAIN: XL;
        DEVICETREE_LABEL: XL;
    }
}
