//! A page-table entry as a value: its bits, what a guest may set, and what a guest gets to see.
//!
//! Source: AMD64 manual volume 2, chapter 5.3 (long-mode translation); Xen public header `xen.h` (MMU update values).
//! Bit 52 is the marker that Xen sets on a guest kernel's pages; guests read it back.

use abi::{GuestVirtual, Mfn};

use crate::type_word::FrameType;

/// A page-table entry.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Entry(pub u64);

impl core::fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "Entry({:#x})", self.0)
    }
}

impl Entry {
    /// The entry maps something.
    pub const PRESENT: u64 = 1 << 0;
    /// Writes are allowed.
    pub const WRITABLE: u64 = 1 << 1;
    /// Ring 3 may use it; PV kernels run in ring 3 too.
    pub const USER: u64 = 1 << 2;
    /// Write-through (PWT).
    pub const WRITE_THROUGH: u64 = 1 << 3;
    /// Cache disable (PCD).
    pub const CACHE_DISABLE: u64 = 1 << 4;
    /// Set by the CPU on use.
    pub const ACCESSED: u64 = 1 << 5;
    /// Set by the CPU on a write.
    pub const DIRTY: u64 = 1 << 6;
    /// PAT index bit in a level-1 entry; "this is a large page" above.
    pub const PAT: u64 = 1 << 7;
    /// Survives a change of CR3.
    pub const GLOBAL: u64 = 1 << 8;
    /// Free for software, low part.
    pub const AVAILABLE: u64 = 7 << 9;
    /// Free for software, high part.
    pub const AVAILABLE_HIGH: u64 = 0x7FF << 52;
    /// Set by the hypervisor on a guest kernel's pages.
    pub const GUEST_KERNEL: u64 = 1 << 52;
    /// No instruction fetches.
    pub const NO_EXECUTE: u64 = 1 << 63;
    /// The frame number's place.
    pub const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
    /// The three bits that choose a memory type.
    pub const CACHE: u64 = Self::WRITE_THROUGH | Self::CACHE_DISABLE | Self::PAT;
    /// The choice that means "uncached" in Xen's PAT.
    pub const UNCACHED: u64 = Self::WRITE_THROUGH | Self::CACHE_DISABLE;
    /// Bits that may change without a look at the frame: they move no reference and lift no check.
    pub const SAFE: u64 = Self::USER
        | Self::ACCESSED
        | Self::DIRTY
        | Self::GLOBAL
        | Self::AVAILABLE
        | Self::AVAILABLE_HIGH
        | Self::NO_EXECUTE;
    /// Bits refused in a present entry above level 1. Level 1 refuses [`Self::CACHE`], from domains without I/O rights.
    pub const FORBIDDEN_UPPER: u64 = Self::CACHE | Self::GLOBAL;

    /// Whether it maps anything.
    #[inline]
    pub const fn is_present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }

    /// Whether it is present and writable, that is: holds a writable reference if its frame is RAM.
    #[inline]
    pub const fn is_writable(self) -> bool {
        self.0 & (Self::PRESENT | Self::WRITABLE) == Self::PRESENT | Self::WRITABLE
    }

    /// The frame it names.
    #[inline]
    pub const fn mfn(self) -> Mfn {
        Mfn((self.0 & Self::ADDRESS) >> 12)
    }

    /// Whether `new` may replace this present entry without touching references: same frame, same rights to write,
    /// same memory type. The caller checks forbidden bits of `new` by itself.
    #[inline]
    pub const fn is_similar(self, new: Entry) -> bool {
        (self.0 ^ new.0) & !Self::SAFE == 0
    }

    /// What is stored for a guest's present level-1 entry: kernel pages (no user bit) get the user bit and the marker,
    /// pages without the marker are user pages and get the global bit.
    #[inline]
    pub const fn adjusted_level_one(self) -> Entry {
        if !self.is_present() {
            self
        } else if self.0 & Self::USER == 0 {
            Entry(self.0 | Self::USER | Self::GUEST_KERNEL)
        } else if self.0 & Self::GUEST_KERNEL == 0 {
            Entry(self.0 | Self::GLOBAL)
        } else {
            self
        }
    }

    /// What is stored for a guest's present entry in a table of type `table`, level 2 or above.
    #[inline]
    pub const fn adjusted_upper(self, table: FrameType) -> Entry {
        if !self.is_present() {
            self
        } else if matches!(table, FrameType::L4) {
            Entry(self.0 | Self::USER | Self::ACCESSED)
        } else {
            Entry(self.0 | Self::USER)
        }
    }
}

/// The slot of a table of type `table` that translates `address`.
#[inline]
pub const fn slot_of(address: GuestVirtual, table: FrameType) -> usize {
    let shift = 3 + 9 * table as u32;
    (address.0 >> shift) as usize & 511
}
