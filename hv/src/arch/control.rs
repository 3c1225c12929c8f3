//! Control registers, model-specific registers and the few instructions that change how the CPU runs.
//!
//! Each function is one instruction. Those that could break memory safety for their callers say what they need.
//! Source: AMD64 Architecture Programmer's Manual, volumes 2 and 3.

#![expect(unsafe_code, reason = "privileged instructions")]

use core::arch::asm;

/// Stops this CPU for good.
pub fn halt_forever() -> ! {
    loop {
        // SAFETY: touches no memory; interrupts stay as they are.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Halts until an interrupt has been served, with interrupts on for exactly that long.
#[inline]
pub fn wait_for_interrupt() {
    // SAFETY: interrupt handlers may run here: the caller holds no lock (checked in debug builds by `cpu::idle`).
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// Takes pending interrupts now.
#[inline]
pub fn interrupt_window() {
    // SAFETY: as for `wait_for_interrupt`.
    unsafe { asm!("sti", "nop", "cli", options(nostack)) };
}

/// Waits until all writes to memory are seen by other CPUs, before anything that follows.
#[inline]
pub fn finish_writes() {
    // SAFETY: changes nothing.
    unsafe { asm!("mfence", "lfence", options(nostack, preserves_flags)) };
}

/// Reads a model-specific register that exists on this CPU.
#[inline]
pub fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading has no side effect on memory; a register that does not exist faults, which the trap path reports.
    unsafe { asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// 1. The new value must not change how this CPU runs Rust code (EFER, system-call and base registers included) other
///    than in the way the caller's module documents.
#[inline]
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: duty 1 is passed on to the caller.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack));
    }
}

/// The page-fault address.
#[inline]
pub fn read_cr2() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// The page-table root.
#[inline]
pub fn read_cr3() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr3", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Loads a page-table root; flushes this CPU's non-global translations.
///
/// # Safety
/// 1. The table's slots 256 to 271 map the hypervisor as `memory::layout` says.
#[inline]
pub unsafe fn write_cr3(value: u64) {
    // SAFETY: duty 1 is passed on to the caller.
    unsafe { asm!("mov cr3, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// Control register 0.
#[inline]
pub fn read_cr0() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr0", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Control register 4.
#[inline]
pub fn read_cr4() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes control register 4.
///
/// # Safety
/// 1. PAE stays set, PCIDE and LA57 stay clear.
#[inline]
pub unsafe fn write_cr4(value: u64) {
    // SAFETY: duty 1 is passed on to the caller.
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// Writes control register 0.
///
/// # Safety
/// 1. PG, PE and WP stay set; EM stays clear.
#[inline]
pub unsafe fn write_cr0(value: u64) {
    // SAFETY: duty 1 is passed on to the caller.
    unsafe { asm!("mov cr0, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// Clears CR0.TS.
#[inline]
pub fn clear_task_switched() {
    // SAFETY: makes floating-point instructions work, which compiled code does not have.
    unsafe { asm!("clts", options(nomem, nostack, preserves_flags)) };
}

/// Drops this CPU's translation of one address.
#[inline]
pub fn invalidate_page(address: u64) {
    // SAFETY: dropping a translation changes no mapping.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// The time-stamp counter.
#[inline]
pub fn read_tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// The stack pointer.
#[inline]
pub fn read_stack_pointer() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes back and drops all caches.
pub fn write_back_caches() {
    // SAFETY: changes no memory contents.
    unsafe { asm!("wbinvd", options(nostack, preserves_flags)) };
}

/// Resets this CPU by an exception nobody can handle: the last resort of a reboot.
pub fn triple_fault() -> ! {
    let nothing: [u64; 2] = [0; 2];
    // SAFETY: there is no way back, on purpose.
    unsafe { asm!("lidt [{}]", "int3", "ud2", in(reg) nothing.as_ptr(), options(noreturn)) }
}

/// Exchanges the two GS bases: the guest's kernel has one, its user mode the other.
#[inline]
pub fn swap_gs() {
    // SAFETY: the hypervisor uses no segment bases.
    unsafe { asm!("swapgs", options(nomem, nostack, preserves_flags)) };
}
