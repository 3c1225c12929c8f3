//! Which configuration writes of a dom0 reach a function whose message interrupts the hypervisor programs.
//!
//! Only the registers of the capabilities are looked at; all else is dom0's own. What is refused vanishes silently.
//! Source: PCI Local Bus 3.0 §6.8; reference inventory §4.6 (behaviour of Xen 4.17, compared by `compat-tests`).

use crate::{
    msi::Msi,
    msix::{self, Msix},
};

/// What becomes of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is made, with this value.
    Pass(u32),
    /// It is dropped.
    Drop,
}

/// Whether the hypervisor holds all of a function's MSI-X vectors masked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    /// It does.
    Masked,
    /// It does not.
    Open,
}

/// Judges a write to a function with MSI-X. Arguments: register, bytes (1, 2 or 4), value.
pub fn msix_write(capability: Msix, held: Held, offset: u16, width: u8, value: u32) -> Verdict {
    let first = u16::from(capability.position);
    if offset < first || offset >= first + u16::from(msix::LENGTH) {
        return Verdict::Pass(value);
    }
    if offset != capability.control() || width != 2 {
        return Verdict::Drop;
    }
    match held {
        Held::Masked => Verdict::Pass(value | u32::from(msix::MASK_ALL)),
        Held::Open => Verdict::Pass(value),
    }
}

/// Judges a write to a function whose plain MSI is mapped. `held` says whether the hypervisor holds its vector masked.
pub fn msi_write(capability: Msi, held: Held, offset: u16, width: u8, value: u32) -> Verdict {
    // Without a mask register there is nothing the hypervisor relies on.
    let Some(mask) = capability.mask() else { return Verdict::Pass(value) };
    // The pending register follows the mask register.
    if offset < u16::from(capability.position) || offset >= mask + 8 {
        return Verdict::Pass(value);
    }
    if offset == capability.control() {
        return if width == 2 { Verdict::Pass(value) } else { Verdict::Drop };
    }
    if offset != mask || width != 4 {
        return Verdict::Drop;
    }
    let unused = u32::MAX >> (32 - capability.vectors()) & !1;
    let own = u32::from(held == Held::Masked);
    Verdict::Pass(value | unused | own)
}
