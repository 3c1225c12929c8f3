//! The guest's virtual IDT and who may enter it by `int n`.
//!
//! Source: Xen public header `arch-x86/xen.h` (`struct trap_info`).

use crate::exception::Vector;
use crate::selector::guest_selector;

/// One entry: where a vector's handler is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct TrapGate {
    /// Address of the handler; 0 if there is none.
    pub address: u64,
    /// Code selector the guest gave, privilege level forced to 3. A 64-bit handler runs on the flat one all the same.
    pub selector: u16,
    /// Bits 1:0 privilege level, bit 2 mask events on entry.
    pub flags: u8,
}

/// Whether upcalls are masked when a handler starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Events {
    /// The upcall mask stays as it is.
    #[default]
    Unchanged,
    /// The upcall mask is set.
    Masked,
}

/// Whether a vCPU runs its guest's kernel or its guest's user mode; both are ring 3.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Guest kernel.
    #[default]
    Kernel,
    /// Guest user.
    User,
}

impl TrapGate {
    const MASK_EVENTS: u8 = 4;

    /// An entry as the guest states it: handler, selector, flags. Its selector is fixed up.
    pub const fn new(address: u64, selector: u16, flags: u8) -> Self {
        TrapGate { address, selector: guest_selector(selector), flags }
    }

    /// The NMI handler's entry: events masked, no `int 2`.
    pub const fn nmi(address: u64) -> Self {
        TrapGate { address, selector: crate::selector::FLAT_CODE_64, flags: Self::MASK_EVENTS }
    }

    /// What becomes of the upcall mask on entry.
    #[inline(always)]
    pub const fn events(&self) -> Events {
        if self.flags & Self::MASK_EVENTS != 0 { Events::Masked } else { Events::Unchanged }
    }

    /// Whether code in `mode` may enter by `int n`: level 0 nobody, 1 and 2 the kernel, 3 everybody.
    #[inline]
    pub const fn permits_software_interrupt(&self, mode: Mode) -> bool {
        match mode {
            Mode::Kernel => self.flags & 3 != 0,
            Mode::User => self.flags & 3 == 3,
        }
    }
}

/// All 256 entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrapTable([TrapGate; 256]);

impl Default for TrapTable {
    fn default() -> Self {
        Self([TrapGate { address: 0, selector: 0, flags: 0 }; 256])
    }
}

impl TrapTable {
    /// The entry of a vector.
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "256 entries indexed by a byte: no index is out of range")]
    pub const fn gate(&self, vector: Vector) -> &TrapGate {
        &self.0[vector.0 as usize]
    }

    /// Replaces the entry of a vector.
    #[inline]
    #[allow(clippy::indexing_slicing, reason = "256 entries indexed by a byte: no index is out of range")]
    pub const fn set(&mut self, vector: Vector, gate: TrapGate) {
        self.0[vector.0 as usize] = gate;
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
