//! From an interrupt's vector to what it means.
//!
//! Context: interrupts off; on the way in from a guest, in the idle loop, or at a preemption point without locks.

use pv_cpu::registers::Registers;

use super::{device, flush, local_apic, vector::Vector};
use crate::cpu::{self, Work};

/// Serves one interrupt. A frame of its own, by which the unwinder knows it.
#[inline(never)]
pub fn interrupt(vector: u32) {
    match Vector(vector as u8) {
        Vector::TIMER => {
            local_apic::end_of_interrupt();
            cpu::this().raise(Work::TIMER);
        }
        // The sender has set the work bits; the gate looks at them.
        Vector::WORK => local_apic::end_of_interrupt(),
        Vector::FLUSH => {
            local_apic::end_of_interrupt();
            flush::answer();
        }
        Vector::SPURIOUS => {}
        Vector::APIC_ERROR => controller_error(),
        device => of_device(device),
    }
}

#[cold]
#[inline(never)]
fn controller_error() {
    local_apic::end_of_interrupt();
    log::warn!("CPU{}: APIC error", cpu::this().index);
}

/// Out of line, so that the others do not pay for its registers.
#[inline(never)]
fn of_device(vector: Vector) {
    device::interrupt(vector);
}

/// An NMI: on a machine that has stopped, this CPU stops too; otherwise it is reported.
pub fn non_maskable(registers: &Registers) {
    if crate::panic::is_stopped() {
        crate::arch::control::halt_forever();
    }
    crate::time::watchdog::on_nmi(registers);
    crate::console::output::emergency(format_args!(
        "(XEN) CPU{}: NMI at {:04x}:{:016x}\n",
        cpu::this().index,
        registers.cs,
        registers.rip
    ));
}
