//! dm_op: what a device model does to its guest. Source: Xen public header `hvm/dm_op.h`.
//!
//! The argument structs of the sub-operations come with HVM guests; here is what answering without one needs.

use crate::{
    GuestHandle,
    layout::{numbers, wire},
};

numbers! {
    /// Sub-operation of dm_op.
    pub struct DmOperation(u32) {
        CREATE_IOREQ_SERVER = 1, "XEN_DMOP_create_ioreq_server";
        GET_IOREQ_SERVER_INFO = 2, "XEN_DMOP_get_ioreq_server_info";
        MAP_IO_RANGE_TO_IOREQ_SERVER = 3, "XEN_DMOP_map_io_range_to_ioreq_server";
        UNMAP_IO_RANGE_FROM_IOREQ_SERVER = 4, "XEN_DMOP_unmap_io_range_from_ioreq_server";
        SET_IOREQ_SERVER_STATE = 5, "XEN_DMOP_set_ioreq_server_state";
        DESTROY_IOREQ_SERVER = 6, "XEN_DMOP_destroy_ioreq_server";
        TRACK_DIRTY_VRAM = 7, "XEN_DMOP_track_dirty_vram";
        SET_PCI_INTX_LEVEL = 8, "XEN_DMOP_set_pci_intx_level";
        SET_ISA_IRQ_LEVEL = 9, "XEN_DMOP_set_isa_irq_level";
        SET_PCI_LINK_ROUTE = 10, "XEN_DMOP_set_pci_link_route";
        MODIFIED_MEMORY = 11, "XEN_DMOP_modified_memory";
        SET_MEM_TYPE = 12, "XEN_DMOP_set_mem_type";
        INJECT_EVENT = 13, "XEN_DMOP_inject_event";
        INJECT_MSI = 14, "XEN_DMOP_inject_msi";
        MAP_MEM_TYPE_TO_IOREQ_SERVER = 15, "XEN_DMOP_map_mem_type_to_ioreq_server";
        REMOTE_SHUTDOWN = 16, "XEN_DMOP_remote_shutdown";
        RELOCATE_MEMORY = 17, "XEN_DMOP_relocate_memory";
        PIN_MEMORY_CACHEATTR = 18, "XEN_DMOP_pin_memory_cacheattr";
        SET_IRQ_LEVEL = 19, "XEN_DMOP_set_irq_level";
        NR_VCPUS = 20, "XEN_DMOP_nr_vcpus";
    }
}

/// Buffers of a call at most; more are `E2BIG`. Not in the public headers.
pub const DM_BUFFERS_MAX: u64 = 2;

wire! {
    /// First buffer of a call: sub-operation and its argument.
    pub struct DmOp = "struct xen_dm_op", 32 {
        /// Sub-operation.
        pub command: DmOperation = "op",
        /// Must be 0.
        pub reserved: u32 = "pad",
        /// The argument struct of the sub-operation.
        pub argument: [u64; 3] = "u",
    }

    /// A buffer of a call.
    pub struct DmBuffer = "struct xen_dm_op_buf", 16 {
        /// Where.
        pub buffer: GuestHandle<u8> = "h",
        /// Bytes.
        pub size: u64 = "size",
    }
}
