//! On whose behalf the hypervisor works: who pays when it breaks an invariant of its own meanwhile.
//!
//! A guest that calls for itself pays itself. A toolstack calls for others: what a domain's state did to its handler must
//! not cost the toolstack, or one guest's trouble would be everybody's. The host keeps what it was told last and reads it
//! when it contains a bug; a handler that comes back always gives it back to the caller.

use abi::DomainId;

/// Who pays for a bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Behalf {
    /// The calling domain.
    #[default]
    Caller,
    /// Nobody: the call fails. It is about the machine, or about a domain in the making.
    Machine,
    /// Nobody: the call fails. It only reads what is this domain's.
    Reading(DomainId),
    /// The call fails, and this domain, whose state may be half changed, is stopped.
    Changing(DomainId),
}

/// Keeps on whose behalf the present call works.
pub trait Accountable {
    /// From now on it is this.
    fn act_for(&mut self, behalf: Behalf);
}

/// Does `work` on behalf of another than the caller.
pub fn act_for<H: Accountable, R>(host: &mut H, behalf: Behalf, work: impl FnOnce(&mut H) -> R) -> R {
    host.act_for(behalf);
    let result = work(host);
    host.act_for(Behalf::Caller);
    result
}
