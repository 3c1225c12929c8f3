//! domctl: making, stopping and ending domains, and what tools know them by.

use abi::domctl_domain::{
    CreateDomain, CreateDomain17, CreateFlags, GRANT_VERSION_MASK, MSR_RELAXED, MaxVcpus, SetDebugging,
    SetDomainHandle, SetVirqHandler, Subscribe,
};
use abi::version::DomainHandle;
use abi::xen_x86::{ArchDomainConfig, EmulationFlags};
use abi::{DomainId, Errno, Port, Result, Virq};

use super::{Request, Version};
use crate::authority::{ControlDomain, Target};
use crate::guest::GuestMemory;
use crate::op::vcpu::Progress;
use crate::outcome::Reply;

/// A domain that may be made as far as the request's numbers go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WantedDomain {
    /// UUID.
    pub handle: DomainHandle,
    /// Security label.
    pub ssidref: u32,
    /// What it is to be.
    pub flags: CreateFlags,
    /// vCPUs, at least one.
    pub vcpus: u32,
    /// Highest event port.
    pub max_port: u32,
    /// Frames of its grant table, and of mapping handles.
    pub grants: GrantLimits,
    /// Highest version of its grant table, 1 or more.
    pub grant_version: u32,
    /// CPU pool.
    pub cpupool: u32,
    /// Of x86.
    pub arch: ArchDomainConfig,
}

/// Whether a debugger is attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Debugging {
    /// It is.
    Attached,
    /// It is not.
    Detached,
}

/// How large a domain's grant table may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GrantLimits {
    /// Frames of the table.
    pub frames: u32,
    /// Frames of mapping handles.
    pub maptrack_frames: u32,
}

/// The lives of domains. Methods on a target answer `ESRCH` if it went away.
pub trait LifecycleHost {
    /// Highest grant-table version that domains may have.
    fn max_grant_version(&self) -> u32;
    /// The most that their grant tables may be given, which is what they get unless told otherwise.
    fn grant_limits(&self) -> GrantLimits;
    /// The id of the next domain: the wanted one, or else the next of all, which is nobody else's from then on, whether
    /// the domain comes to be or not. Errors: `EEXIST` the wanted one is or was somebody's, `ENOMEM`.
    fn choose_domain_id(&mut self, authority: ControlDomain, wanted: Option<DomainId>) -> Result<DomainId>;
    /// Makes a domain, paused and without vCPUs or memory, with a chosen id. Errors: `EEXIST`, `ENOMEM`, `ESRCH` no such
    /// CPU pool.
    fn create_domain(&mut self, authority: ControlDomain, id: DomainId, wanted: &WantedDomain) -> Result<()>;
    /// Goes on with taking a domain down, until nothing is left but memory that others have in use.
    fn destroy_domain(&mut self, target: Target) -> Result<Progress>;
    /// One pause more. Errors: `EOVERFLOW`.
    fn pause_domain(&mut self, target: Target) -> Result<()>;
    /// One pause less. Errors: `EINVAL`.
    fn unpause_domain(&mut self, target: Target) -> Result<()>;
    /// Lets a domain that stopped go on.
    fn resume_domain(&mut self, target: Target) -> Result<()>;
    /// vCPUs that it may have.
    fn vcpu_maximum(&self, target: Target) -> Result<u32>;
    /// Makes its vCPUs; done again, it does nothing. Errors: `ENOMEM`.
    fn make_vcpus(&mut self, target: Target) -> Result<()>;
    /// Changes its UUID.
    fn set_handle(&mut self, target: Target, handle: DomainHandle) -> Result<()>;
    /// Notes whether a debugger is attached.
    fn set_debugging(&mut self, target: Target, debugging: Debugging) -> Result<()>;
    /// Which of its ports is told when it suspends.
    fn set_suspend_port(&mut self, target: Target, port: Port) -> Result<()>;
    /// Gives it a global VIRQ. Errors: `EINVAL` no such VIRQ, or a per-vCPU one.
    fn set_virq_handler(&mut self, target: Target, virq: Virq) -> Result<()>;
}

/// Most vCPUs of a PV domain.
const VCPUS_MAX: u32 = 8192;
const KNOWN_FLAGS: u32 = CreateFlags::HVM.0
    | CreateFlags::HAP.0
    | CreateFlags::S3_INTEGRITY.0
    | CreateFlags::OOS_OFF.0
    | CreateFlags::XS_DOMAIN.0
    | CreateFlags::IOMMU.0
    | CreateFlags::NESTED_VIRT.0
    | CreateFlags::VPMU.0;
/// What needs hardware or parts that are not there: translated domains, an IOMMU, a virtual PMU.
const REFUSED_FLAGS: u32 =
    CreateFlags::HVM.0 | CreateFlags::HAP.0 | CreateFlags::IOMMU.0 | CreateFlags::NESTED_VIRT.0 | CreateFlags::VPMU.0;

