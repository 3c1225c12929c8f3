//! sysctl: taking CPUs into and out of service, which is not there: CPUs come into service at boot and stay.

use abi::sysctl_machine::{CpuHotplug, HotplugOperation};
use abi::{Errno, Result};

use super::{MachineHost, Request};

/// The CPU that cannot go.
const BOOT_CPU: u32 = 0;

/// cpu_hotplug(11). Errors: `EINVAL` for a CPU that is not there and for the boot CPU's going, `EEXIST` for one in
/// service, `EOPNOTSUPP` for everything else.
pub(super) fn cpu<H: MachineHost>(host: &H, request: &Request) -> Result<()> {
    let asked: CpuHotplug = request.argument()?;
    match asked.operation {
        HotplugOperation::ONLINE | HotplugOperation::OFFLINE if asked.cpu >= host.cpu_numbers() => Err(Errno::EINVAL),
        HotplugOperation::ONLINE if host.idle_time(asked.cpu).is_some() => Err(Errno::EEXIST),
        HotplugOperation::OFFLINE if asked.cpu == BOOT_CPU => Err(Errno::EINVAL),
        _ => Err(Errno::EOPNOTSUPP),
    }
}
