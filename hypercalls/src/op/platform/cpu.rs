//! platform_op about physical CPUs: facts, on- and offline, registers.

use abi::mca::McaLogicalCpu;
use abi::platform::{
    CoreParking, CoreParkingCommand, CpuHotadd, CpuOnline, PcpuFlags, PcpuInfo, PcpuVersion, PlatformOperation,
    ResourceCommand, ResourceEntry, ResourceOp,
};
use abi::{Errno, Result};

use super::Request;
use crate::authority::ControlDomain;
use crate::guest::{self, GuestMemory};
use crate::op::timer::TimerHost;
use crate::outcome::{Failure, Reply};

/// What is known about a physical CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuFacts {
    /// Local APIC id.
    pub apic: u32,
    /// ACPI processor id.
    pub acpi: u32,
    /// Whether it runs.
    pub online: bool,
    /// CPUID vendor string.
    pub vendor: [u8; 12],
    /// CPUID family, extended part included.
    pub family: u32,
    /// CPUID model, extended part included.
    pub model: u32,
    /// CPUID stepping.
    pub stepping: u32,
}

/// The machine's CPUs.
pub trait CpuHost {
    /// Facts about a CPU that is present.
    fn cpu(&self, cpu: u32) -> Option<CpuFacts>;
    /// Highest number of a present CPU.
    fn highest_cpu(&self) -> u32;
    /// Starts an offline CPU. Errors: `EINVAL`, `EBUSY`, `EIO`.
    fn cpu_start(&mut self, authority: ControlDomain, cpu: u32) -> Result<CpuChange>;
    /// Takes a CPU out of service. Errors: `EBUSY`.
    fn cpu_stop(&mut self, authority: ControlDomain, cpu: u32) -> Result<CpuChange>;
    /// Keeps `count` CPUs out of service to save power. Errors: `EINVAL` for more than can go.
    fn cpu_park(&mut self, authority: ControlDomain, count: u32) -> Result<CpuChange>;
    /// How many are kept out of service so.
    fn parked_cpus(&self) -> u32;
    /// How machine-check software knows a CPU that runs.
    fn logical_cpu(&self, cpu: u32) -> Option<McaLogicalCpu>;
}

/// How far a change of a CPU got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CpuChange {
    /// It is as it should be.
    Done,
    /// To be asked again, after the caller has let go of the CPU it runs on.
    UnderWay,
}

/// Most entries of one register access.
const ENTRIES_MAX: u32 = 3;
/// The one register that may be read: the TSC, as system time.
const TSC: u64 = 0x10;

/// get_cpuinfo. Errors: `EFAULT`.
pub(super) fn info<H: CpuHost + GuestMemory>(host: &mut H, request: &Request) -> Result<()> {
    let mut answer: PcpuInfo = request.argument()?;
    match host.cpu(answer.cpu) {
        Some(cpu) => {
            (answer.apic_id, answer.acpi_id) = (cpu.apic, cpu.acpi);
            answer.flags = if cpu.online { PcpuFlags::ONLINE } else { PcpuFlags(0) };
        }
        None => answer.flags = PcpuFlags::INVALID,
    }
    answer.max_present = host.highest_cpu();
    request.answer(host, &answer)
}

/// get_cpu_version; zeros for a CPU that does not run. Errors: `EFAULT`.
pub(super) fn version<H: CpuHost + GuestMemory>(host: &mut H, request: &Request) -> Result<()> {
    let asked: PcpuVersion = request.argument()?;
    let mut answer = PcpuVersion { cpu: asked.cpu, max_present: host.highest_cpu(), ..PcpuVersion::default() };
    if let Some(cpu) = host.cpu(asked.cpu).filter(|cpu| cpu.online) {
        answer.vendor = cpu.vendor;
        (answer.family, answer.model, answer.stepping) = (cpu.family, cpu.model, cpu.stepping);
    }
    request.answer(host, &answer)
}

/// cpu_online and cpu_offline; nothing to do is success. Errors: `EINVAL` for an absent CPU, `EOPNOTSUPP` for stopping
/// the boot CPU, and the host's.
pub(super) fn hotplug<H: CpuHost>(host: &mut H, request: &Request) -> Reply {
    let CpuOnline { cpu } = request.argument()?;
    let start = request.operation.command == PlatformOperation::CPU_ONLINE;
    if !start && cpu == 0 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let facts = host.cpu(cpu).ok_or(Errno::EINVAL)?;
    let change = match (start, facts.online) {
        (true, false) => host.cpu_start(request.authority, cpu)?,
        (false, true) => host.cpu_stop(request.authority, cpu)?,
        _ => CpuChange::Done,
    };
    finish(request, change)
}

