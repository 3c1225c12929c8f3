//! Exceptions of a guest: some are the hypervisor's to resolve, the rest go to the guest's handlers.

use core::sync::atomic::Ordering::Acquire;

use pv_cpu::{
    bounce,
    exception::{Exception, Vector},
    privileged::Emulation,
    trap_table::Mode,
};

use super::{Caller, emulate, page_fault};
use crate::{
    arch::{control, debug},
    fail_point::{Point, hit},
};

/// `int 0x80`, which has a gate of its own.
pub const SYSTEM_CALL_VECTOR: u32 = 0x80;

/// One exception. Those with work of their own are out of line, so that none pays for the registers of another.
#[inline(always)]
pub fn exception(caller: &mut Caller<'_>) {
    // Only an entry by SYSCALL leaves rcx and r11 free; the stubs store the plain vector otherwise.
    let vector = caller.registers.entry_vector;
    let error_code = caller.registers.error_code;
    hit(Point::exception(vector));
    if vector == u32::from(Vector::PAGE_FAULT.0) {
        return page_fault::handle(caller, control::read_cr2(), error_code);
    }
    match vector {
        13 => general_protection(caller, error_code),
        6 => invalid_opcode(caller),
        1 => debug_trap(caller),
        3 => breakpoint(caller),
        7 => no_device(caller),
        SYSTEM_CALL_VECTOR => int_80(caller),
        _ => raise(caller, Vector(vector as u8), error_code),
    }
}

#[inline(never)]
fn int_80(caller: &mut Caller<'_>) {
    let (cpu, registers, mut context) = caller.split();
    if let Err(crash) = bounce::int_80(cpu, registers, &mut context) {
        caller.give_up(crash);
    }
}

/// Raises an exception in the guest.
#[inline(never)]
pub fn raise(caller: &mut Caller<'_>, vector: Vector, error_code: u32) {
    let (cpu, registers, mut context) = caller.split();
    if let Err(crash) = bounce::exception(cpu, registers, &mut context, vector, error_code) {
        caller.give_up(crash);
    }
}

/// Raises a page fault in the guest; CR2 is in its vcpu_info.
#[inline(always)]
pub fn raise_page_fault(caller: &mut Caller<'_>, error_code: u32) {
    let (cpu, registers, mut context) = caller.split();
    if let Err(crash) = bounce::exception(cpu, registers, &mut context, Vector::PAGE_FAULT, error_code) {
        caller.give_up(crash);
    }
}

fn finish(caller: &mut Caller<'_>, outcome: Emulation) {
    match outcome {
        Emulation::Done { debug_causes: 0 } | Emulation::Retry => {}
        Emulation::Done { debug_causes } => raise_debug(caller, debug_causes),
        Emulation::Fault(Exception { vector, error_code, address }) => {
            if vector == Vector::PAGE_FAULT {
                caller.vcpu.info().cr2.store(address, core::sync::atomic::Ordering::Relaxed);
            }
            raise(caller, vector, error_code);
        }
    }
}

fn raise_debug(caller: &mut Caller<'_>, causes: u64) {
    let (cpu, registers, mut context) = caller.split();
    if let Err(crash) = bounce::debug(cpu, registers, &mut context, causes) {
        caller.give_up(crash);
    }
}

/// #GP: an instruction to emulate when the code is 0, `int n` when it names the IDT, else the guest's own.
#[inline(never)]
fn general_protection(caller: &mut Caller<'_>, error_code: u32) {
    if error_code == 0 {
        let outcome = emulate::privileged(caller);
        finish(caller, outcome);
        return;
    }
    let (cpu, registers, mut context) = caller.split();
    if let Err(crash) = bounce::software_interrupt(cpu, registers, &mut context, error_code) {
        caller.give_up(crash);
    }
}

/// #UD: perhaps the prefix that asks for CPUID.
#[inline(never)]
fn invalid_opcode(caller: &mut Caller<'_>) {
    match emulate::forced(caller) {
        Some(outcome) => finish(caller, outcome),
        None => raise(caller, Vector::INVALID_OPCODE, 0),
    }
}

#[inline(never)]
fn debug_trap(caller: &mut Caller<'_>) {
    const CAUSES: u64 = 0xE00F;
    let causes = debug::read_dr6() & CAUSES;
    debug::write_dr6(pv_cpu::debug::DR6_ONES);
    if !is_debuggers(caller) {
        raise_debug(caller, causes);
    }
}

#[inline(never)]
fn breakpoint(caller: &mut Caller<'_>) {
    if !is_debuggers(caller) {
        raise(caller, Vector::BREAKPOINT, 0);
    }
}

/// Whether a breakpoint or a single step is the debugger's that the toolstack says is attached. As on a Xen without gdbsx
/// nobody hears of it then, and the guest's kernel goes on.
fn is_debuggers(caller: &Caller<'_>) -> bool {
    caller.domain.is_debugged.load(Acquire) && caller.state.virtual_cpu.mode == Mode::Kernel
}

/// #NM: the guest has set TS; it is clear once its handler runs.
#[inline(never)]
fn no_device(caller: &mut Caller<'_>) {
    emulate::clear_task_switched(caller);
    raise(caller, Vector::NO_DEVICE, 0);
}
