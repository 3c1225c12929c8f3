//! Frame numbers and addresses: machine, guest-physical and guest-virtual are different types in every build.
//!
//! Source: Xen public header `xen.h` (`xen_pfn_t`) and its address-space description for x86-64.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;
/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;

macro_rules! number {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(transparent)]
        pub struct $name(pub u64);

        impl core::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(formatter, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl core::fmt::LowerHex for $name {
            fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::LowerHex::fmt(&self.0, formatter)
            }
        }
    };
}

number! {
    /// Machine frame number: a page of the host's physical address space.
    Mfn
}
number! {
    /// Guest frame number as a call names it; equals the MFN for a PV guest.
    Gfn
}
number! {
    /// Pseudo-physical frame number, private to a PV guest.
    Pfn
}
number! {
    /// Byte address in the host's physical address space.
    MachineAddress
}
number! {
    /// Virtual address in a guest's address space; a claim until copied through.
    GuestVirtual
}

impl Mfn {
    /// The all-ones frame number that marks "none".
    pub const INVALID: Mfn = Mfn(u64::MAX);

    /// Byte address of the frame's first byte.
    pub const fn address(self) -> MachineAddress {
        MachineAddress(self.0 << PAGE_SHIFT)
    }
}

impl MachineAddress {
    /// The frame that holds this byte.
    pub const fn frame(self) -> Mfn {
        Mfn(self.0 >> PAGE_SHIFT)
    }

    /// Offset of this byte in its frame.
    pub const fn page_offset(self) -> usize {
        (self.0 as usize) & (PAGE_SIZE - 1)
    }
}

/// Lowest virtual address that belongs to the hypervisor (page-table slot 256).
pub const HYPERVISOR_START: u64 = 0xFFFF_8000_0000_0000;
/// First virtual address above the hypervisor's (page-table slot 272).
pub const HYPERVISOR_END: u64 = 0xFFFF_8800_0000_0000;

impl GuestVirtual {
    /// Whether bits 63 to 47 are all equal, as the CPU demands of an address.
    pub const fn is_canonical(self) -> bool {
        (((self.0 << 16) as i64) >> 16) as u64 == self.0
    }

    /// Whether `len` bytes from here are canonical and clear of the hypervisor's range; for none, whether the address is.
    #[inline(always)]
    pub const fn is_guest_range(self, len: u64) -> bool {
        // Above the hole: up to the very top. Below it: up to the end of the lower half. Never across.
        if self.0 >= HYPERVISOR_END {
            return self.0 <= u64::MAX - len;
        }
        self.0 < LOWER_HALF_END && len <= LOWER_HALF_END - self.0
    }
}

/// First non-canonical address above the lower half.
const LOWER_HALF_END: u64 = 0x0000_8000_0000_0000;