/// The answer, or the same call again.
fn finish(request: &Request, change: CpuChange) -> Reply {
    match change {
        CpuChange::Done => Ok(0),
        CpuChange::UnderWay => Err(Failure::Preempted([request.handle.address().0, 0, 0, 0, 0, 0])),
    }
}

/// core_parking. Errors: `EINVAL` for another command, and the host's.
pub(super) fn park<H: CpuHost + GuestMemory>(host: &mut H, request: &Request) -> Reply {
    let mut parking: CoreParking = request.argument()?;
    match parking.command {
        CoreParkingCommand::SET => {
            let change = host.cpu_park(request.authority, parking.idle_count)?;
            finish(request, change)
        }
        CoreParkingCommand::GET => {
            parking.idle_count = host.parked_cpus();
            request.answer(host, &parking)?;
            Ok(0)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

/// cpu_hotadd: all CPUs were there at boot. Errors: `EINVAL` for numbers that no CPU has, `EEXIST`, `ENOSPC`.
pub(super) fn add<H: CpuHost>(host: &H, request: &Request) -> Result<()> {
    // As many as a MADT can name; proximity domains are bytes here as on Xen.
    const NUMBERS: u32 = 1 << 15;
    const DOMAINS: u32 = 256;
    let wanted: CpuHotadd = request.argument()?;
    if wanted.apic_id >= NUMBERS || wanted.acpi_id >= NUMBERS || wanted.proximity >= DOMAINS {
        return Err(Errno::EINVAL);
    }
    let mut known = (0..=host.highest_cpu()).filter_map(|cpu| host.cpu(cpu));
    match known.find(|cpu| cpu.acpi == wanted.acpi_id) {
        Some(cpu) if cpu.apic == wanted.apic_id => Err(Errno::EEXIST),
        Some(_) => Err(Errno::EINVAL),
        None => Err(Errno::ENOSPC),
    }
}

/// resource_op: the number of entries done; the first that is refused carries its error and ends the list. A list whose
/// first entry is refused touches no CPU, so none needs to be there for it.
/// Errors: `EINVAL` for more than three entries, `EFAULT`, `ENODEV` for a CPU that does not run.
pub(super) fn resource<H: CpuHost + TimerHost + GuestMemory>(host: &mut H, request: &Request) -> Reply {
    let access: ResourceOp = request.argument()?;
    if access.entry_count > ENTRIES_MAX {
        return Err(Errno::EINVAL.into());
    }
    if access.entry_count == 0 {
        return Ok(0);
    }
    let mut entries = [ResourceEntry::default(); ENTRIES_MAX as usize];
    let entries = entries.get_mut(..access.entry_count as usize).unwrap_or_default();
    guest::read_array(host, access.entries, 0, entries)?;
    let done = entries.iter().take_while(|entry| refusal(entry).is_ok()).count();
    if done > 0 && !host.cpu(access.cpu).is_some_and(|cpu| cpu.online) {
        return Err(Errno::ENODEV.into());
    }
    for (index, entry) in (0u64..).zip(entries.iter_mut()).take(done + 1) {
        match refusal(entry) {
            Ok(()) => entry.value = host.system_time(),
            Err(errno) => entry.command = ResourceCommand(errno.to_register() as u32),
        }
        guest::write(host, access.entries.element(index), entry)?;
    }
    Ok(done as u64)
}

/// Why an entry is not tried: all but reading the TSC, which has the same rate and origin on every CPU.
/// Errors: `EINVAL` for padding or a number that no register has, `EOPNOTSUPP` for another command, `EPERM`.
fn refusal(entry: &ResourceEntry) -> Result<()> {
    if entry.reserved != 0 {
        return Err(Errno::EINVAL);
    }
    match entry.command {
        ResourceCommand::MSR_READ | ResourceCommand::MSR_WRITE if entry.index > u64::from(u32::MAX) => {
            Err(Errno::EINVAL)
        }
        ResourceCommand::MSR_READ if entry.index == TSC => Ok(()),
        ResourceCommand::MSR_READ | ResourceCommand::MSR_WRITE => Err(Errno::EPERM),
        _ => Err(Errno::EOPNOTSUPP),
    }
}
