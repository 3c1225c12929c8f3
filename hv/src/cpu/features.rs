//! Which protections the CPU has, and turning them on.
//!
//! Every CPU must have what the boot CPU has; a CPU that lacks a bit is not started. Source: AMD64 manual, volume 2,
//! §3.1; volume 3, appendix E.

#![expect(unsafe_code, reason = "writes control registers and patches three-byte sites in the entry code")]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use raw_cpuid::CpuId;

use crate::{
    arch::{control, descriptors::selector},
    entry::stubs,
    memory::image,
};

/// Bits of CR4.
pub mod cr4 {
    /// Time-stamp disable.
    pub const TSD: u64 = 1 << 2;
    /// Debugging extensions.
    pub const DE: u64 = 1 << 3;
    /// Physical-address extension.
    pub const PAE: u64 = 1 << 5;
    /// Machine check.
    pub const MCE: u64 = 1 << 6;
    /// Global pages.
    pub const PGE: u64 = 1 << 7;
    /// FXSAVE.
    pub const OSFXSR: u64 = 1 << 9;
    /// SIMD exceptions.
    pub const OSXMMEXCPT: u64 = 1 << 10;
    /// FS/GS base instructions.
    pub const FSGSBASE: u64 = 1 << 16;
    /// XSAVE.
    pub const OSXSAVE: u64 = 1 << 18;
    /// Supervisor-mode execution prevention.
    pub const SMEP: u64 = 1 << 20;
    /// Supervisor-mode access prevention.
    pub const SMAP: u64 = 1 << 21;
}

static HOST_CR4: AtomicU64 = AtomicU64::new(0);
static PHYSICAL_ADDRESS_BITS: AtomicU32 = AtomicU32::new(36);

/// Width of a machine address, in bits: more than 12, at most 52.
#[inline]
pub fn physical_address_bits() -> u32 {
    PHYSICAL_ADDRESS_BITS.load(Relaxed)
}

/// CR4 of every CPU while the hypervisor runs.
#[inline]
pub fn host_cr4() -> u64 {
    HOST_CR4.load(Relaxed)
}

/// Decides on features from the boot CPU and patches the entry code. Context: boot CPU, before text is read-only.
pub fn detect() {
    let cpuid = CpuId::new();
    if let Some(sizes) = cpuid.get_processor_capacity_feature_info() {
        PHYSICAL_ADDRESS_BITS.store(u32::from(sizes.physical_address_bits()).clamp(32, 52), Relaxed);
    }
    // UMIP stays off: Xen lets PV guests use SGDT and its kin on CPUs that could forbid them, and so do we.
    let mut value = cr4::PAE | cr4::MCE | cr4::PGE | cr4::OSFXSR | cr4::OSXMMEXCPT | cr4::DE;
    if let Some(extended) = cpuid.get_extended_feature_info() {
        let table = [
            (extended.has_smep(), cr4::SMEP),
            (extended.has_smap(), cr4::SMAP),
            (extended.has_fsgsbase(), cr4::FSGSBASE),
        ];
        value |= table.iter().filter(|(present, _)| *present).map(|(_, bit)| bit).sum::<u64>();
    }
    if cpuid.get_feature_info().is_some_and(|features| features.has_xsave()) {
        value |= cr4::OSXSAVE;
    }
    HOST_CR4.store(value, Relaxed);
    if value & cr4::SMAP != 0 {
        image::patch_access_sites();
    }
}

const EFER: u32 = 0xC000_0080;
const STAR: u32 = 0xC000_0081;
const LSTAR: u32 = 0xC000_0082;
const CSTAR: u32 = 0xC000_0083;
const SYSCALL_MASK: u32 = 0xC000_0084;
const SYSENTER_CS: u32 = 0x174;
const SYSENTER_ESP: u32 = 0x175;
const SYSENTER_EIP: u32 = 0x176;
/// SYSCALL, long mode, no-execute.
const EFER_VALUE: u64 = 1 | 1 << 8 | 1 << 11;
/// Flags that SYSCALL clears: everything a guest could use against us (TF IF DF IOPL NT AC).
const CLEARED_FLAGS: u64 = 1 << 8 | 1 << 9 | 1 << 10 | 3 << 12 | 1 << 14 | 1 << 18;

/// Sets this CPU's control registers and system-call entries.
pub fn enable(cpu: usize) {
    let (syscall, compat) = stubs::syscall_entries(cpu);
    let star = u64::from(selector::GUEST_CODE_32) << 48 | u64::from(selector::CODE) << 32;
    let intel = CpuId::new().get_vendor_info().is_some_and(|vendor| vendor.as_str() == "GenuineIntel");
    // SAFETY: 1. PAE stays; SMAP and SMEP forbid only what the hypervisor does through its guarded copies.
    unsafe { control::write_cr4(host_cr4()) };
    // SAFETY: 1. (each of the next five) the values are the entry stubs' own addresses and selectors.
    unsafe { control::write_msr(EFER, control::read_msr(EFER) | EFER_VALUE) };
    // SAFETY: as above.
    unsafe { control::write_msr(STAR, star) };
    // SAFETY: as above.
    unsafe { control::write_msr(LSTAR, syscall) };
    // SAFETY: as above.
    unsafe { control::write_msr(CSTAR, compat) };
    // SAFETY: as above.
    unsafe { control::write_msr(SYSCALL_MASK, CLEARED_FLAGS) };
    // SYSENTER exists in long mode on Intel only; elsewhere it is #UD for guests.
    let (code, stack, target) = if intel {
        (u64::from(selector::CODE), crate::cpu::block::entry_stack(cpu), stubs::sysenter_entry())
    } else {
        (0, 0, 0)
    };
    // SAFETY: as above.
    unsafe { control::write_msr(SYSENTER_CS, code) };
    // SAFETY: as above.
    unsafe { control::write_msr(SYSENTER_ESP, stack) };
    // SAFETY: as above.
    unsafe { control::write_msr(SYSENTER_EIP, target) };
}

/// Bits of CR4 that a guest may choose and this CPU has.
pub fn guest_cr4_policy() -> u64 {
    let host = host_cr4();
    cr4::TSD | cr4::DE | host & (cr4::FSGSBASE | cr4::OSXSAVE)
}
