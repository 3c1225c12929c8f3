//! nmi_op. Source: Xen public header `nmi.h`.

use crate::{
    GuestVirtual,
    layout::{numbers, wire},
};

numbers! {
    /// Sub-operation of nmi_op.
    pub struct NmiOperation(u32) {
        REGISTER_CALLBACK = 0, "XENNMI_register_callback";
        UNREGISTER_CALLBACK = 1, "XENNMI_unregister_callback";
    }

    /// Why an NMI came; bits of the shared page.
    pub struct NmiReason(u64) {
        IO_ERROR = 1 << 0, "XEN_NMIREASON_io_error";
        PCI_SERR = 1 << 1, "XEN_NMIREASON_pci_serr";
        UNKNOWN = 1 << 2, "XEN_NMIREASON_unknown";
    }
}

wire! {
    /// Argument of register_callback.
    pub struct NmiCallback = "struct xennmi_callback", 16 {
        /// Where to.
        pub handler: GuestVirtual = "handler_address",
        /// Padding.
        pub reserved: u64 = "pad",
    }
}
