//! Whose frames and whose tables a call is about: `DOMID_SELF`, another domain, or one of the special owners.

use abi::{DomainId, Errno, Result};

use super::MmuCalls;
use crate::authority;

/// The owner of data frames that a call names. The caller's own number is refused: it has to say `DOMID_SELF`.
/// Errors: `ESRCH`.
#[inline]
pub(super) fn frame_owner<H: MmuCalls>(host: &H, named: DomainId) -> Result<DomainId> {
    match named {
        DomainId::SELF => Ok(host.caller()),
        DomainId::IO | DomainId::XEN => Ok(named),
        other if other == host.caller() => Err(Errno::ESRCH),
        other => authority::find_by_number(host, other).map(|found| found.id()),
    }
}

/// May the caller work with frames or tables of `owner`. Errors: `EPERM`, or `ESRCH` if the owner is gone.
#[inline]
pub(super) fn may_use<H: MmuCalls>(host: &H, owner: DomainId) -> Result<()> {
    if owner == host.caller() { Ok(()) } else { may_use_foreign(host, owner) }
}

#[cold]
fn may_use_foreign<H: MmuCalls>(host: &H, owner: DomainId) -> Result<()> {
    if owner.is_ordinary() {
        authority::find_by_number(host, owner)?.target(host).map(drop)
    } else {
        authority::control_domain(host).map(drop)
    }
}
