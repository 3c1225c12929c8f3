//! How this crate states the interface once: structs, open number types and constants that know their C names.
//!
//! Each header file of this crate has at most one `wire!`, one `numbers!` and one `constants!` block; each block also
//! leaves a list behind (`STRUCTS`, `FAMILIES`, `CONSTANTS`), and [`HEADERS`] gathers the lists. `tests/layout` reads
//! the same sizes, offsets and values from Debian's C headers of Xen 4.17 and 4.20 and compares, so nothing stated here
//! escapes the check. A C name marked `struct foo @4.17` or `FOO @4.20` is compared with that release alone.
//! The size of every struct is also asserted at compile time, and deriving `IntoBytes` refuses unnamed padding.

/// One field as C sees it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Member designator in C; empty for padding and for bytes that C lays out as a union.
    pub c_name: &'static str,
    /// Name in this crate.
    pub name: &'static str,
    /// Offset in bytes.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
}

/// One struct and its C twin.
#[derive(Clone, Copy, Debug)]
pub struct Struct {
    /// The C type, such as `struct mmu_update`; empty where no release's headers have one (`left_out.rs` says why).
    pub c_name: &'static str,
    /// Name in this crate.
    pub name: &'static str,
    /// Size in bytes.
    pub size: usize,
    /// The fields in order.
    pub fields: &'static [Field],
}

/// One number and its C twin.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// The C macro or enumerator; empty where no release's headers have one (`left_out.rs` says why).
    pub c_name: &'static str,
    /// Name in this crate.
    pub name: &'static str,
    /// The value, as C converts it to `long long`.
    pub value: i64,
}

/// An open number type: its name and the values that have names.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Name in this crate.
    pub name: &'static str,
    /// The named values.
    pub numbers: &'static [Number],
}

/// Everything one file of this crate states.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Module of this crate.
    pub module: &'static str,
    /// Structs of the module.
    pub structs: &'static [Struct],
    /// Open number types of the module.
    pub families: &'static [Family],
    /// Single constants of the module.
    pub constants: &'static [Number],
}

