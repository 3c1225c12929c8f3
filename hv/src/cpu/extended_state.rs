//! A vCPU's x87, SSE and AVX registers in memory, saved and restored whole at every change of vCPU.
//!
//! Never lazily: what a vCPU leaves in the registers is nobody else's to see. Source: Intel SDM volume 1, chapter 13; AMD
//! APM volume 2, 11.4.4, and CPUID Fn8000_0008_EBX\[RstrFpErrPtrs\].

#![expect(unsafe_code, reason = "XSAVE and FXSAVE")]

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use alloc::vec::Vec;

use abi::{Errno, Result};
use raw_cpuid::CpuId;

use crate::{arch::control, entry::stubs};

/// 64 bytes, aligned as XSAVE demands.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

/// A save area.
pub struct ExtendedState {
    lines: Vec<Line>,
    /// The vCPU's XCR0, which the CPU has while the vCPU is resident: guests read it without our help.
    enabled: u64,
}

/// Components that guests may have: x87, SSE, AVX, protection keys.
const SUPPORTED: u64 = 1 | 2 | 4 | 1 << 9;
static HOST_COMPONENTS: AtomicU64 = AtomicU64::new(0);
static AREA_SIZE: AtomicU64 = AtomicU64::new(512 + 64);
/// Whether this machine leaves the last x87 operation's addresses and opcode in the registers, unless an exception is
/// pending, when a state is loaded: AMD's without RstrFpErrPtrs.
static POINTERS_STAY: AtomicBool = AtomicBool::new(false);

/// XCR0 of a new vCPU, as on Xen.
const X87_AND_SSE: u64 = 3;

const CONTROL_WORD: [u8; 2] = [0x7F, 0x03];
/// Where a save area says which components it has. Source: Intel SDM volume 1, §13.4.2.
const COMPONENTS_AT: usize = 512;
const MXCSR_AT: usize = 24;
const MXCSR: [u8; 4] = [0x80, 0x1F, 0, 0];

/// Finds what the CPU has. Context: boot CPU, CR4.OSXSAVE set where there is XSAVE.
pub fn detect() {
    let cpuid = CpuId::new();
    POINTERS_STAY.store(leaves_pointers(&cpuid), Relaxed);
    if !cpuid.get_feature_info().is_some_and(|features| features.has_xsave()) {
        return;
    }
    // Sub-leaf 0 of leaf 0xD: eax and edx name the components.
    let leaf = raw_cpuid::cpuid!(0xD, 0);
    let components = (u64::from(leaf.eax) | u64::from(leaf.edx) << 32) & SUPPORTED;
    HOST_COMPONENTS.store(components, Relaxed);
    enable_all();
    AREA_SIZE.store(u64::from(raw_cpuid::cpuid!(0xD, 0).ebx), Relaxed);
}

fn leaves_pointers(cpuid: &CpuId<raw_cpuid::CpuIdReaderNative>) -> bool {
    const SIZES: u32 = 0x8000_0008;
    const RESTORES_POINTERS: u32 = 1 << 2;
    let is_amd =
        cpuid.get_vendor_info().is_some_and(|vendor| matches!(vendor.as_str(), "AuthenticAMD" | "HygonGenuine"));
    let restores = raw_cpuid::cpuid!(0x8000_0000).eax >= SIZES && raw_cpuid::cpuid!(SIZES).ebx & RESTORES_POINTERS != 0;
    is_amd && !restores
}

/// Makes the addresses and the opcode of the last x87 operation the hypervisor's own, which are no secret. The registers
/// are about to be loaded anew: exceptions and the register stack are cleared, so that the load cannot fault.
#[cold]
fn forget_pointers() {
    static ZERO: u32 = 0;
    // SAFETY: changes x87 registers only, which compiled code does not use; CR0.TS and CR0.EM are clear, as they must be
    // for the restore after it.
    unsafe {
        asm!("fnclex", "emms", "fild dword ptr [{}]", in(reg) &raw const ZERO, options(nostack, readonly, preserves_flags))
    };
}

