//! sysctl: the list of domains.

use abi::DomainId;
use abi::Result;
use abi::sysctl_machine::DomainInfoList;

use super::Request;
use crate::guest::{self, GuestMemory, Preemption};
use crate::op::domctl::InformationHost;

/// getdomaininfolist(6): domains from an id on, as many as there is room for. May stop early: callers ask on from the last
/// one they got. Errors: `EFAULT`.
pub(super) fn list<H>(host: &H, request: &Request) -> Result<()>
where
    H: InformationHost + GuestMemory + Preemption,
{
    let mut asked: DomainInfoList = request.argument()?;
    let mut next = Some(asked.first);
    let mut count = 0;
    while count < asked.max && !(count >= PATIENT && host.preempted()) {
        let Some(info) = next.and_then(|id| host.domain_from(id)).and_then(|id| host.domain_info(id)) else { break };
        guest::write(host, asked.buffer.element(u64::from(count)), &info)?;
        count += 1;
        next = info.domain.0.checked_add(1).map(DomainId);
    }
    asked.count = count;
    request.answer(host, &asked)
}

/// Domains that are listed without a look at the clock: some callers ask once and expect all there are.
const PATIENT: u32 = 1024;
