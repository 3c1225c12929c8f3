//! sysctl: taking CPUs into and out of service.
//!
//! A CPU needs a while for it, during which the call is made again, with [`ASKED`] noted in the request: a CPU that is
//! as it should be by then is success, and not the mistake it is for who asks anew. The note is the caller's memory, so
//! whoever forges it deceives himself only.

use abi::Errno;
use abi::sysctl_machine::{CpuHotplug, HotplugOperation};

use super::{MachineHost, Request};
use crate::guest::GuestMemory;
use crate::op::platform::{CpuChange, CpuHost};
use crate::outcome::{Failure, Reply};

/// The CPU that cannot go.
const BOOT_CPU: u32 = 0;
/// Set in the command of a call that goes on.
const ASKED: u32 = 1 << 31;

/// cpu_hotplug(11). Errors: `EINVAL` for a CPU that is not there and for the boot CPU's going, `EEXIST` for one that is
/// as it should be, `EOPNOTSUPP` for other commands, `EFAULT`, and the host's.
pub(super) fn cpu<H: MachineHost + CpuHost + GuestMemory>(host: &mut H, request: &Request) -> Reply {
    let CpuHotplug { cpu, operation } = request.argument()?;
    let goes_on = operation.0 & ASKED != 0;
    let command = HotplugOperation(operation.0 & !ASKED);
    let comes = match command {
        HotplugOperation::ONLINE => true,
        HotplugOperation::OFFLINE => false,
        _ => return Err(Errno::EOPNOTSUPP.into()),
    };
    if cpu >= host.cpu_numbers() || (!comes && cpu == BOOT_CPU) {
        return Err(Errno::EINVAL.into());
    }
    let change = match (host.cpu(cpu).ok_or(Errno::EINVAL)?.online == comes, comes) {
        (true, _) if goes_on => CpuChange::Done,
        (true, _) => return Err(Errno::EEXIST.into()),
        (false, true) => host.cpu_start(request.authority, cpu)?,
        (false, false) => host.cpu_stop(request.authority, cpu)?,
    };
    let finished = change == CpuChange::Done;
    if finished == goes_on {
        let operation = if finished { command } else { HotplugOperation(command.0 | ASKED) };
        request.answer(host, &CpuHotplug { cpu, operation })?;
    }
    if finished { Ok(0) } else { Err(Failure::Preempted([request.handle.address().0, 0, 0, 0, 0, 0])) }
}
