//! Bringing a CPU into service: its block, its descriptors, its control registers, its APIC.

#![expect(unsafe_code, reason = "loads the hypervisor's own page tables")]

use core::sync::atomic::Ordering::{Relaxed, Release};

use abi::Result;

use super::{Cpu, block, features};
use crate::{
    arch::{control, descriptors},
    entry::stubs,
    interrupt::local_apic,
    memory::physical,
};

/// Makes the record and the block of a CPU that is not running yet. Errors: `ENOMEM`, `ENOSPC` beyond 64 CPUs.
pub fn prepare(apic_id: u32, acpi_id: u32) -> Result<&'static Cpu> {
    let index = super::count();
    let frame = block::map(index, stubs::syscall_page())?;
    let cpu = Cpu::add(apic_id, acpi_id, frame)?;
    descriptors::fill(frame, &cpu.task_state);
    block::install(cpu);
    Ok(cpu)
}

/// Loads everything of this CPU's own, first thing on its main stack; its APIC comes once it is known how to reach it.
pub fn enter_service_early() {
    let cpu = super::this();
    descriptors::load(cpu.index);
    features::enable(cpu.index);
    cpu.root.store(physical::root().0, Relaxed);
}

/// Makes this CPU, whose tables are loaded, one of those that take part.
pub fn enter_service() {
    local_apic::enable();
    local_apic::enable_timer();
    crate::sched::queue::board().set_online(super::this().index as u32);
    super::this().has_started.store(true, Release);
    super::this().in_service_since.store(crate::time::clock::now(), Release);
    super::this().online.store(true, Release);
}

/// Leaves the tables that mapped the trampoline.
pub fn leave_start_tables() {
    // SAFETY: 1. the hypervisor's own root.
    unsafe { control::write_cr3(physical::root().address().0) };
}