/// Structs that cross the interface: `#[repr(C)]`, readable from and writable to plain bytes, of asserted size.
macro_rules! wire {
    ($(
        $(#[$attribute:meta])*
        pub struct $name:ident = $c_name:literal, $size:literal {
            $($(#[$field_attribute:meta])* pub $field:ident: $type:ty = $c_field:literal,)*
        }
    )*) => {
        $(
            $(#[$attribute])*
            #[doc = concat!("\n\nC: `", $c_name, "`, ", stringify!($size), " bytes.")]
            #[derive(
                Clone, Copy, PartialEq, Eq, Debug,
                zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout,
            )]
            #[repr(C)]
            pub struct $name {
                $($(#[$field_attribute])* pub $field: $type,)*
            }

            const _: () = assert!(size_of::<$name>() == $size);

            impl Default for $name {
                /// All bytes zero.
                fn default() -> Self {
                    zerocopy::FromZeros::new_zeroed()
                }
            }
        )*

        /// The structs of this file with their C names, for the layout test.
        pub const STRUCTS: &[$crate::layout::Struct] = &[$(
            $crate::layout::Struct {
                c_name: $c_name,
                name: stringify!($name),
                size: size_of::<$name>(),
                fields: &[$(
                    $crate::layout::Field {
                        c_name: $c_field,
                        name: stringify!($field),
                        offset: core::mem::offset_of!($name, $field),
                        size: size_of::<$type>(),
                    },
                )*],
            },
        )*];
    };
}

/// Open number types: any value may come from a guest, some have names. `contains` is for those that are bit sets.
macro_rules! numbers {
    ($(
        $(#[$attribute:meta])*
        pub struct $name:ident($inner:ty) {
            $($(#[$number_attribute:meta])* $number:ident = $value:expr, $c_name:literal;)*
        }
    )*) => {
        $(
            $(#[$attribute])*
            #[derive(
                Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default,
                zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout,
            )]
            #[repr(transparent)]
            pub struct $name(pub $inner);

            impl $name {
                $(
                    $(#[$number_attribute])*
                    #[doc = concat!("C: `", $c_name, "`.")]
                    pub const $number: $name = $name($value);
                )*

                /// The values that have names.
                pub const NAMED: &'static [$crate::layout::Number] = &[$(
                    $crate::layout::Number {
                        c_name: $c_name,
                        name: stringify!($number),
                        value: $name::$number.0 as i64,
                    },
                )*];

                /// Whether every bit of `bits` is set.
                pub const fn contains(self, bits: $name) -> bool {
                    self.0 & bits.0 == bits.0
                }

                /// The union of two bit sets.
                pub const fn with(self, bits: $name) -> $name {
                    $name(self.0 | bits.0)
                }
            }
        )*

        /// The number types of this file with their C names, for the layout test.
        pub const FAMILIES: &[$crate::layout::Family] = &[$(
            $crate::layout::Family { name: stringify!($name), numbers: $name::NAMED },
        )*];
    };
}

/// Single constants of a header.
macro_rules! constants {
    ($($(#[$attribute:meta])* pub const $name:ident: $type:ty = $value:expr, $c_name:literal;)*) => {
        $(
            $(#[$attribute])*
            #[doc = concat!("C: `", $c_name, "`.")]
            pub const $name: $type = $value;
        )*

        /// The constants of this file with their C names, for the layout test.
        pub const CONSTANTS: &[$crate::layout::Number] = &[$(
            $crate::layout::Number { c_name: $c_name, name: stringify!($name), value: $name as i64 },
        )*];
    };
}

pub(crate) use {constants, numbers, wire};

/// Gathers the lists of the modules.
macro_rules! headers {
    (@lists $module:ident structs families constants) => {
        (crate::$module::STRUCTS, crate::$module::FAMILIES, crate::$module::CONSTANTS)
    };
    (@lists $module:ident structs families) => { (crate::$module::STRUCTS, crate::$module::FAMILIES, &[]) };
    (@lists $module:ident structs) => { (crate::$module::STRUCTS, &[], &[]) };
    (@lists $module:ident structs constants) => { (crate::$module::STRUCTS, &[], crate::$module::CONSTANTS) };
    (@lists $module:ident families constants) => { (&[], crate::$module::FAMILIES, crate::$module::CONSTANTS) };
    (@lists $module:ident families) => { (&[], crate::$module::FAMILIES, &[]) };
    (@lists $module:ident constants) => { (&[], &[], crate::$module::CONSTANTS) };
    ($($module:ident: $($list:ident)*;)*) => {
        &[$({
            let (structs, families, constants): (&[Struct], &[Family], &[Number]) = headers!(@lists $module $($list)*);
            Header { module: stringify!($module), structs, families, constants }
        },)*]
    };
}

/// Everything this crate states, by module. A module with a block that is missing here fails `tests/layout`.
pub const HEADERS: &[Header] = headers! {
    argo: families;
    call: families constants;
    callback: structs families constants;
    console: structs families;
    cpuid: constants;
    dm: structs families;
    domctl: structs families constants;
    domctl_domain: structs families constants;
    domctl_vcpu: structs families constants;
    elfnote: families;
    event_channel: structs families constants;
    features: families constants;
    grant_table: structs families constants;
    hvm: structs families constants;
    hypfs: structs families constants;
    kexec: structs families constants;
    mca: structs families constants;
    memory: structs families constants;
    mmu: structs families constants;
    multicall: structs;
    nmi: structs families;
    physdev: structs families constants;
    platform: structs families constants;
    platform_power: structs families;
    sched: structs families;
    shared_info: structs families constants;
    start_info: structs families constants;
    sysctl: structs families constants;
    sysctl_machine: structs families constants;
    sysctl_scheduler: structs families constants;
    vcpu: structs families constants;
    version: structs families constants;
    vm_assist: families;
    xen_x86: structs families constants;
    xenoprof: families;
    xenpmu: structs families constants;
    xsm: families constants;
};
