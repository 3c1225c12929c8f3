//! Entries from a guest: each finds out who came, serves it inside the boundary, and leaves through the gate.
//!
//! Context: interrupts off, the CPU's main stack, registers at its top. The guest's kernel and user mode are both ring 3;
//! which of them came stands in the vCPU.

use pv_cpu::{exit::ReturnPath, trap_table::Mode};

use super::{gate, stubs::SavedRegisters};
use crate::{
    interrupt::dispatch,
    serve::{boundary, syscall, traps},
};

/// SYSCALL from 64-bit code: a hypercall from the guest's kernel, a system call for it from its user mode.
pub extern "C" fn syscall(saved: SavedRegisters) -> ReturnPath {
    saved.serve(|caller| {
        boundary::run(caller, |caller| match caller.state.virtual_cpu.mode {
            Mode::Kernel => syscall::hypercall(caller),
            Mode::User => syscall::bounce(caller),
        });
    })
}

/// SYSCALL from 32-bit code.
pub extern "C" fn compat_syscall(saved: SavedRegisters) -> ReturnPath {
    saved.serve(|caller| boundary::run(caller, syscall::bounce_compat))
}

/// SYSENTER.
pub extern "C" fn sysenter(saved: SavedRegisters) -> ReturnPath {
    saved.serve(|caller| boundary::run(caller, syscall::bounce_sysenter))
}

/// An exception, or `int 0x80`.
pub extern "C" fn exception(saved: SavedRegisters) -> ReturnPath {
    saved.serve(|caller| boundary::run(caller, traps::exception))
}

/// An interrupt.
pub extern "C" fn interrupt(saved: SavedRegisters) -> ReturnPath {
    dispatch::interrupt(saved.vector());
    saved.serve(|_| {})
}

/// Leaves with whatever is in the register file.
pub extern "C" fn restart(_saved: SavedRegisters) -> ReturnPath {
    gate::leave()
}
