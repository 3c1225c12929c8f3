//! The assembly entries, their constants and their addresses; nothing is decided here.
//!
//! Context: interrupts off, the CPU's own stacks.

#![expect(unsafe_code, reason = "assembly entry points")]

use pv_cpu::{exit::ReturnPath, registers::Registers};

use super::{from_guest, from_hypervisor, gate};
use crate::{
    arch::descriptors::selector,
    cpu::block,
    serve::{Caller, traps},
};

/// Offsets inside the SYSCALL page.
const COMPAT_ENTRY: u64 = 64;
const SYSCALL_POINTER: u64 = 128;
const COMPAT_POINTER: u64 = 136;

/// `int 0x80`, whose stub is an exception's.
const SYSTEM_CALL_VECTOR: u32 = traps::SYSTEM_CALL_VECTOR;

/// `Registers::entry_vector` of entries that are no vector.
const SYSCALL: u32 = Registers::SYSCALL;

core::arch::global_asm!(
    include_str!("stubs.S"),
    registers_rsp = const block::REGISTERS_RSP,
    debug_distance = const block::DEBUG_STACK_DISTANCE,
    compat_entry = const COMPAT_ENTRY,
    syscall_pointer = const SYSCALL_POINTER,
    compat_pointer = const COMPAT_POINTER,
    flat_stack = const selector::GUEST_DATA,
    flat_code = const selector::GUEST_CODE_64,
    flat_code32 = const selector::GUEST_CODE_32,
    syscall_vector = const SYSCALL,
    system_call_vector = const SYSTEM_CALL_VECTOR,
    compat_vector = const 0,
    sysenter_vector = const 0,
    sysenter_flags = const 0x202,
    from_syscall = sym from_guest::syscall,
    from_compat_syscall = sym from_guest::compat_syscall,
    from_sysenter = sym from_guest::sysenter,
    exception = sym from_guest::exception,
    interrupt = sym from_guest::interrupt,
    from_hypervisor = sym from_hypervisor::vector,
    on_own_stack = sym from_hypervisor::on_own_stack,
    restart = sym from_guest::restart,
    fault_as_panic = sym from_hypervisor::fault_as_panic,
    options(att_syntax)
);

unsafe extern "C" {
    static entry_syscall_page: u8;
    static entry_vectors: u8;
    static entry_sysenter: u8;
    static entry_iret: u8;
    static fixup_start: Fixup;
    static fixup_end: Fixup;
    fn entry_unwind_from(registers: *const Registers) -> !;
    fn entry_guest_copy(to: u64, from: u64, length: u64) -> u64;
    fn entry_read_msr(register: u32, value: *mut u64) -> u64;
    fn entry_write_msr(register: u32, value: u64) -> u64;
    fn entry_load_selectors(ds: u32, es: u32, fs: u32, gs: u32) -> u32;
    fn entry_restore_extended_state(image: u64, low: u32, high: u32) -> u64;
    fn entry_restart(registers: *mut Registers) -> !;
}

/// The registers that an entry stub has saved on the stack. Made by the stubs alone.
///
/// Not a reference: from a guest the words are those of the CPU's one register file, which the gate opens again before
/// the entry function returns; from the hypervisor they may overlap it.
#[repr(transparent)]
pub struct SavedRegisters(*mut Registers);

impl SavedRegisters {
    /// Which entry this is: the vector, or [`Registers::SYSCALL`].
    #[inline(always)]
    pub fn vector(&self) -> u32 {
        // SAFETY: the stub has filled the words, and nobody else reaches them while the entry function has this value.
        unsafe { (*self.0).entry_vector }
    }

    /// The words as they were saved.
    pub fn copy(&self) -> Registers {
        // SAFETY: as in `vector`; every bit pattern is valid.
        unsafe { *self.0 }
    }

    /// Where the interrupted code goes on.
    pub fn continue_at(&mut self, rip: u64) {
        // SAFETY: as in `vector`.
        unsafe { (*self.0).rip = rip };
    }

    /// Makes the interrupted code go on without single-stepping.
    pub fn stop_stepping(&mut self) {
        const TRAP: u64 = 1 << 8;
        // SAFETY: as in `vector`.
        unsafe { (*self.0).rflags &= !TRAP };
    }

