//! Every hypercall and every sub-operation, with who needs it: the left half of `docs/abi-status.md`.
//!
//! What each of them does here is stated next to the code that serves it, in `hypercalls`; `cargo run -p xtask --
//! abi-status` joins the two, and reports what nothing serves as missing. Numbers that are not listed are not there in
//! Xen either and answer `ENOSYS` (dm_op: `EOPNOTSUPP`).

use crate::{Call, layout::Number};

pub mod calls;
pub mod guest;
pub mod machine;
pub mod memory;
pub mod toolstack;

/// Kinds of callers, as a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Users(pub u16);

impl Users {
    /// Linux as PV dom0, from boot to a shell.
    pub const L0: Users = Users(1 << 0);
    /// Linux as PV domU.
    pub const LU: Users = Users(1 << 1);
    /// PVH and HVM guests.
    pub const H: Users = Users(1 << 2);
    /// xl, libxl, xenstored, xenconsoled and the small tools.
    pub const XL: Users = Users(1 << 3);
    /// Save, restore, migrate.
    pub const SR: Users = Users(1 << 4);
    /// qemu as device model, stub domains.
    pub const QD: Users = Users(1 << 5);
    /// Passthrough and driver domains.
    pub const PCI: Users = Users(1 << 6);
    /// The Xen Test Framework.
    pub const X: Users = Users(1 << 7);
    /// Rare or obsolete.
    pub const R: Users = Users(1 << 8);
    /// Qubes only.
    pub const Q: Users = Users(1 << 9);
    /// Xen itself, as a continuation; never a guest.
    pub const I: Users = Users(1 << 10);

    /// Names and meanings in the order of the bits.
    pub const LEGEND: &'static [(&'static str, &'static str)] = &[
        ("L0", "Linux as PV dom0, from boot to a shell"),
        ("LU", "Linux as PV domU"),
        ("H", "PVH and HVM guests"),
        ("XL", "xl, libxl, xenstored, xenconsoled, small tools"),
        ("SR", "save, restore, migrate"),
        ("QD", "qemu as device model, stub domains"),
        ("PCI", "passthrough, driver domains"),
        ("X", "Xen Test Framework"),
        ("R", "rare or obsolete"),
        ("Q", "Qubes only"),
        ("I", "Xen itself, as a continuation"),
    ];

    /// The union.
    pub const fn with(self, other: Users) -> Users {
        Users(self.0 | other.0)
    }

    /// Whether any of `other` is in the set.
    pub const fn intersects(self, other: Users) -> bool {
        self.0 & other.0 != 0
    }
}

/// A hypercall or a sub-operation.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Its number.
    pub number: u32,
    /// Name of its constant.
    pub name: &'static str,
    /// Who needs it.
    pub users: Users,
}

/// The sub-operations of a hypercall.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The hypercall.
    pub call: Call,
    /// The named numbers of the type, with their C names.
    pub numbers: &'static [Number],
    /// The sub-operations.
    pub operations: &'static [Operation],
}

/// All groups; hypercalls without a group have no sub-operations.
pub const GROUPS: &[&[Group]] = &[guest::GROUPS, memory::GROUPS, machine::GROUPS, toolstack::GROUPS];

/// The hypercalls themselves.
pub const CALLS: &[Operation] = calls::CALLS;

/// States the hypercalls.
macro_rules! list_calls {
    ($($name:ident: $($user:ident)*;)*) => {
        /// The hypercalls.
        pub const CALLS: &[$crate::operations::Operation] = &[$(
            $crate::operations::Operation {
                number: $crate::Call::$name.0,
                name: stringify!($name),
                users: $crate::operations::Users(0)$(.with($crate::operations::Users::$user))*,
            },
        )*];
    };
}

/// States the sub-operations of some hypercalls.
macro_rules! list_groups {
    ($($call:ident $module:ident::$type:ident { $($name:ident: $($user:ident)*;)* })*) => {
        /// The groups of this file.
        pub const GROUPS: &[$crate::operations::Group] = &[$(
            $crate::operations::Group {
                call: $crate::Call::$call,
                numbers: $crate::$module::$type::NAMED,
                operations: &[$(
                    $crate::operations::Operation {
                        number: $crate::$module::$type::$name.0 as u32,
                        name: stringify!($name),
                        users: $crate::operations::Users(0)$(.with($crate::operations::Users::$user))*,
                    },
                )*],
            },
        )*];
    };
}

use {list_calls, list_groups};