/// Components of this machine; 0 without XSAVE.
pub fn host_components() -> u64 {
    HOST_COMPONENTS.load(Relaxed)
}

/// Bytes of a save area with all components.
pub fn area_size() -> u64 {
    AREA_SIZE.load(Relaxed)
}

/// Bytes of a save area in the standard format that has no other components than these.
pub fn size_of_components(components: u64) -> u64 {
    const LEGACY_AND_HEADER: u64 = 512 + 64;
    const FIRST_WITH_A_PLACE: u32 = 2;
    let end = |component: u32| {
        // A sub-leaf for each component: eax its size, ebx where it is.
        let leaf = raw_cpuid::cpuid!(0xD, component);
        u64::from(leaf.eax) + u64::from(leaf.ebx)
    };
    let is_there = |component: &u32| components & host_components() & 1 << component != 0;
    (FIRST_WITH_A_PLACE..u64::BITS).filter(is_there).map(end).fold(LEGACY_AND_HEADER, u64::max)
}

/// Sets XCR0 to all components, on each CPU.
pub fn enable_all() {
    if host_components() != 0 {
        set_enabled(host_components());
    }
}

/// Sets XCR0.
#[inline]
pub fn set_enabled(components: u64) {
    // SAFETY: components come from CPUID or passed the guest's policy; the hypervisor uses no extended state itself.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") components as u32, in("edx") (components >> 32) as u32,
            options(nomem, nostack, preserves_flags));
    }
}

impl ExtendedState {
    /// The state after reset. Errors: `ENOMEM`.
    pub fn new() -> Result<Self> {
        let count = area_size().div_ceil(64) as usize;
        let mut lines = Vec::new();
        lines.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        lines.resize(count, Line([0; 64]));
        let mut state = Self { lines, enabled: X87_AND_SSE };
        if let Some(Line(first)) = state.lines.first_mut() {
            if let Some(word) = first.get_mut(..2) {
                word.copy_from_slice(&CONTROL_WORD);
            }
            if let Some(word) = first.get_mut(MXCSR_AT..MXCSR_AT + 4) {
                word.copy_from_slice(&MXCSR);
            }
        }
        state.mark_legacy_valid();
        Ok(state)
    }

    /// Says that x87 and SSE are in the area, where XRSTOR looks for it.
    fn mark_legacy_valid(&mut self) {
        if let Some(Line(header)) = self.lines.get_mut(8)
            && let Some(byte) = header.first_mut()
        {
            *byte |= 3;
        }
    }

    /// The x87/SSE part in FXSAVE's format, to be filled from a guest's context.
    pub fn set_legacy(&mut self, image: &[u8; 512]) {
        for (Line(line), source) in self.lines.iter_mut().zip(image.chunks_exact(64)) {
            line.copy_from_slice(source);
        }
        // Reserved MXCSR bits would fault at restore.
        if let Some(Line(first)) = self.lines.first_mut()
            && let Some(word) = first.get_mut(MXCSR_AT + 2..MXCSR_AT + 4)
        {
            word.fill(0);
        }
        self.mark_legacy_valid();
    }