    /// Serves the vCPU that this CPU came from, if there is one, and goes through the gate. The reference to the registers
    /// ends before the gate's long way opens them again.
    #[inline(always)]
    pub fn serve(self, work: impl FnOnce(&mut Caller<'_>)) -> ReturnPath {
        // SAFETY: 1. from a guest the stubs have put the words where TSS.rsp0 or the SYSCALL page leads: into the CPU's file.
        let info = unsafe { block::info_of(self.0) };
        // SAFETY: that file's words, which `gate::leave` opens after this is over.
        if let Some(mut caller) = Caller::served_by(info, unsafe { &mut *self.0 }) {
            work(&mut caller);
            if let Some(path) = gate::pass(&mut caller) {
                return path;
            }
        }
        gate::leave()
    }
}

/// Linked address of the page that SYSCALL enters through.
pub fn syscall_page() -> u64 {
    &raw const entry_syscall_page as u64
}

/// Address of the stub of one vector.
pub fn vector_entry(vector: usize) -> u64 {
    &raw const entry_vectors as u64 + 16 * vector as u64
}

/// SYSCALL entries of a CPU: 64-bit and 32-bit.
pub fn syscall_entries(cpu: usize) -> (u64, u64) {
    (block::base(cpu), block::base(cpu) + COMPAT_ENTRY)
}

/// Address of the SYSENTER entry.
pub fn sysenter_entry() -> u64 {
    &raw const entry_sysenter as u64
}

/// Address of the one IRET that returns to guests, for the fault handler.
pub fn iret_address() -> u64 {
    &raw const entry_iret as u64
}

/// Goes on from a fault in hypervisor code by unwinding from where it happened.
pub fn unwind_from(registers: &Registers) -> ! {
    // SAFETY: the registers are those of code on this stack, which is abandoned up to the frame they describe.
    unsafe { entry_unwind_from(registers) }
}

/// The five words that a failed IRET would have loaded: rip, cs, rflags, rsp, ss.
pub fn iret_frame(stack_pointer: u64) -> (u64, u64, u64, u64, u64) {
    // SAFETY: the stack pointer at the one IRET instruction points at five words of this CPU's register file.
    let words = unsafe { *(stack_pointer as *const [u64; 5]) };
    let [rip, cs, rflags, rsp, ss] = words;
    (rip, cs, rflags, rsp, ss)
}

/// A range of instructions that may fault, and where to go on.
#[repr(C)]
struct Fixup {
    first: u64,
    end: u64,
    target: u64,
}

/// Where a fault at `rip` in the hypervisor goes on, if it is one of the accesses that may fault.
pub fn fixup(rip: u64) -> Option<u64> {
    let (start, end) = (&raw const fixup_start, &raw const fixup_end);
    // SAFETY: the linker puts whole records between the two symbols.
    let table = unsafe { core::slice::from_raw_parts(start, (end as usize - start as usize) / size_of::<Fixup>()) };
    table.iter().find(|range| (range.first..range.end).contains(&rip)).map(|range| range.target)
}

/// Fills `to` from guest memory; the range was checked to lie outside the hypervisor. False: not mapped.
#[inline]
pub fn copy_from_guest(to: &mut [u8], from: u64) -> bool {
    // SAFETY: `to` is ours and long enough; faults on the guest's side are fixed up.
    unsafe { entry_guest_copy(to.as_mut_ptr() as u64, from, to.len() as u64) == 0 }
}

/// Writes `from` to guest memory; the range was checked to lie outside the hypervisor. False: not writable.
#[inline]
pub fn copy_to_guest(to: u64, from: &[u8]) -> bool {
    // SAFETY: the guest's side is guest memory only (checked by the caller), never a Rust object; faults are fixed up.
    unsafe { entry_guest_copy(to, from.as_ptr() as u64, from.len() as u64) == 0 }
}

/// Reads a model-specific register that may not exist.
pub fn try_read_msr(register: u32) -> Option<u64> {
    let mut value = 0;
    // SAFETY: the value is ours; a fault is fixed up.
    (unsafe { entry_read_msr(register, &raw mut value) } == 0).then_some(value)
}

/// Writes a model-specific register that may refuse the value. True when it was written.
///
/// # Safety
/// 1. As for `arch::control::write_msr`.
pub unsafe fn try_write_msr(register: u32, value: u64) -> bool {
    // SAFETY: duty 1 is passed on; a fault is fixed up.
    unsafe { entry_write_msr(register, value) == 0 }
}

/// Loads the guest's data selectors; returns how many were refused and became null.
#[inline]
pub fn load_selectors(ds: u16, es: u16, fs: u16, gs: u16) -> u32 {
    // SAFETY: the hypervisor uses none of the four; faults are fixed up.
    unsafe { entry_load_selectors(u32::from(ds), u32::from(es), u32::from(fs), u32::from(gs)) }
}

/// Restores extended state; `image` is 64-byte aligned and large enough for `components`. False: refused.
///
/// # Safety
/// 1. `image` points at a live save area of the size CPUID names for `components`.
#[inline]
pub unsafe fn restore_extended_state(image: u64, components: u64) -> bool {
    // SAFETY: duty 1 is passed on; a fault is fixed up.
    unsafe { entry_restore_extended_state(image, components as u32, (components >> 32) as u32) == 0 }
}

/// Forgets the stack and leaves through the exit gate with the registers as they are.
pub fn leave() -> ! {
    // SAFETY: 1. nothing else of this entry goes on: the stack is given up below.
    let registers = unsafe { block::registers() };
    // SAFETY: this CPU's register file is where the gate expects it; nothing on the stack is needed any more.
    unsafe { entry_restart(registers) }
}
