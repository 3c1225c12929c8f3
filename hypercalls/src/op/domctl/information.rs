//! domctl: what tools are told about domains and vCPUs.

use abi::domctl_domain::{DomainInfo, GetDomainState};
use abi::domctl_vcpu::VcpuInformation;
use abi::{DomainId, Errno, Result, VcpuId};

use super::{Request, Version};
use crate::authority::Target;
use crate::guest::GuestMemory;
use crate::outcome::Reply;

/// What is known of domains.
pub trait InformationHost {
    /// What tools are told about the domain with this id.
    fn domain_info(&self, id: DomainId) -> Option<DomainInfo>;
    /// The domain with this id, or else the one with the next higher.
    fn domain_from(&self, id: DomainId) -> Option<DomainId>;
    /// How far this domain is in its life, what it may do, and what tells it from all others.
    fn domain_state(&self, id: DomainId) -> Option<GetDomainState>;
    /// Whether the caller hears of domains that change: it has bound `VIRQ_DOM_EXC`, and nobody else was chosen for it.
    fn follows_domains(&self) -> bool;
    /// A domain that was made, stopped, began to die, died or went away and was not taken since; it may be gone.
    fn take_changed(&self) -> Option<DomainId>;
    /// What was taken and could not be told is to be taken again.
    fn put_changed_back(&self, id: DomainId);
    /// What tools are told about a vCPU. Errors: `EINVAL` beyond what the domain may have, `ESRCH` not made yet.
    fn vcpu_information(&self, target: Target, vcpu: VcpuId) -> Result<VcpuInformation>;
}

/// getdomaininfo(5). Callers of Xen 4.17 are told about the domain with the next higher id if there is none with theirs.
/// Errors: `EINVAL` for a number that no domain has, `ESRCH`, `EFAULT`.
pub(super) fn domain<H: InformationHost + GuestMemory>(host: &H, request: &Request) -> Reply {
    let named = request.named();
    if request.version < Version::XEN_4_18 && !named.is_ordinary() {
        return Err(Errno::EINVAL.into());
    }
    let found = if request.version < Version::XEN_4_18 { host.domain_from(named) } else { Some(named) };
    let info = found.and_then(|id| host.domain_info(id)).ok_or(Errno::ESRCH)?;
    request.answer_domain(host, info.domain)?;
    request.answer(host, &info)?;
    Ok(0)
}

/// getvcpuinfo(14). Errors: those of [`InformationHost::vcpu_information`], `EFAULT`.
pub(super) fn vcpu<H: InformationHost + GuestMemory>(host: &H, request: &Request, target: Target) -> Result<()> {
    let asked: VcpuInformation = request.argument()?;
    let mut answer = host.vcpu_information(target, asked.vcpu)?;
    answer.vcpu = asked.vcpu;
    request.answer(host, &answer)
}

/// get_domain_state(90) of a domain. Errors: `EINVAL` for padding that is not zero, `ESRCH`, `EFAULT`.
pub(super) fn state<H: InformationHost + GuestMemory>(host: &H, request: &Request, target: Target) -> Result<()> {
    check_padding(request)?;
    let state = host.domain_state(target.id()).ok_or(Errno::ESRCH)?;
    request.answer(host, &state)
}

/// get_domain_state(90) of the next domain that has changed; of one that is gone there is nothing but its number to tell.
/// Errors: `EINVAL` for padding that is not zero, `EPERM` unless the caller hears of changes, `ENOENT` for no such domain,
/// `EFAULT`.
pub(super) fn changed_domain<H: InformationHost + GuestMemory>(host: &H, request: &Request) -> Reply {
    check_padding(request)?;
    if !host.follows_domains() {
        return Err(Errno::EPERM.into());
    }
    let id = host.take_changed().ok_or(Errno::ENOENT)?;
    let state = host.domain_state(id).unwrap_or_default();
    let told = request.answer_domain(host, id).and_then(|()| request.answer(host, &state));
    if told.is_err() {
        host.put_changed_back(id);
    }
    told?;
    Ok(0)
}

fn check_padding(request: &Request) -> Result<()> {
    let asked: GetDomainState = request.argument()?;
    if asked.pad == 0 { Ok(()) } else { Err(Errno::EINVAL) }
}