    /// The whole area, in the CPU's standard format, as far as there is room, without components that are not `offered`:
    /// a CPU may say of those of its own that they are there. The components that it has.
    pub fn image(&self, offered: u64, into: &mut [u8]) -> u64 {
        for (Line(line), target) in self.lines.iter().zip(into.chunks_mut(64)) {
            target.copy_from_slice(line.get(..target.len()).unwrap_or_default());
        }
        let Some(word) = into.get_mut(COMPONENTS_AT..COMPONENTS_AT + 8) else { return 0 };
        let present = word.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes)) & offered;
        word.copy_from_slice(&present.to_le_bytes());
        present
    }

    /// Replaces all of it by an image in the CPU's standard format, components behind its end as after reset, and XCR0.
    /// What the CPU refuses to load becomes the state after reset. Errors: `EINVAL` for components that were never
    /// enabled (`ever`) and a compacted image.
    pub fn set_image(&mut self, enabled: u64, ever: u64, image: &[u8]) -> Result<()> {
        const HEADER_END: usize = 576;
        let header = image.get(COMPONENTS_AT..HEADER_END).ok_or(Errno::EINVAL)?;
        let (Some(present), Some(compaction)) = (header.first_chunk::<8>(), header.get(8..16)) else {
            return Err(Errno::EINVAL);
        };
        if u64::from_le_bytes(*present) & !ever != 0 || compaction.iter().any(|byte| *byte != 0) {
            return Err(Errno::EINVAL);
        }
        for (Line(line), part) in self.lines.iter_mut().zip(image.chunks(64).chain(core::iter::repeat(&[0_u8; 64][..])))
        {
            line.fill(0);
            if let Some(place) = line.get_mut(..part.len()) {
                place.copy_from_slice(part);
            }
        }
        self.enabled = enabled;
        Ok(())
    }

    /// The x87/SSE part in FXSAVE's format.
    pub fn legacy(&self, image: &mut [u8; 512]) {
        for (Line(line), target) in self.lines.iter().zip(image.chunks_exact_mut(64)) {
            target.copy_from_slice(line);
        }
    }

    /// The vCPU's XCR0.
    #[inline]
    pub fn enabled(&self) -> u64 {
        self.enabled
    }

    /// Sets the XCR0 of the vCPU that is resident on this CPU; `components` are some of the host's, with x87.
    pub fn enable(&mut self, components: u64) {
        self.enabled = components;
        set_enabled(components);
    }

    /// Stores this CPU's registers here. XCR0 is the host's then: what the vCPU left in components that it has disabled
    /// since is saved, too. CR0.TS, which the vCPU may have set, is clear afterwards: the instructions heed it.
    #[inline]
    pub fn save(&mut self) {
        control::clear_task_switched();
        let area = self.lines.as_mut_ptr();
        let components = host_components();
        if components != 0 {
            if self.enabled != components {
                set_enabled(components);
            }
            // SAFETY: the area is 64-byte aligned and as large as CPUID says for all components.
            unsafe {
                asm!("xsave64 [{}]", in(reg) area, in("eax") components as u32, in("edx") (components >> 32) as u32,
                    options(nostack, preserves_flags));
            }
        } else {
            // SAFETY: FXSAVE writes 512 bytes, 16-byte aligned.
            unsafe { asm!("fxsave64 [{}]", in(reg) area, options(nostack, preserves_flags)) };
        }
    }

    /// Loads this CPU's registers from here, XCR0 last, which is the host's until then; a state the CPU refuses becomes
    /// the one after reset. CR0.TS is clear, as `save` left it.
    #[inline]
    pub fn restore(&mut self) {
        if POINTERS_STAY.load(Relaxed) {
            forget_pointers();
        }
        let area = self.lines.as_ptr() as u64;
        let components = host_components();
        if components == 0 {
            // SAFETY: FXRSTOR reads 512 bytes, 16-byte aligned; MXCSR was sanitised.
            unsafe { asm!("fxrstor64 [{}]", in(reg) area, options(nostack, preserves_flags)) };
            return;
        }
        // SAFETY: 1. `lines` is that area.
        if !unsafe { stubs::restore_extended_state(area, components) }
            && let Ok(fresh) = Self::new()
        {
            self.lines = fresh.lines;
            let area = self.lines.as_ptr() as u64;
            // SAFETY: 1. as above; the state after reset is always accepted.
            let _ = unsafe { stubs::restore_extended_state(area, components) };
        }
        if self.enabled != components {
            set_enabled(self.enabled);
        }
    }
}
