//! domctl: what the toolstack does to a domain. Source: Xen public header `domctl.h`.
//!
//! One structure of 144 bytes is copied in once. Its interface version says which release's toolstack calls and is looked
//! at first, then the domain, then the privilege; what an operation writes back is its own structure, and the domain it
//! made or found. No lock spans operations: each is atomic by itself, or goes on where it was interrupted.

use abi::domctl::{DOMCTL_INTERFACE_VERSION, Domctl, DomctlOperation};
use abi::domctl_domain::AddressSize;
use abi::{DomainId, Errno, GuestHandle, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::authority::{self, ControlDomain, Found, Policy, Target};
use crate::guest::{self, GuestMemory};
use crate::outcome::{Failure, Reply};
use crate::table::{Row, rows};

/// The release family of the calling toolstack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version(u32);

impl Version {
    /// Xen 4.17, the oldest that is served.
    pub const XEN_4_17: Version = Version(DOMCTL_INTERFACE_VERSION);
    /// Xen 4.18: getdomaininfo finds the domain it names and no other.
    pub const XEN_4_18: Version = Version(0x16);
    /// Xen 4.19 to 4.21: createdomain has a word more.
    pub const XEN_4_19: Version = Version(0x17);
    /// Xen 4.22, the newest; nothing changed on x86.
    pub const XEN_4_22: Version = Version(0x18);

    /// The version a request states. Errors: `EACCES` for one that is not served.
    fn of(request: &Domctl) -> Result<Self> {
        let version = Version(request.interface_version);
        if (Self::XEN_4_17..=Self::XEN_4_22).contains(&version) { Ok(version) } else { Err(Errno::EACCES) }
    }
}

/// Width of the guests that there are.
const GUEST_BITS: u32 = 64;
/// Where the domain's number lies in the request.
const DOMAIN_OFFSET: u64 = 8;
/// Where the operation's own structure lies in the request.
const ARGUMENT_OFFSET: u64 = 16;

/// A request whose version is served and whose caller may make it.
#[expect(dead_code, reason = "few operations are there yet")]
pub(crate) struct Request {
    pub(crate) authority: ControlDomain,
    pub(crate) version: Version,
    domctl: Domctl,
    handle: GuestHandle<u8>,
}

#[expect(dead_code, reason = "few operations are there yet")]
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
pub fn domctl<H: Policy + GuestMemory>(host: &H, argument: GuestHandle<u8>) -> Reply {
    let domctl: Domctl = guest::read(host, argument.cast())?;
    let version = Version::of(&domctl)?;
    let found = match domctl.command {
        DomctlOperation::CREATEDOMAIN | DomctlOperation::GETDOMAININFO => None,
        _ => Some(authority::find_by_number(host, domctl.domain)?),
    };
    let request = Request { authority: authority::control_domain(host)?, version, domctl, handle: argument };
    match found {
        None => without_target(host, &request),
        Some(found) => on_target(host, &request, found),
    }
}

/// Operations that make a domain or look for one.
fn without_target<H: Policy + GuestMemory>(_host: &H, _request: &Request) -> Reply {
    Err(Errno::ENOSYS.into())
}

/// Operations on a domain that exists.
fn on_target<H: Policy + GuestMemory>(host: &H, request: &Request, found: Found) -> Reply {
    let _target: Target = found.controlled(request.authority);
    match request.domctl.command {
        DomctlOperation::GET_ADDRESS_SIZE => request.answer(host, &AddressSize { bits: GUEST_BITS })?,
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(DomctlOperation {
    works: GET_ADDRESS_SIZE;
    (missing "comes with the toolstack; version, domain and privilege are checked"): CREATEDOMAIN DESTROYDOMAIN
        PAUSEDOMAIN UNPAUSEDOMAIN GETDOMAININFO SETVCPUAFFINITY SHADOW_OP MAX_MEM SETVCPUCONTEXT GETVCPUCONTEXT
        GETVCPUINFO MAX_VCPUS SCHEDULER_OP SETDOMAINHANDLE SETDEBUGGING IRQ_PERMISSION IOMEM_PERMISSION
        IOPORT_PERMISSION HYPERCALL_INIT SOFT_RESET_CONT SETTIMEOFFSET GETVCPUAFFINITY REAL_MODE_AREA RESUMEDOMAIN
        SENDTRIGGER SUBSCRIBE GETHVMCONTEXT SETHVMCONTEXT SET_ADDRESS_SIZE ASSIGN_DEVICE BIND_PT_IRQ MEMORY_MAPPING
        IOPORT_MAPPING SET_EXT_VCPUCONTEXT GET_EXT_VCPUCONTEXT SET_OPT_FEATURE TEST_ASSIGN_DEVICE SET_TARGET
        DEASSIGN_DEVICE UNBIND_PT_IRQ GET_DEVICE_GROUP DEBUG_OP GETHVMCONTEXT_PARTIAL VM_EVENT_OP MEM_SHARING_OP
        GETTSCINFO SETTSCINFO GETPAGEFRAMEINFO3 SETVCPUEXTSTATE GETVCPUEXTSTATE SET_ACCESS_REQUIRED AUDIT_P2M
        SET_VIRQ_HANDLER SET_BROKEN_PAGE_P2M SETNODEAFFINITY GETNODEAFFINITY CACHEFLUSH GET_VCPU_MSRS SET_VCPU_MSRS
        SETVNUMAINFO PSR_CMT_OP MONITOR_OP PSR_ALLOC SOFT_RESET VUART_OP GET_CPU_POLICY SET_CPU_POLICY VMTRACE_OP
        GET_PAGING_MEMPOOL_SIZE SET_PAGING_MEMPOOL_SIZE DT_OVERLAY GSI_PERMISSION SET_LLC_COLORS GET_DOMAIN_STATE
        GDBSX_GUESTMEMIO GDBSX_PAUSEVCPU GDBSX_UNPAUSEVCPU GDBSX_DOMSTATUS;
});
