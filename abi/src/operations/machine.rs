//! Who needs which sub-operation: calls of PV vCPUs, of the hardware domain and of device models.
//!
//! `tests/operations.rs` holds every table against the named numbers of its type.

use crate::operations::list_groups;

list_groups! {
    SET_SEGMENT_BASE xen_x86::SegmentBase {
        FS: L0 LU X;
        GS_USER: L0 LU X;
        GS_KERNEL: L0 LU X;
        GS_USER_SELECTOR: L0 LU X;
    }

    NMI_OP nmi::NmiOperation {
        REGISTER_CALLBACK: R;
        UNREGISTER_CALLBACK: R;
    }

    CALLBACK_OP callback::CallbackOperation {
        REGISTER: L0 LU X;
        UNREGISTER: L0 LU X;
    }

    PHYSDEV_OP physdev::PhysdevOperation {
        IRQ_UNMASK_NOTIFY: R;
        IRQ_STATUS_QUERY: L0 PCI;
        SET_IOPL: L0 LU X;
        SET_IOBITMAP: L0 LU;
        APIC_READ: L0;
        APIC_WRITE: L0;
        ALLOC_IRQ_VECTOR: L0;
        FREE_IRQ_VECTOR: R;
        EOI: L0 PCI;
        MAP_PIRQ: L0 XL QD PCI;
        UNMAP_PIRQ: L0 XL QD PCI;
        MANAGE_PCI_ADD: L0;
        MANAGE_PCI_REMOVE: L0;
        PIRQ_EOI_GMFN_V1: L0;
        RESTORE_MSI: L0;
        MANAGE_PCI_ADD_EXT: L0;
        SETUP_GSI: L0;
        GET_FREE_PIRQ: L0 LU;
        PCI_MMCFG_RESERVED: L0;
        PCI_DEVICE_ADD: L0;
        PCI_DEVICE_REMOVE: L0;
        RESTORE_MSI_EXT: L0;
        PIRQ_EOI_GMFN_V2: L0;
        DBGP_OP: L0;
        PREPARE_MSIX: L0;
        RELEASE_MSIX: L0;
        PCI_DEVICE_RESET: L0;
    }

    PLATFORM_OP platform::PlatformOperation {
        SETTIME32: L0;
        ADD_MEMTYPE: R;
        DEL_MEMTYPE: R;
        READ_MEMTYPE: L0 R;
        MICROCODE_UPDATE: XL;
        PLATFORM_QUIRK: R;
        GET_CPU_VERSION: R;
        EFI_RUNTIME_CALL: L0;
        FIRMWARE_INFO: L0;
        ENTER_ACPI_SLEEP: L0;
        CHANGE_FREQ: R;
        GETIDLETIME: R;
        SET_PROCESSOR_PMINFO: L0;
        GET_CPUINFO: L0;
        CPU_ONLINE: L0 XL;
        CPU_OFFLINE: L0 XL;
        CPU_HOTADD: R;
        MEM_HOTADD: R;
        CORE_PARKING: L0 R;
        RESOURCE_OP: XL;
        SETTIME64: L0;
        GET_SYMBOL: R;
        GET_DOM0_CONSOLE: L0;
        GET_UCODE_REVISION: XL;
        MICROCODE_UPDATE2: XL;
    }

    MCA mca::McaOperation {
        FETCH: L0;
        NOTIFYDOMAIN: L0;
        PHYSCPUINFO: L0;
        MSRINJECT: L0;
        MCEINJECT: L0;
        INJECT_V2: L0;
    }

    KEXEC_OP kexec::KexecOperation {
        KEXEC: XL;
        LOAD_V1: XL;
        UNLOAD_V1: XL;
        GET_RANGE: XL;
        LOAD: XL;
        UNLOAD: XL;
        STATUS: XL;
    }

    HVM_OP hvm::HvmOperation {
        SET_PARAM: H XL SR QD X;
        GET_PARAM: H XL SR QD X;
        FLUSH_TLBS: R;
        PAGETABLE_DYING: H;
        GET_TIME: R;
        XENTRACE: R;
        SET_MEM_ACCESS: R;
        GET_MEM_ACCESS: R;
        GET_MEM_TYPE: H;
        SET_EVTCHN_UPCALL_VECTOR: H;
        GUEST_REQUEST_VM_EVENT: R;
        ALTP2M: R;
    }

    DM_OP dm::DmOperation {
        CREATE_IOREQ_SERVER: QD;
        GET_IOREQ_SERVER_INFO: QD;
        MAP_IO_RANGE_TO_IOREQ_SERVER: QD;
        UNMAP_IO_RANGE_FROM_IOREQ_SERVER: QD;
        SET_IOREQ_SERVER_STATE: QD;
        DESTROY_IOREQ_SERVER: QD;
        TRACK_DIRTY_VRAM: QD;
        SET_PCI_INTX_LEVEL: QD;
        SET_ISA_IRQ_LEVEL: QD;
        SET_PCI_LINK_ROUTE: QD;
        MODIFIED_MEMORY: SR QD;
        SET_MEM_TYPE: QD;
        INJECT_EVENT: XL QD;
        INJECT_MSI: XL QD;
        MAP_MEM_TYPE_TO_IOREQ_SERVER: R;
        REMOTE_SHUTDOWN: QD;
        RELOCATE_MEMORY: QD;
        PIN_MEMORY_CACHEATTR: QD PCI;
        SET_IRQ_LEVEL: R;
        NR_VCPUS: QD;
    }
}
