//! domctl: what the toolstack does to a domain. Source: Xen public header `domctl.h`.
//!
//! One structure of 144 bytes is copied in once. Its interface version says which release's toolstack calls and is looked
//! at first, then the domain, then the privilege; what an operation writes back is its own structure, and the domain it
//! made or found. No lock spans operations: each is atomic by itself, or goes on where it was interrupted.

mod context;
mod information;
mod lifecycle;
mod memory;
pub(crate) mod placement;
pub(crate) mod policy;
mod registers;
mod rights;
mod time;

use abi::domctl::{DOMCTL_INTERFACE_VERSION, DOMCTL_STABLE_VERSION, Domctl, DomctlOperation};
use abi::{DomainId, Errno, GuestHandle, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub use self::context::{EntryCallbacks, VcpuPresence, VcpuStateHost};
pub use self::information::InformationHost;
pub use self::lifecycle::{Debugging, GrantLimits, LifecycleHost, WantedDomain};
pub use self::memory::{DirtyLog, DomainMemoryHost};
pub use self::placement::{Affinity, AffinityWish, PinOverride, PlacementHost, Share};
pub use self::policy::{CpuPolicyHost, PolicyFault, PolicyOf};
pub use self::registers::{Components, VcpuRegistersHost};
pub use self::rights::{Grant, RightsHost};
pub use self::time::{DomainTimeHost, TscState};
use crate::authority::{self, ControlDomain, Found, Policy, Target};
use crate::behalf::{self, Accountable, Behalf};
use crate::guest::{self, GuestMemory, Preemption};
use crate::op::virtual_numa::{self, VirtualNumaHost};
use crate::outcome::{Failure, Reply};
use crate::table::{Row, rows};

/// Everything that domctl asks of the hypervisor.
pub trait DomctlHost:
    LifecycleHost
    + InformationHost
    + DomainMemoryHost
    + VcpuStateHost
    + VcpuRegistersHost
    + PlacementHost
    + CpuPolicyHost
    + RightsHost
    + DomainTimeHost
    + VirtualNumaHost
    + Accountable
{
}

impl<H> DomctlHost for H where
    H: LifecycleHost
        + InformationHost
        + DomainMemoryHost
        + VcpuStateHost
        + VcpuRegistersHost
        + PlacementHost
        + CpuPolicyHost
        + RightsHost
        + DomainTimeHost
        + VirtualNumaHost
        + Accountable
{
}

/// The release family of the calling toolstack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version(u32);

impl Version {
    /// No release: the operation is the same in all that have it, from Xen 4.21 on.
    pub const STABLE: Version = Version(DOMCTL_STABLE_VERSION);
    /// Xen 4.17, the oldest that is served.
    pub const XEN_4_17: Version = Version(DOMCTL_INTERFACE_VERSION);
    /// Xen 4.18: getdomaininfo finds the domain it names and no other.
    pub const XEN_4_18: Version = Version(0x16);
    /// Xen 4.19 to 4.21: createdomain has a word more. Xen 4.20 brought gsi_permission without a number of its own.
    pub const XEN_4_19: Version = Version(0x17);
    /// Xen 4.22, the newest; nothing changed on x86.
    pub const XEN_4_22: Version = Version(0x18);

    /// The version a request states. Errors: `EACCES` for one that is not served. A stable operation by a release's version
    /// is one that this release does not know.
    fn of(request: &Domctl) -> Result<Self> {
        let version = Version(request.interface_version);
        if version == Self::STABLE && request.command == DomctlOperation::GET_DOMAIN_STATE {
            return Ok(version);
        }
        if (Self::XEN_4_17..=Self::XEN_4_22).contains(&version) { Ok(version) } else { Err(Errno::EACCES) }
    }
}

/// Where the domain's number lies in the request.
const DOMAIN_OFFSET: u64 = 8;
/// Where the operation's own structure lies in the request.
const ARGUMENT_OFFSET: u64 = 16;

/// A request whose version is served and whose caller may make it.
pub(crate) struct Request {
    pub(crate) authority: ControlDomain,
    pub(crate) version: Version,
    domctl: Domctl,
    handle: GuestHandle<u8>,
}

impl Request {
    /// The operation's structure.
    pub(crate) fn argument<T: FromBytes>(&self) -> Result<T> {
        T::read_from_prefix(self.domctl.argument.as_bytes()).map(|(value, _)| value).map_err(|_| Errno::EINVAL)
    }

    /// The number it names, whoever that is.
    pub(crate) fn named(&self) -> DomainId {
        self.domctl.domain
    }

    /// Writes the operation's structure back. Errors: `EFAULT`.
    pub(crate) fn answer<T: IntoBytes + Immutable>(&self, host: &impl GuestMemory, value: &T) -> Result<()> {
        guest::write(host, self.handle.element(ARGUMENT_OFFSET).cast(), value)
    }

    /// Writes back which domain was made or found. Errors: `EFAULT`.
    pub(crate) fn answer_domain(&self, host: &impl GuestMemory, id: DomainId) -> Result<()> {
        guest::write(host, self.handle.element(DOMAIN_OFFSET).cast(), &id)
    }

    /// The call is to be made again; what was done is remembered by the host or in the structure.
    pub(crate) fn again(&self) -> Failure {
        Failure::Preempted([self.handle.address().0, 0, 0, 0, 0, 0])
    }
}

/// domctl(36). Errors: `EFAULT`, `EACCES` for an interface version not served, `ESRCH` for an unknown domain, `EPERM`
/// unless a control domain calls, `ENOSYS` for an unknown operation, else as the operations say.
#[inline(never)]
pub fn domctl<H>(host: &mut H, argument: GuestHandle<u8>) -> Reply
where
    H: DomctlHost + Policy + GuestMemory + Preemption,
{
    behalf::act_for(host, Behalf::Machine, |host| carry_out(host, argument))
}

fn carry_out<H>(host: &mut H, argument: GuestHandle<u8>) -> Reply
where
    H: DomctlHost + Policy + GuestMemory + Preemption,
{
    let domctl: Domctl = guest::read(host, argument.cast())?;
    let version = Version::of(&domctl)?;
    let command = domctl.command;
    let found = match command {
        DomctlOperation::CREATEDOMAIN => None,
        // It looks for itself.
        DomctlOperation::GETDOMAININFO => None,
        DomctlOperation::GET_DOMAIN_STATE if version == Version::STABLE && domctl.domain == DomainId::INVALID => None,
        _ => Some(authority::find_by_number(host, domctl.domain)?),
    };
    let request = Request { authority: authority::control_domain(host)?, version, domctl, handle: argument };
    host.act_for(behalf_of(command, found));
    match found {
        None if command == DomctlOperation::CREATEDOMAIN => lifecycle::create(host, &request),
        None if command == DomctlOperation::GET_DOMAIN_STATE => information::changed_domain(host, &request),
        None => information::domain(host, &request),
        Some(found) => on_target(host, &request, found),
    }
}

/// Who pays for a bug: the domain that is changed, if one is. A domain in the making is nobody yet: it goes away.
fn behalf_of(command: DomctlOperation, found: Option<Found>) -> Behalf {
    match found {
        None => Behalf::Machine,
        Some(found) if only_reads(command) => Behalf::Reading(found.id()),
        Some(found) => Behalf::Changing(found.id()),
    }
}

/// Whether the operation leaves its target as it was.
fn only_reads(command: DomctlOperation) -> bool {
    matches!(
        command,
        DomctlOperation::GETDOMAININFO
            | DomctlOperation::GETVCPUINFO
            | DomctlOperation::GETPAGEFRAMEINFO3
            | DomctlOperation::GET_ADDRESS_SIZE
            | DomctlOperation::GET_PAGING_MEMPOOL_SIZE
            | DomctlOperation::GETVCPUCONTEXT
            | DomctlOperation::GET_EXT_VCPUCONTEXT
            | DomctlOperation::GETVCPUEXTSTATE
            | DomctlOperation::GET_VCPU_MSRS
            | DomctlOperation::GETVCPUAFFINITY
            | DomctlOperation::GETNODEAFFINITY
            | DomctlOperation::GET_CPU_POLICY
            | DomctlOperation::GETTSCINFO
            | DomctlOperation::GET_DOMAIN_STATE
    )
}

/// Operations on a domain that exists.
fn on_target<H>(host: &mut H, request: &Request, found: Found) -> Reply
where
    H: DomctlHost + GuestMemory + Preemption,
{
    let target: Target = found.controlled(request.authority);
    match request.domctl.command {
        DomctlOperation::DESTROYDOMAIN => return lifecycle::destroy(host, request, target),
        DomctlOperation::PAUSEDOMAIN => host.pause_domain(lifecycle::others_only(target)?)?,
        DomctlOperation::UNPAUSEDOMAIN => host.unpause_domain(target)?,
        DomctlOperation::RESUMEDOMAIN => host.resume_domain(lifecycle::others_only(target)?)?,
        DomctlOperation::MAX_VCPUS => lifecycle::max_vcpus(host, request, target)?,
        DomctlOperation::SETDOMAINHANDLE => lifecycle::set_handle(host, request, target)?,
        DomctlOperation::SETDEBUGGING => lifecycle::set_debugging(host, request, target)?,
        DomctlOperation::SUBSCRIBE => lifecycle::subscribe(host, request, target)?,
        DomctlOperation::SET_VIRQ_HANDLER => lifecycle::set_virq_handler(host, request, target)?,
        DomctlOperation::GETVCPUINFO => information::vcpu(host, request, target)?,
        DomctlOperation::GET_DOMAIN_STATE if request.version == Version::STABLE => {
            information::state(host, request, target)?;
        }
        DomctlOperation::MAX_MEM => memory::max_mem(host, request, target)?,
        DomctlOperation::GETPAGEFRAMEINFO3 => memory::frame_info(host, request, target)?,
        DomctlOperation::HYPERCALL_INIT => memory::hypercall_init(host, request, target)?,
        DomctlOperation::SHADOW_OP => return memory::shadow(host, request, target),
        DomctlOperation::SET_ADDRESS_SIZE => memory::set_address_size(request)?,
        DomctlOperation::GET_ADDRESS_SIZE => memory::get_address_size(host, request)?,
        DomctlOperation::GET_PAGING_MEMPOOL_SIZE | DomctlOperation::SET_PAGING_MEMPOOL_SIZE => {
            memory::paging_mempool(request)?;
        }
        DomctlOperation::SET_LLC_COLORS => memory::cache_colors(request)?,
        DomctlOperation::SETVCPUCONTEXT => return context::set(host, request, target),
        DomctlOperation::GETVCPUCONTEXT => return context::get(host, request, target),
        DomctlOperation::SET_EXT_VCPUCONTEXT => return context::set_extended(host, request, target),
        DomctlOperation::GET_EXT_VCPUCONTEXT => return context::get_extended(host, request, target),
        DomctlOperation::SETVCPUEXTSTATE => return registers::set_state(host, request, target),
        DomctlOperation::GETVCPUEXTSTATE => return registers::get_state(host, request, target),
        DomctlOperation::GET_VCPU_MSRS => return registers::get_msrs(host, request, target),
        DomctlOperation::SET_VCPU_MSRS => return registers::set_msrs(host, request, target),
        DomctlOperation::SENDTRIGGER => context::send_trigger(host, request, target)?,
        DomctlOperation::SETVCPUAFFINITY => placement::set_affinity(host, request, target)?,
        DomctlOperation::GETVCPUAFFINITY => placement::get_affinity(host, request, target)?,
        DomctlOperation::SETNODEAFFINITY => placement::set_nodes(host, request, target)?,
        DomctlOperation::GETNODEAFFINITY => placement::get_nodes(host, request, target)?,
        DomctlOperation::SCHEDULER_OP => placement::scheduler(host, request, target)?,
        DomctlOperation::GET_CPU_POLICY => policy::get(host, request, target)?,
        DomctlOperation::SET_CPU_POLICY => return policy::set(host, request, target),
        DomctlOperation::IRQ_PERMISSION => rights::interrupt(host, request, target)?,
        DomctlOperation::IOMEM_PERMISSION => rights::frames(host, request, target)?,
        DomctlOperation::IOPORT_PERMISSION => rights::ports(host, request, target)?,
        DomctlOperation::GSI_PERMISSION if request.version >= Version::XEN_4_19 => rights::line(host, request, target)?,
        DomctlOperation::SETVNUMAINFO => virtual_numa::set(host, &request.argument()?, target)?,
        // A vCPU's own flag for single steps is in its context; this one is the hardware's, for vCPUs of HVM guests.
        DomctlOperation::DEBUG_OP => return Err(Errno::EINVAL.into()),
        DomctlOperation::PSR_CMT_OP => return Err(Errno::ENODEV.into()),
        DomctlOperation::PSR_ALLOC => cache_division(request)?,
        DomctlOperation::SETTIMEOFFSET => time::set_offset(host, request, target)?,
        DomctlOperation::GETTSCINFO => time::get_tsc(host, request, target)?,
        DomctlOperation::SETTSCINFO => time::set_tsc(host, request, target)?,
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// psr_alloc(78): there are no caches to divide. Errors: `ENODEV`, `EOPNOTSUPP` for an unknown command.
fn cache_division(request: &Request) -> Result<()> {
    const LAST_COMMAND: u32 = 9;
    let command: u32 = request.argument()?;
    Err(if command <= LAST_COMMAND { Errno::ENODEV } else { Errno::EOPNOTSUPP })
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(DomctlOperation {
    works: CREATEDOMAIN DESTROYDOMAIN PAUSEDOMAIN UNPAUSEDOMAIN GETDOMAININFO SETVCPUAFFINITY MAX_MEM
        SETVCPUCONTEXT GETVCPUCONTEXT GETVCPUINFO MAX_VCPUS SCHEDULER_OP SETDOMAINHANDLE SETDEBUGGING IRQ_PERMISSION
        GSI_PERMISSION IOMEM_PERMISSION IOPORT_PERMISSION HYPERCALL_INIT SETTIMEOFFSET GETVCPUAFFINITY RESUMEDOMAIN
        SENDTRIGGER SUBSCRIBE SET_ADDRESS_SIZE GET_ADDRESS_SIZE SET_EXT_VCPUCONTEXT GET_EXT_VCPUCONTEXT GETTSCINFO
        SETTSCINFO SET_VIRQ_HANDLER SETNODEAFFINITY GETNODEAFFINITY GET_CPU_POLICY SET_CPU_POLICY
        SETVCPUEXTSTATE GETVCPUEXTSTATE GET_VCPU_MSRS SET_VCPU_MSRS SETVNUMAINFO GET_DOMAIN_STATE;
    (works "every page counts as changed; none as seen to change while the domain runs, so that one round is sent live"):
        SHADOW_OP;
    (works "page tables of a domain that runs while its changes are noted are told as nothing to send"):
        GETPAGEFRAMEINFO3;
    (absent "PV domains have no such pool"): GET_PAGING_MEMPOOL_SIZE SET_PAGING_MEMPOOL_SIZE;
    (absent "gone from Xen, or of another architecture"): SOFT_RESET_CONT REAL_MODE_AREA SET_OPT_FEATURE CACHEFLUSH
        VUART_OP DT_OVERLAY;
    (absent "no colouring of caches"): SET_LLC_COLORS;
    (absent "the CPU's caches are neither watched nor divided"): PSR_CMT_OP PSR_ALLOC;
    (absent "for HVM guests; a PV guest's flag for single steps is in its context"): DEBUG_OP;
    (absent "no gdbsx, as Debian builds Xen"): GDBSX_GUESTMEMIO GDBSX_PAUSEVCPU GDBSX_UNPAUSEVCPU GDBSX_DOMSTATUS;
    (missing "HVM guests come later"): GETHVMCONTEXT SETHVMCONTEXT GETHVMCONTEXT_PARTIAL SET_TARGET BIND_PT_IRQ
        UNBIND_PT_IRQ MEMORY_MAPPING IOPORT_MAPPING SET_ACCESS_REQUIRED VM_EVENT_OP MEM_SHARING_OP MONITOR_OP AUDIT_P2M
        SET_BROKEN_PAGE_P2M SOFT_RESET VMTRACE_OP;
    (missing "PCI passthrough comes later"): ASSIGN_DEVICE TEST_ASSIGN_DEVICE DEASSIGN_DEVICE GET_DEVICE_GROUP;
});
