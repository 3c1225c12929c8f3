//! Segment selectors and bases of the guest, which live in the CPU while it runs.
//!
//! Source: AMD64 manual, volume 2, §4.5.

#![expect(unsafe_code, reason = "reads selectors, writes base registers")]

use core::arch::asm;

use super::control;

const FS_BASE: u32 = 0xC000_0100;
const GS_BASE: u32 = 0xC000_0101;
const KERNEL_GS_BASE: u32 = 0xC000_0102;

/// ds, es, fs and gs.
#[inline]
pub fn selectors() -> (u16, u16, u16, u16) {
    let (ds, es, fs, gs): (u32, u32, u32, u32);
    // SAFETY: reads registers.
    unsafe {
        asm!("mov {0:e}, ds", "mov {1:e}, es", "mov {2:e}, fs", "mov {3:e}, gs", out(reg) ds, out(reg) es, out(reg) fs,
            out(reg) gs, options(nomem, nostack, preserves_flags));
    }
    (ds as u16, es as u16, fs as u16, gs as u16)
}

/// The FS base.
#[inline]
pub fn fs_base() -> u64 {
    control::read_msr(FS_BASE)
}

/// The active GS base.
#[inline]
pub fn gs_base() -> u64 {
    control::read_msr(GS_BASE)
}

/// The GS base that SWAPGS would bring.
#[inline]
pub fn kernel_gs_base() -> u64 {
    control::read_msr(KERNEL_GS_BASE)
}

/// Bits 63 to 47 all equal: anything else faults in WRMSR.
fn canonical(address: u64) -> u64 {
    (((address << 16) as i64) >> 16) as u64
}

/// Sets the FS base; made canonical.
#[inline]
pub fn set_fs_base(address: u64) {
    // SAFETY: 1. the hypervisor uses no segment bases.
    unsafe { control::write_msr(FS_BASE, canonical(address)) };
}

/// Sets the active GS base; made canonical.
#[inline]
pub fn set_gs_base(address: u64) {
    // SAFETY: 1. the hypervisor uses no segment bases.
    unsafe { control::write_msr(GS_BASE, canonical(address)) };
}

/// Sets the GS base that SWAPGS would bring; made canonical.
#[inline]
pub fn set_kernel_gs_base(address: u64) {
    // SAFETY: 1. the hypervisor uses no segment bases.
    unsafe { control::write_msr(KERNEL_GS_BASE, canonical(address)) };
}

/// A base register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// FS.
    Fs,
    /// GS, active.
    Gs,
    /// GS, as SWAPGS would bring it.
    KernelGs,
}

/// Sets a base; made canonical. One instruction for all three, whose numbers come out of a table.
#[inline(always)]
pub fn set_base(which: Base, address: u64) {
    let register = match which {
        Base::Fs => FS_BASE,
        Base::Gs => GS_BASE,
        Base::KernelGs => KERNEL_GS_BASE,
    };
    // SAFETY: 1. the hypervisor uses no segment bases.
    unsafe { control::write_msr(register, canonical(address)) };
}

/// Sets the active GS base and the one that SWAPGS would bring.
#[inline]
pub fn set_gs_bases(active: u64, other: u64) {
    set_gs_base(active);
    set_kernel_gs_base(other);
}

/// Loads a selector for the GS of the guest's other mode, whose own base follows SWAPGS; false when it was refused and
/// became null.
pub fn load_other_gs(selector: u16) -> bool {
    let (ds, es, fs, gs) = selectors();
    let (active, fs_base) = (gs_base(), fs_base());
    control::swap_gs();
    let refused = crate::entry::stubs::load_selectors(ds, es, fs, selector);
    let loaded_base = gs_base();
    control::swap_gs();
    let _ = crate::entry::stubs::load_selectors(ds, es, fs, gs);
    set_gs_bases(active, loaded_base);
    // Loading fs again has taken its base from the descriptor.
    set_fs_base(fs_base);
    refused == 0
}
