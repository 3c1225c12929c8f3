//! callback_op. Source: Xen public header `callback.h`.

use crate::{
    GuestVirtual,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Sub-operation of callback_op.
    pub struct CallbackOperation(u32) {
        REGISTER = 0, "CALLBACKOP_register";
        UNREGISTER = 1, "CALLBACKOP_unregister";
    }

    /// Which callback.
    pub struct CallbackType(u16) {
        EVENT = 0, "CALLBACKTYPE_event";
        FAILSAFE = 1, "CALLBACKTYPE_failsafe";
        SYSCALL = 2, "CALLBACKTYPE_syscall";
        SYSENTER_DEPRECATED = 3, "CALLBACKTYPE_sysenter_deprecated";
        NMI = 4, "CALLBACKTYPE_nmi";
        SYSENTER = 5, "CALLBACKTYPE_sysenter";
        SYSCALL32 = 7, "CALLBACKTYPE_syscall32";
    }
}

constants! {
    /// Flag of register: mask events on entry.
    pub const CALLBACK_MASK_EVENTS: u16 = 1, "CALLBACKF_mask_events";
}

wire! {
    /// Argument of register.
    pub struct CallbackRegister = "struct callback_register", 16 {
        /// Which.
        pub kind: CallbackType = "type",
        /// [`CALLBACK_MASK_EVENTS`] or 0.
        pub flags: u16 = "flags",
        /// Padding.
        pub reserved: u32 = "",
        /// Where to.
        pub address: GuestVirtual = "address",
    }

    /// Argument of unregister.
    pub struct CallbackUnregister = "struct callback_unregister", 4 {
        /// Which.
        pub kind: CallbackType = "type",
        /// Unused.
        pub reserved: u16 = "_unused",
    }
}
