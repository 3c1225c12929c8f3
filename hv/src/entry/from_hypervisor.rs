//! Exceptions and interrupts that hit the hypervisor itself.
//!
//! Interrupts come here in the idle loop and at preemption points only. Exceptions are either accesses that may fault
//! (the fixup table), the return to a guest whose descriptors the guest has broken, or a bug of ours, which unwinds like
//! a panic. Context: interrupts off; whatever stack was in use, or one of the three stacks of their own.

use pv_cpu::registers::Registers;

use super::stubs;
use crate::{arch::control, console::output, cpu::block, interrupt::dispatch, serve::failsafe};

const NMI: u32 = 2;
const DOUBLE_FAULT: u32 = 8;
const PAGE_FAULT: u32 = 14;

/// An exception or interrupt while the hypervisor ran.
pub extern "C" fn vector(registers: &mut Registers) {
    if registers.entry_vector >= 32 {
        dispatch::interrupt(registers.entry_vector);
        return;
    }
    if let Some(target) = stubs::fixup(registers.rip) {
        registers.rip = target;
        return;
    }
    if registers.rip == stubs::iret_address() {
        failsafe::return_failed(registers);
    }
    report("fault in the hypervisor", registers);
    stubs::unwind_from(registers)
}

/// Non-maskable interrupt, double fault, machine check.
pub extern "C" fn on_own_stack(registers: &mut Registers) {
    match registers.entry_vector {
        NMI => dispatch::non_maskable(registers),
        DOUBLE_FAULT => {
            report("double fault", registers);
            crate::panic::stop();
        }
        _ => {
            report("machine check", registers);
            crate::panic::stop();
        }
    }
}

/// Continues a fault as a panic; called by the stub with the faulting code's frames on the stack.
pub extern "C-unwind" fn fault_as_panic() -> ! {
    panic!("CPU exception in hypervisor code")
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
