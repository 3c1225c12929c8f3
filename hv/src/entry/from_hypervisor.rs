//! Exceptions and interrupts that hit the hypervisor itself.
//!
//! Interrupts come here in the idle loop and at preemption points only. Exceptions are either accesses that may fault
//! (the fixup table), the return to a guest whose descriptors the guest has broken, or a bug of ours, which unwinds like
//! a panic. Context: interrupts off; whatever stack was in use, or one of the three stacks of their own.

use pv_cpu::registers::Registers;

use super::stubs::{self, SavedRegisters};
use crate::{
    arch::{control, debug},
    console::output,
    cpu::block,
    interrupt::dispatch,
    serve::failsafe,
};

const DEBUG: u32 = 1;
const NMI: u32 = 2;
const DOUBLE_FAULT: u32 = 8;
const PAGE_FAULT: u32 = 14;

/// An exception or interrupt while the hypervisor ran.
pub extern "C" fn vector(mut saved: SavedRegisters) {
    let vector = saved.vector();
    if vector >= 32 {
        dispatch::interrupt(vector);
        return;
    }
    let registers = saved.copy();
    if let Some(target) = stubs::fixup(registers.rip) {
        saved.continue_at(target);
        return;
    }
    if registers.rip == stubs::iret_address() {
        failsafe::return_failed(registers);
    }
    report("fault in the hypervisor", &registers);
    stubs::unwind_from(&registers)
}

/// Non-maskable interrupt, double fault, machine check; a debug exception that hit the hypervisor.
pub extern "C" fn on_own_stack(mut saved: SavedRegisters) {
    match saved.vector() {
        DEBUG => debug_exception(&mut saved),
        NMI => dispatch::non_maskable(&saved.copy()),
        DOUBLE_FAULT => {
            report("double fault", &saved.copy());
            crate::panic::stop();
        }
        _ => {
            report("machine check", &saved.copy());
            crate::panic::stop();
        }
    }
}

/// A guest's doing, and nobody's loss: its data breakpoint lies on memory that the hypervisor copied, its trap was held
/// back by MOV SS until SYSCALL had been carried out, or it single-stepped into SYSENTER. The causes are forgotten.
fn debug_exception(saved: &mut SavedRegisters) {
    #[cfg(feature = "fail-points")]
    crate::fail_points::breakpoint_met();
    debug::write_dr6(pv_cpu::debug::DR6_ONES);
    saved.stop_stepping();
}

/// Continues a fault as a panic; called by the stub with the faulting code's frames on the stack.
pub extern "C-unwind" fn fault_as_panic() -> ! {
    crate::personality::unwind_fault()
}

fn report(what: &str, registers: &Registers) {
    let cpu = block::this_info().cpu().index;
    let address = if registers.entry_vector == PAGE_FAULT { control::read_cr2() } else { 0 };
    output::emergency(format_args!(
        "(XEN) CPU{cpu}: {what}: vector {} error {:#06x} address {address:016x}\n\
         (XEN) RIP: {:04x}:[<{:016x}>] RFLAGS: {:016x} RSP: {:016x}\n\
         (XEN) rax: {:016x} rbx: {:016x} rcx: {:016x} rdx: {:016x}\n\
         (XEN) rsi: {:016x} rdi: {:016x} rbp: {:016x} r8:  {:016x}\n\
         (XEN) cr3: {:016x}\n",
        registers.entry_vector,
        registers.error_code,
        registers.cs,
        registers.rip,
        registers.rflags,
        registers.rsp,
        registers.rax,
        registers.rbx,
        registers.rcx,
        registers.rdx,
        registers.rsi,
        registers.rdi,
        registers.rbp,
        registers.r8,
        control::read_cr3(),
    ));
}
