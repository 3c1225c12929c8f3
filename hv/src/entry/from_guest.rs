//! Entries from a guest: each finds out who came, serves it inside the boundary, and leaves through the gate.
//!
//! Context: interrupts off, the CPU's main stack, registers at its top. The guest's kernel and user mode are both ring 3;
//! which of them came stands in the vCPU.

use pv_cpu::trap_table::Mode;

use super::{gate, stubs::SavedRegisters};
use crate::{
    interrupt::dispatch,
    serve::{boundary, syscall, traps},
};

/// First vector that is not an exception.
const FIRST_INTERRUPT: u32 = 32;

/// SYSCALL from 64-bit code: a hypercall from the guest's kernel, a system call for it from its user mode.
pub extern "C" fn syscall(saved: SavedRegisters) -> u8 {
    saved.serve(|caller| {
        boundary::run(caller, |caller| match caller.state.virtual_cpu.mode {
            Mode::Kernel => syscall::hypercall(caller),
            Mode::User => syscall::bounce(caller),
        });
    });
    gate::leave()
}

/// SYSCALL from 32-bit code.
pub extern "C" fn compat_syscall(saved: SavedRegisters) -> u8 {
    saved.serve(|caller| boundary::run(caller, syscall::bounce_compat));
    gate::leave()
}

/// SYSENTER.
pub extern "C" fn sysenter(saved: SavedRegisters) -> u8 {
    saved.serve(|caller| boundary::run(caller, syscall::bounce_sysenter));
    gate::leave()
}

/// An exception or interrupt.
pub extern "C" fn vector(saved: SavedRegisters) -> u8 {
    let vector = saved.vector();
    if vector >= FIRST_INTERRUPT && vector != traps::SYSTEM_CALL_VECTOR {
        dispatch::interrupt(vector);
    } else {
        saved.serve(|caller| boundary::run(caller, traps::exception));
    }
    gate::leave()
}

/// Leaves with whatever is in the register file.
pub extern "C" fn restart(_saved: SavedRegisters) -> u8 {
    gate::leave()
}
