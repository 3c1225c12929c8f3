//! sysctl: power states of CPUs. A CPU with nothing to do halts (C1), and its frequency is the firmware's business.

use abi::sysctl_machine::{
    IdleStatistics, POWER_CATEGORY, POWER_FREQUENCIES, POWER_IDLE_STATES, PowerCommand, PowerOp, PowerStatistics,
};
use abi::{Errno, GuestHandle, Result};

use super::{MachineHost, Request};
use crate::guest::{self, GuestMemory};

/// A limit of idle states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdleLimit {
    /// Of the states.
    State,
    /// Of the steps within a state.
    Substate,
}

impl IdleLimit {
    /// As a command's CPU number names it. Errors: `EINVAL`.
    fn named(number: u32) -> Result<Self> {
        match number {
            0 => Ok(Self::State),
            1 => Ok(Self::Substate),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// Running, and halted.
const STATES: u32 = 2;

/// get_pmstat(10). Errors: `EINVAL` unless the CPU is in service, `ENODEV` for frequencies, which nobody drives, and for
/// unknown kinds, `ENOSYS` for an unknown question about idle states, `EFAULT`.
pub(super) fn statistics<H: GuestMemory + MachineHost>(host: &H, request: &Request) -> Result<()> {
    let mut asked: IdleStatistics = request.argument()?;
    let (idle, service) = host.idle_time(asked.cpu).zip(host.service_time(asked.cpu)).ok_or(Errno::EINVAL)?;
    if asked.kind.0 & POWER_CATEGORY != POWER_IDLE_STATES {
        return Err(Errno::ENODEV);
    }
    match asked.kind {
        PowerStatistics::GET_MAX_CX => asked.states = STATES,
        PowerStatistics::GET_CX => {
            let room = asked.states.min(STATES);
            // How often a CPU halts is not counted.
            write(host, asked.entries, room, [0, 0])?;
            write(host, asked.residencies, room, [service.saturating_sub(idle), idle])?;
            (asked.states, asked.last, asked.idle_time) = (STATES, 0, idle);
            (asked.package_counters, asked.core_counters) = (0, 0);
        }
        PowerStatistics::RESET_CX => return Ok(()),
        _ => return Err(Errno::ENOSYS),
    }
    request.answer(host, &asked)
}

fn write(host: &impl GuestMemory, to: GuestHandle<u64>, room: u32, values: [u64; STATES as usize]) -> Result<()> {
    if to.is_null() {
        return Ok(());
    }
    for (index, value) in (0..room).zip(values) {
        guest::write(host, to.element(u64::from(index)), &value)?;
    }
    Ok(())
}

/// pm_op(12). Errors: `EINVAL` unless the CPU is in service, for frequencies and for a limit that is none; `EACCES` for
/// turbo modes; `ENOSYS` for an unknown command; `EFAULT`.
pub(super) fn control<H: GuestMemory + MachineHost>(host: &mut H, request: &Request) -> Result<()> {
    let mut asked: PowerOp = request.argument()?;
    match asked.command {
        // Threads of a core are not told apart.
        PowerCommand::SET_SMT_SCHEDULING if asked.cpu == 0 => asked.value = 0,
        PowerCommand::SET_SMT_SCHEDULING => return Err(Errno::EINVAL),
        PowerCommand::GET_MAX_CSTATE => asked.value = host.idle_limit(IdleLimit::named(asked.cpu)?),
        PowerCommand::SET_MAX_CSTATE => {
            host.set_idle_limit(request.authority, IdleLimit::named(asked.cpu)?, asked.value);
            return Ok(());
        }
        _ => return control_cpu(host, &asked),
    }
    request.answer(host, &asked)
}

/// Commands that are about one CPU: there is nobody who would carry them out.
fn control_cpu<H: MachineHost>(host: &H, asked: &PowerOp) -> Result<()> {
    host.idle_time(asked.cpu).ok_or(Errno::EINVAL)?;
    match asked.command {
        other if other.0 & POWER_CATEGORY == POWER_FREQUENCIES => Err(Errno::EINVAL),
        PowerCommand::ENABLE_TURBO | PowerCommand::DISABLE_TURBO => Err(Errno::EACCES),
        _ => Err(Errno::ENOSYS),
    }
}
