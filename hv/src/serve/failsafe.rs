//! A return to the guest that the CPU refused, because the guest broke its own descriptors meanwhile.
//!
//! The exception frame overlaps the register file it was loaded from, so the registers are taken out of it first. What
//! the IRET met is then an exception of the guest's, at the instruction it would have returned to, as on Xen: an LDT page
//! is shown on demand, all else goes to the guest's handler. Selectors that a context switch could not load are told to
//! the guest's failsafe callback; without one the guest is crashed.

use pv_cpu::{bounce, registers::Registers};

use super::{Caller, traps};
use crate::{cpu::block, entry::stubs};

/// The IRET faulted; `at_fault` holds the general registers, already the guest's, the vector and the error code.
pub fn return_failed(at_fault: Registers) -> ! {
    let frame = stubs::iret_frame(at_fault.rsp);
    let registers = block::take_registers();
    *registers = at_fault;
    (registers.rip, registers.cs, registers.rflags, registers.rsp, registers.ss) = frame;
    if let Some(mut caller) = Caller::current(registers) {
        super::boundary::run(&mut caller, raise);
    }
    stubs::leave()
}

/// The exception that the IRET met. A function of its own, so that the boundary of the entries has theirs for itself.
fn raise(caller: &mut Caller<'_>) {
    traps::exception(caller);
}

/// Enters the guest's failsafe callback after its selectors could not be loaded; it hears what they were.
pub fn selectors_refused(caller: &mut Caller<'_>) {
    let segments = caller.state.virtual_cpu.segments;
    tell(caller, bounce::DataSelectors { ds: segments.ds, es: segments.es, fs: segments.fs, gs: segments.gs });
}

fn tell(caller: &mut Caller<'_>, selectors: bounce::DataSelectors) {
    let (cpu, registers, mut context) = caller.split();
    if let Err(crash) = bounce::failsafe(cpu, registers, &mut context, selectors) {
        caller.crash(crash.reason());
    }
}