/// createdomain(1). Errors: `EINVAL` for what no domain can be, `EOPNOTSUPP` for devices that a PV domain has not,
/// `EFAULT`, and those of [`LifecycleHost::create_domain`].
pub(super) fn create<H: LifecycleHost + GuestMemory>(host: &mut H, request: &Request) -> Reply {
    let id = Some(request.named()).filter(|id| *id != DomainId(0) && id.is_ordinary());
    let id = host.choose_domain_id(request.authority, id)?;
    let most = host.grant_limits();
    let wanted = check(request, most)?;
    let has_possible_sizes =
        (1..=most.frames).contains(&wanted.grants.frames) && wanted.grants.maptrack_frames <= most.maptrack_frames;
    if !has_possible_sizes || !(1..=host.max_grant_version()).contains(&wanted.grant_version) {
        return Err(Errno::EINVAL.into());
    }
    host.create_domain(request.authority, id, &wanted)?;
    request.answer_domain(host, id)?;
    Ok(0)
}

/// The structure of the caller's release in today's form.
fn structure(request: &Request) -> Result<CreateDomain> {
    if request.version < Version::XEN_4_19 {
        return request.argument();
    }
    let newer: CreateDomain17 = request.argument()?;
    if newer.altp2m != 0 {
        // For translated domains only.
        return Err(Errno::EINVAL);
    }
    Ok(CreateDomain {
        ssidref: newer.ssidref,
        handle: newer.handle,
        flags: newer.flags,
        iommu_options: newer.iommu_options,
        max_vcpus: newer.max_vcpus,
        max_port: newer.max_port,
        max_grant_frames: newer.max_grant_frames,
        max_maptrack_frames: newer.max_maptrack_frames,
        grant_options: newer.grant_options,
        trace_size: newer.trace_size,
        cpupool: newer.cpupool,
        arch: newer.arch,
    })
}

fn check(request: &Request, most: GrantLimits) -> Result<WantedDomain> {
    let wanted = structure(request)?;
    let is_possible = wanted.flags.0 & !KNOWN_FLAGS == 0
        && wanted.flags.0 & REFUSED_FLAGS == 0
        && wanted.iommu_options == 0
        && (1..=VCPUS_MAX).contains(&wanted.max_vcpus)
        && wanted.trace_size == 0
        && wanted.arch.misc_flags & !MSR_RELAXED == 0;
    if !is_possible {
        return Err(Errno::EINVAL);
    }
    if wanted.arch.emulation_flags.0 & !EmulationFlags::PIT.0 != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(WantedDomain {
        handle: wanted.handle,
        ssidref: wanted.ssidref,
        flags: wanted.flags.with(CreateFlags::OOS_OFF),
        vcpus: wanted.max_vcpus,
        max_port: wanted.max_port.min(i32::MAX as u32),
        grants: GrantLimits {
            frames: u32::try_from(wanted.max_grant_frames).unwrap_or(most.frames),
            maptrack_frames: u32::try_from(wanted.max_maptrack_frames).unwrap_or(most.maptrack_frames),
        },
        grant_version: wanted.grant_options & GRANT_VERSION_MASK,
        cpupool: wanted.cpupool,
        arch: wanted.arch,
    })
}

/// Errors: `EINVAL` for the caller itself, which nobody would be left to finish for.
pub(super) fn others_only(target: Target) -> Result<Target> {
    if target.is_caller() { Err(Errno::EINVAL) } else { Ok(target) }
}

/// destroydomain(2). Errors: `EINVAL` for the caller itself, `ESRCH`.
pub(super) fn destroy<H: LifecycleHost>(host: &mut H, request: &Request, target: Target) -> Reply {
    match host.destroy_domain(others_only(target)?)? {
        Progress::Done => Ok(0),
        Progress::Preempted => Err(request.again()),
    }
}

/// max_vcpus(15). Errors: `EINVAL` for the caller itself and for another number than the domain was created with.
pub(super) fn max_vcpus<H: LifecycleHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let MaxVcpus { max } = request.argument()?;
    if max != host.vcpu_maximum(others_only(target)?)? {
        return Err(Errno::EINVAL);
    }
    host.make_vcpus(target)
}

/// setdomainhandle(17).
pub(super) fn set_handle<H: LifecycleHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let SetDomainHandle { handle } = request.argument()?;
    host.set_handle(target, handle)
}

/// setdebugging(18). Errors: `EINVAL` for the caller itself.
pub(super) fn set_debugging<H: LifecycleHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let SetDebugging { enable } = request.argument()?;
    let debugging = if enable != 0 { Debugging::Attached } else { Debugging::Detached };
    host.set_debugging(others_only(target)?, debugging)
}

/// subscribe(29).
pub(super) fn subscribe<H: LifecycleHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let Subscribe { port } = request.argument()?;
    host.set_suspend_port(target, Port(port))
}

/// set_virq_handler(66). Errors: `EINVAL`.
pub(super) fn set_virq_handler<H: LifecycleHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let SetVirqHandler { virq } = request.argument()?;
    host.set_virq_handler(target, virq)
}
