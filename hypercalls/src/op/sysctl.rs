//! sysctl: what the toolstack asks of the machine. Source: Xen public header `sysctl.h`.
//!
//! One structure of 136 bytes is copied in once. Its interface version is looked at first, then the privilege; what an
//! operation writes back is its own structure.

mod console;
mod domains;
mod hotplug;
mod machine;
mod offline;
mod policy;
mod pool;
mod power;
mod topology;

use abi::domctl_vcpu::SchedulerId;
use abi::sysctl::{SYSCTL_INTERFACE_VERSION, Sysctl, SysctlOperation};
use abi::sysctl_machine::{CpuLevelling, LevellingCapabilities};
use abi::sysctl_scheduler::SchedId;
use abi::{Errno, GuestHandle, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub use self::console::ConsoleRing;
pub use self::machine::{MachineFacts, MachineHost};
pub use self::offline::{FrameHold, FrameHoldHost};
pub use self::pool::{PoolFacts, PoolHost};
pub use self::power::IdleLimit;
pub use self::topology::CpuPlace;
use crate::authority::{self, ControlDomain, Policy};
use crate::behalf::{self, Accountable, Behalf};
use crate::guest::{self, GuestMemory, Preemption};
use crate::op::domctl::{CpuPolicyHost, InformationHost, LifecycleHost};
use crate::op::platform::CpuHost;
use crate::outcome::Reply;
use crate::table::{Row, rows};

/// The release family of the calling toolstack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version(u32);

impl Version {
    /// Xen 4.17 to 4.20, the oldest that is served.
    pub const XEN_4_17: Version = Version(SYSCTL_INTERFACE_VERSION);
    /// Xen 4.21 and 4.22, the newest: power management and live patching changed.
    pub const XEN_4_21: Version = Version(0x16);

    /// The version a request states. Errors: `EACCES` for one that is not served.
    fn of(request: &Sysctl) -> Result<Self> {
        let version = Version(request.interface_version);
        if (Self::XEN_4_17..=Self::XEN_4_21).contains(&version) { Ok(version) } else { Err(Errno::EACCES) }
    }
}

/// Where the operation's own structure lies in the request.
const ARGUMENT_OFFSET: u64 = 8;

/// A request whose version is served and whose caller may make it.
pub(crate) struct Request {
    pub(crate) authority: ControlDomain,
    sysctl: Sysctl,
    handle: GuestHandle<u8>,
}

impl Request {
    /// The operation's structure.
    pub(crate) fn argument<T: FromBytes>(&self) -> Result<T> {
        T::read_from_prefix(self.sysctl.argument.as_bytes()).map(|(value, _)| value).map_err(|_| Errno::EINVAL)
    }

    /// Writes the operation's structure back. Errors: `EFAULT`.
    pub(crate) fn answer<T: IntoBytes + Immutable>(&self, host: &impl GuestMemory, value: &T) -> Result<()> {
        guest::write(host, self.handle.element(ARGUMENT_OFFSET).cast(), value)
    }
}

/// What the operations ask of the hypervisor.
pub trait SysctlHost:
    ConsoleRing
    + MachineHost
    + PoolHost
    + LifecycleHost
    + InformationHost
    + CpuPolicyHost
    + CpuHost
    + FrameHoldHost
    + Accountable
{
}

impl<H> SysctlHost for H where
    H: ConsoleRing
        + MachineHost
        + PoolHost
        + LifecycleHost
        + InformationHost
        + CpuPolicyHost
        + CpuHost
        + FrameHoldHost
        + Accountable
{
}

/// sysctl(35). Errors: `EFAULT`, `EACCES` for an interface version not served, `EPERM` unless a control domain calls,
/// `ENOSYS` for an unknown operation, else as the operations say.
#[inline(never)]
pub fn sysctl<H>(host: &mut H, argument: GuestHandle<u8>) -> Reply
where
    H: Policy + GuestMemory + Preemption + SysctlHost,
{
    behalf::act_for(host, Behalf::Machine, |host| {
        let sysctl: Sysctl = guest::read(host, argument.cast())?;
        Version::of(&sysctl)?;
        let request = Request { authority: authority::control_domain(host)?, sysctl, handle: argument };
        if request.sysctl.command == SysctlOperation::CPU_HOTPLUG {
            return hotplug::cpu(host, &request);
        }
        if request.sysctl.command == SysctlOperation::PAGE_OFFLINE_OP {
            return offline::frames(host, &request);
        }
        route(host, &request)?;
        Ok(0)
    })
}

/// To the operation's handler.
fn route<H: Policy + GuestMemory + Preemption + SysctlHost>(host: &mut H, request: &Request) -> Result<()> {
    match request.sysctl.command {
        SysctlOperation::READCONSOLE => console::read(host, request),
        SysctlOperation::DEBUG_KEYS => console::debug_keys(host, request),
        SysctlOperation::PHYSINFO => machine::physical(host, request),
        SysctlOperation::SCHED_ID => request.answer(host, &SchedId { scheduler: SchedulerId::CREDIT2 }),
        SysctlOperation::GETCPUINFO => machine::idle_times(host, request),
        SysctlOperation::GETDOMAININFOLIST => domains::list(host, request),
        SysctlOperation::AVAILHEAP => machine::free_memory(host, request),
        SysctlOperation::GET_PMSTAT => power::statistics(host, request),
        SysctlOperation::PM_OP => power::control(host, request),
        SysctlOperation::CPUTOPOINFO => topology::cpus(host, request),
        SysctlOperation::NUMAINFO => topology::nodes(host, request),
        SysctlOperation::PCITOPOINFO => topology::devices(host, request),
        SysctlOperation::CPUPOOL_OP => pool::operate(host, request),
        SysctlOperation::SCHEDULER_OP => pool::scheduler(host, request),
        SysctlOperation::GET_CPU_LEVELLING_CAPS => {
            // CPUID instructions of a guest's kernel are answered in software; those that are not trapped see the CPU's.
            request.answer(host, &CpuLevelling { capabilities: LevellingCapabilities(0) })
        }
        SysctlOperation::GET_CPU_FEATURESET => policy::featureset(host, request),
        SysctlOperation::GET_CPU_POLICY => policy::policy(host, request),
        SysctlOperation::COVERAGE_OP => Err(Errno::EOPNOTSUPP),
        SysctlOperation::PSR_CMT_OP => Err(Errno::ENODEV),
        SysctlOperation::PSR_ALLOC => psr_allocation(request),
        _ => Err(Errno::ENOSYS),
    }
}

/// psr_alloc(23): there are no caches to divide. Errors: `ENODEV`, `EOPNOTSUPP` for an unknown command.
fn psr_allocation(request: &Request) -> Result<()> {
    const LAST_COMMAND: u32 = 2;
    let command: u32 = request.argument()?;
    Err(if command <= LAST_COMMAND { Errno::ENODEV } else { Errno::EOPNOTSUPP })
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(SysctlOperation {
    works: READCONSOLE PHYSINFO SCHED_ID DEBUG_KEYS GETCPUINFO AVAILHEAP GET_PMSTAT PM_OP CPU_HOTPLUG CPUTOPOINFO
        NUMAINFO PCITOPOINFO CPUPOOL_OP SCHEDULER_OP GET_CPU_LEVELLING_CAPS GETDOMAININFOLIST GET_CPU_FEATURESET
        GET_CPU_POLICY PAGE_OFFLINE_OP;
    (absent "no trace buffers"): TBUF_OP;
    (absent "no performance counters"): PERFC_OP;
    (absent "no lock profile"): LOCKPROF_OP;
    (absent "not built for coverage"): COVERAGE_OP;
    (absent "the CPU's caches are not divided"): PSR_CMT_OP PSR_ALLOC;
    (absent "no live patching"): LIVEPATCH_OP;
    (absent "Arm's"): DT_OVERLAY;
});
