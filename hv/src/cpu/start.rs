//! Bringing a CPU into service: its block, its descriptors, its control registers.

use abi::{Errno, Result};

use super::{Cpu, block, features};
use crate::{arch::descriptors, entry::stubs, memory::physical};

/// Makes the record and the block of a CPU that is not running yet. Errors: `ENOMEM`, `ENOSPC` beyond 64 CPUs.
pub fn prepare(apic_id: u32, acpi_id: u32) -> Result<&'static Cpu> {
    let index = super::count();
    let frame = block::map(index, stubs::syscall_page())?;
    let cpu = Cpu::add(apic_id, acpi_id, frame).ok_or(Errno::ENOSPC)?;
    descriptors::fill(frame, &cpu.task_state);
    block::install(cpu);
    Ok(cpu)
}

/// Loads everything of this CPU's own, first thing on its main stack.
pub fn enter_service() {
    let cpu = super::this();
    descriptors::load(cpu.index);
    features::enable(cpu.index);
    cpu.root.store(physical::root().0, core::sync::atomic::Ordering::Relaxed);
    cpu.online.store(true, core::sync::atomic::Ordering::Release);
}
