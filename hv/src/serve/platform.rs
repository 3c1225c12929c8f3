//! platform_op: time of day, memory types, sleep, what the firmware left behind.
//!
//! Not there: suspend to memory (`EOPNOTSUPP`, as Xen answers where the firmware has no way to wake up); names of the
//! hypervisor's own code. Source: Xen public header `platform.h`.

use abi::{Errno, Mfn, Result, platform::PlatformQuirk};
use hypercalls::{
    authority::ControlDomain,
    op::platform::{MemoryType, PlatformHost, SleepRegisters, SleepRequest, Symbol},
};

use super::Caller;
use crate::{
    cpu::memory_types,
    memory::window,
    platform::{firmware, power},
    time::wallclock,
};

/// Shift state of the keyboard in the BIOS data area.
const SHIFT_FLAGS: u64 = 0x417;
/// Sleep states that cannot be entered but by firmware and CPUs going to sleep together.
const SUSPEND_TO_MEMORY: u32 = 3;
/// Sleep states that end with the machine off.
const OFF: core::ops::RangeInclusive<u32> = 4..=5;

impl PlatformHost for Caller<'_> {
    fn set_wallclock(&mut self, _authority: ControlDomain, seconds: u64, nanoseconds: u32, system_time: u64) {
        wallclock::set(seconds, nanoseconds, system_time);
    }

    fn memory_type_add(&mut self, _authority: ControlDomain, range: MemoryType) -> Result<u32> {
        memory_types::add(range.first.0, range.count, range.kind)
    }

    fn memory_type_remove(&mut self, _authority: ControlDomain, register: u32) -> Result<()> {
        memory_types::remove(register)
    }

    fn memory_type(&self, register: u32) -> Option<MemoryType> {
        let range = memory_types::get(register)?;
        Some(MemoryType { first: Mfn(range.first), count: range.count, kind: u32::from(range.kind.0) })
    }

    fn platform_quirk(&mut self, _authority: ControlDomain, quirk: PlatformQuirk) -> Result<()> {
        match quirk {
            // Interrupts are never moved by themselves, and every access to an I/O APIC selects its register anew.
            PlatformQuirk::NO_IRQ_BALANCING | PlatformQuirk::IOAPIC_BAD_REGSEL | PlatformQuirk::IOAPIC_GOOD_REGSEL => {
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn keyboard_shift_flags(&self) -> u8 {
        let mut flags = [0];
        // The BIOS is not called after boot, so what it left there is what it had at boot.
        window::read_physical(SHIFT_FLAGS, &mut flags);
        let [flags] = flags;
        flags
    }

    fn has_sleep_registers(&self, which: SleepRegisters) -> bool {
        let fadt = firmware::get().and_then(|firmware| firmware.fadt);
        // Machines of reduced ACPI hardware are not supported.
        which == SleepRegisters::Pm1 && fadt.is_some_and(|fadt| fadt.pm1a_control != 0)
    }

    fn enter_sleep(&mut self, _authority: ControlDomain, request: SleepRequest) -> Result<()> {
        match request.state {
            SUSPEND_TO_MEMORY => Err(Errno::EOPNOTSUPP),
            state if OFF.contains(&state) => {
                power::set_soft_off(request.value_a, request.value_b);
                log::info!("Preparing system for ACPI S{state} state.");
                power::off()
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn symbol_count(&self) -> u32 {
        0
    }

    fn symbol(&self, _index: u32) -> Option<Symbol<'_>> {
        None
    }
}
