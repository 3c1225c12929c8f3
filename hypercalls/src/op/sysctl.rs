//! sysctl: what the toolstack asks of the machine. Source: Xen public header `sysctl.h`.
//!
//! One structure of 136 bytes is copied in once. Its interface version is looked at first, then the privilege; what an
//! operation writes back is its own structure.

use abi::domctl_vcpu::SchedulerId;
use abi::sysctl::{SYSCTL_INTERFACE_VERSION, Sysctl, SysctlOperation};
use abi::sysctl_scheduler::SchedId;
use abi::{Errno, GuestHandle, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::authority::{self, ControlDomain, Policy};
use crate::guest::{self, GuestMemory};
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
#[expect(dead_code, reason = "few operations are there yet")]
pub(crate) struct Request {
    pub(crate) authority: ControlDomain,
    pub(crate) version: Version,
    sysctl: Sysctl,
    handle: GuestHandle<u8>,
}

impl Request {
    /// The operation's structure.
    #[expect(dead_code, reason = "few operations are there yet")]
    pub(crate) fn argument<T: FromBytes>(&self) -> Result<T> {
        T::read_from_prefix(self.sysctl.argument.as_bytes()).map(|(value, _)| value).map_err(|_| Errno::EINVAL)
    }

    /// Writes the operation's structure back. Errors: `EFAULT`.
    pub(crate) fn answer<T: IntoBytes + Immutable>(&self, host: &impl GuestMemory, value: &T) -> Result<()> {
        guest::write(host, self.handle.element(ARGUMENT_OFFSET).cast(), value)
    }
}

/// sysctl(35). Errors: `EFAULT`, `EACCES` for an interface version not served, `EPERM` unless a control domain calls,
/// `ENOSYS` for an unknown operation, else as the operations say.
#[inline(never)]
pub fn sysctl<H: Policy + GuestMemory>(host: &H, argument: GuestHandle<u8>) -> Reply {
    let sysctl: Sysctl = guest::read(host, argument.cast())?;
    let version = Version::of(&sysctl)?;
    let request = Request { authority: authority::control_domain(host)?, version, sysctl, handle: argument };
    route(host, &request)
}

/// To the operation's handler.
fn route<H: Policy + GuestMemory>(host: &H, request: &Request) -> Reply {
    match request.sysctl.command {
        SysctlOperation::SCHED_ID => request.answer(host, &SchedId { scheduler: SchedulerId::CREDIT2 })?,
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(SysctlOperation {
    works: SCHED_ID;
    (missing "comes with the toolstack; version and privilege are checked"): READCONSOLE TBUF_OP PHYSINFO PERFC_OP
        GETDOMAININFOLIST DEBUG_KEYS GETCPUINFO AVAILHEAP GET_PMSTAT CPU_HOTPLUG PM_OP PAGE_OFFLINE_OP LOCKPROF_OP
        CPUTOPOINFO NUMAINFO CPUPOOL_OP SCHEDULER_OP COVERAGE_OP PSR_CMT_OP PCITOPOINFO PSR_ALLOC GET_CPU_LEVELLING_CAPS
        GET_CPU_FEATURESET LIVEPATCH_OP GET_CPU_POLICY DT_OVERLAY;
});
