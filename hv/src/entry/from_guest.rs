//! Entries from a guest: each finds out who came, serves it inside the boundary, and leaves through the gate.
//!
//! Context: interrupts off, the CPU's main stack, registers at its top. The guest's kernel and user mode are both ring 3;
//! which of them came stands in the vCPU.

use pv_cpu::{registers::Registers, trap_table::Mode};

use super::gate;
use crate::{
    interrupt::dispatch,
    serve::{Caller, boundary, syscall, traps},
};

/// First vector that is not an exception.
const FIRST_INTERRUPT: u32 = 32;

/// SYSCALL from 64-bit code: a hypercall from the guest's kernel, a system call for it from its user mode.
pub extern "C" fn syscall(registers: &mut Registers) -> u8 {
    if let Some(mut caller) = Caller::current(registers) {
        boundary::run(&mut caller, |caller| match caller.state.virtual_cpu.mode {
            Mode::Kernel => syscall::hypercall(caller),
            Mode::User => syscall::bounce(caller),
        });
    }
    gate::leave()
}

/// SYSCALL from 32-bit code.
pub extern "C" fn compat_syscall(registers: &mut Registers) -> u8 {
    if let Some(mut caller) = Caller::current(registers) {
        boundary::run(&mut caller, syscall::bounce_compat);
    }
    gate::leave()
}

/// SYSENTER.
pub extern "C" fn sysenter(registers: &mut Registers) -> u8 {
    if let Some(mut caller) = Caller::current(registers) {
        boundary::run(&mut caller, syscall::bounce_sysenter);
    }
    gate::leave()
}

/// An exception or interrupt.
pub extern "C" fn vector(registers: &mut Registers) -> u8 {
    if registers.entry_vector >= FIRST_INTERRUPT && registers.entry_vector != traps::SYSTEM_CALL_VECTOR {
        dispatch::interrupt(registers.entry_vector);
    } else if let Some(mut caller) = Caller::current(registers) {
        boundary::run(&mut caller, traps::exception);
    }
    gate::leave()
}

/// Leaves with whatever is in the register file.
pub extern "C" fn restart(_registers: &mut Registers) -> u8 {
    gate::leave()
}
