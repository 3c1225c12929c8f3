//! platform_op about power: sleep states, and the C- and P-state data that dom0 reads from ACPI.

use abi::platform::{ACPI_SLEEP_EXTENDED, EnterAcpiSleep};
use abi::platform_power::{PowerInfoType, SetProcessorPminfo};
use abi::{Errno, GuestHandle, Result};

use super::{PlatformHost, Request};
use crate::guest::{self, GuestMemory};

/// Which registers put a machine to sleep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SleepRegisters {
    /// PM1 control, a and b.
    Pm1,
    /// Sleep control and status of reduced-hardware ACPI.
    Extended,
}

/// A sleep the control domain prepared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SleepRequest {
    /// Which registers the values are for.
    pub registers: SleepRegisters,
    /// For PM1a control; for extended registers the sleep type.
    pub value_a: u16,
    /// For PM1b control; for extended registers the sleep type or [`SLEEP_TYPE_NONE`].
    pub value_b: u16,
    /// 1 to 5.
    pub state: u32,
}

/// "No second sleep type".
pub const SLEEP_TYPE_NONE: u16 = 0xFF;
/// Highest sleep type.
const SLEEP_TYPE_MAX: u16 = 7;
/// Highest sleep state.
const SLEEP_STATE_MAX: u32 = 5;

/// Errors: `EPERM` without such registers, `EINVAL` for unknown flags or states, `ERANGE` for a sleep type.
pub(super) fn enter_sleep<H: PlatformHost>(host: &mut H, request: &Request) -> Result<()> {
    let sleep: EnterAcpiSleep = request.argument()?;
    let extended = sleep.flags & ACPI_SLEEP_EXTENDED != 0;
    let registers = if extended { SleepRegisters::Extended } else { SleepRegisters::Pm1 };
    if !host.has_sleep_registers(registers) {
        return Err(Errno::EPERM);
    }
    if sleep.flags & !ACPI_SLEEP_EXTENDED != 0 {
        return Err(Errno::EINVAL);
    }
    let type_is_wild = |value: u16| value > SLEEP_TYPE_MAX;
    if extended && (type_is_wild(sleep.value_a) || (sleep.value_b != SLEEP_TYPE_NONE && type_is_wild(sleep.value_b))) {
        return Err(Errno::ERANGE);
    }
    if !(1..=SLEEP_STATE_MAX).contains(&sleep.sleep_state) {
        return Err(Errno::EINVAL);
    }
    let prepared = SleepRequest { registers, value_a: sleep.value_a, value_b: sleep.value_b, state: sleep.sleep_state };
    host.enter_sleep(request.authority, prepared)
}

/// Revision of the capability words.
const CAPABILITIES_REVISION: u32 = 1;
/// Capabilities that ACPI defines for processors and that mean anything without entering states by MWAIT.
const CAPABILITIES: u32 = 0x0000_08FF;

/// The hypervisor manages neither C- nor P-states, so it wants no tables of them; but a kernel asks here, before it
/// reads its tables, which ways of entering a state it may claim: none by MWAIT.
/// Errors: `ENOSYS` for data not wanted, `EFAULT`, `EINVAL` for another revision, no words, or an unknown kind.
pub(super) fn processor_info<H: PlatformHost + GuestMemory>(host: &mut H, request: &Request) -> Result<()> {
    let info: SetProcessorPminfo = request.argument()?;
    match info.kind {
        PowerInfoType::CX | PowerInfoType::PX | PowerInfoType::TX => return Err(Errno::ENOSYS),
        PowerInfoType::PDC => {}
        _ => return Err(Errno::EINVAL),
    }
    let [address, ..] = info.info;
    let words = GuestHandle::<u32>::new(address);
    let [revision, count]: [u32; 2] = guest::read(host, words.cast())?;
    if revision != CAPABILITIES_REVISION || count == 0 {
        return Err(Errno::EINVAL);
    }
    let offered: u32 = guest::read(host, words.element(2))?;
    guest::write(host, words.element(2), &(offered & CAPABILITIES))
}
