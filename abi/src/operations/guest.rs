//! Who needs which sub-operation: calls of every kind of guest.
//!
//! `tests/operations.rs` holds every table against the named numbers of its type.

use crate::operations::list_groups;

list_groups! {
    SCHED_OP sched::SchedOperation {
        YIELD: L0 LU H X;
        BLOCK: L0 LU;
        SHUTDOWN: L0 LU H XL X;
        POLL: L0 LU H X;
        REMOTE_SHUTDOWN: XL;
        SHUTDOWN_CODE: LU R;
        WATCHDOG: XL;
        PIN_OVERRIDE: L0;
    }

    VCPU_OP vcpu::VcpuOperation {
        INITIALISE: L0 LU X;
        UP: L0 LU H X;
        DOWN: L0 LU H X;
        IS_UP: L0 LU H X;
        GET_RUNSTATE_INFO: R;
        REGISTER_RUNSTATE_MEMORY_AREA: L0 LU H;
        SET_PERIODIC_TIMER: L0 LU;
        STOP_PERIODIC_TIMER: L0 LU;
        SET_SINGLESHOT_TIMER: L0 LU;
        STOP_SINGLESHOT_TIMER: L0 LU;
        REGISTER_VCPU_INFO: L0 LU H;
        SEND_NMI: L0 LU;
        GET_PHYSID: R;
        REGISTER_VCPU_TIME_MEMORY_AREA: L0 LU;
        REGISTER_RUNSTATE_PHYS_AREA: R;
        REGISTER_VCPU_TIME_PHYS_AREA: R;
    }

    EVENT_CHANNEL_OP event_channel::EventChannelOperation {
        BIND_INTERDOMAIN: L0 LU H XL QD;
        BIND_VIRQ: L0 LU H XL;
        BIND_PIRQ: L0 PCI;
        CLOSE: L0 LU H XL;
        SEND: L0 LU H XL X;
        STATUS: L0 XL X;
        ALLOC_UNBOUND: L0 LU H XL X;
        BIND_IPI: L0 LU H;
        BIND_VCPU: L0 LU H;
        UNMASK: L0 LU H;
        RESET: XL SR;
        INIT_CONTROL: L0 LU H X;
        EXPAND_ARRAY: L0 LU H X;
        SET_PRIORITY: L0 LU H;
        RESET_CONTINUATION: I;
    }

    GRANT_TABLE_OP grant_table::GrantTableOperation {
        MAP_GRANT_REF: L0 LU H XL QD X;
        UNMAP_GRANT_REF: L0 LU H XL QD X;
        SETUP_TABLE: L0 LU XL X;
        DUMP_TABLE: R;
        TRANSFER: R;
        COPY: L0 LU H QD;
        QUERY_SIZE: L0 LU H XL;
        UNMAP_AND_REPLACE: X R;
        SET_VERSION: L0 LU H X;
        GET_STATUS_FRAMES: X;
        GET_VERSION: XL;
        SWAP_GRANT_REF: R;
        CACHE_FLUSH: X R;
    }

    XEN_VERSION version::VersionOperation {
        VERSION: L0 LU H XL X;
        EXTRAVERSION: L0 LU XL X;
        COMPILE_INFO: L0 XL X;
        CAPABILITIES: XL;
        CHANGESET: XL X;
        PLATFORM_PARAMETERS: L0 LU XL SR;
        GET_FEATURES: L0 LU H XL;
        PAGESIZE: XL;
        GUEST_HANDLE: L0 LU;
        COMMANDLINE: XL;
        BUILD_ID: L0 XL;
        EXTRAVERSION2: XL;
        CAPABILITIES2: XL;
        CHANGESET2: XL;
        COMMANDLINE2: XL;
    }

    CONSOLE_IO console::ConsoleOperation {
        WRITE: L0 X;
        READ: L0 X;
    }

    VM_ASSIST vm_assist::Assist {
        SEGMENTS_4GB: L0 LU;
        SEGMENTS_4GB_NOTIFY: L0 LU;
        WRITABLE_PAGETABLES: L0 LU;
        PAE_EXTENDED_CR3: LU R;
        ARCHITECTURAL_IOPL: X R;
        RUNSTATE_UPDATE_FLAG: L0 LU H;
        M2P_STRICT: L0 LU R;
    }

    XENPMU_OP xenpmu::PmuOperation {
        MODE_GET: L0 LU;
        MODE_SET: L0 LU;
        FEATURE_GET: L0 LU;
        FEATURE_SET: L0 LU;
        INIT: L0 LU;
        FINISH: L0 LU;
        LVTPC_SET: L0 LU;
        FLUSH: L0 LU;
    }

    ARGO_OP argo::ArgoOperation {
        REGISTER_RING: X R;
        UNREGISTER_RING: X R;
        SENDV: X R;
        NOTIFY: X R;
    }

    XENOPROF_OP xenoprof::XenoprofOperation {
        INIT: R;
        RESET_ACTIVE_LIST: R;
        RESET_PASSIVE_LIST: R;
        SET_ACTIVE: R;
        SET_PASSIVE: R;
        RESERVE_COUNTERS: R;
        COUNTER: R;
        SETUP_EVENTS: R;
        ENABLE_VIRQ: R;
        START: R;
        STOP: R;
        DISABLE_VIRQ: R;
        RELEASE_COUNTERS: R;
        SHUTDOWN: R;
        GET_BUFFER: R;
        SET_BACKTRACE: R;
        GET_IBS_CAPS: R;
        IBS_COUNTER: R;
    }
}
