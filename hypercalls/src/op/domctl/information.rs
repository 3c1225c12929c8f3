//! domctl: what tools are told about domains and vCPUs.

use abi::domctl_domain::DomainInfo;
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
