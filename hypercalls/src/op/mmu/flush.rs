//! TLB flushes that a call owes: collected while it runs, paid before it returns, whatever it returns.

use abi::{GuestHandle, GuestVirtual, Result};

use super::MmuCalls;
use crate::guest;

/// Which translations go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlushScope {
    /// The one of this address; always a canonical guest address.
    Page(GuestVirtual),
    /// All of the guest's, global ones too.
    Everything,
}

/// One more flush owed where `owed` is owed already.
fn merge(owed: &mut Option<FlushScope>, scope: FlushScope) {
    *owed = match *owed {
        Some(other) if other != scope => Some(FlushScope::Everything),
        _ => Some(scope),
    };
}

/// The flushes a batch owes.
#[must_use]
#[derive(Default)]
pub(super) struct Owed {
    local: Option<FlushScope>,
    domain: Option<FlushScope>,
}

impl Owed {
    pub(super) fn local(&mut self, scope: FlushScope) {
        merge(&mut self.local, scope);
    }

    pub(super) fn domain(&mut self, scope: FlushScope) {
        merge(&mut self.domain, scope);
    }

    pub(super) fn pay<H: MmuCalls>(self, host: &H) {
        if let Some(scope) = self.domain {
            host.flush_domain(scope);
        }
        if let Some(scope) = self.local
            && self.domain != Some(FlushScope::Everything)
            && self.domain != self.local
        {
            host.flush_local(scope);
        }
    }
}

/// Flushes at once for the vCPUs of a guest's bitmap, read 8 bytes at a time as far as the domain has vCPUs.
/// Errors: `EFAULT`.
pub(super) fn vcpus<H: MmuCalls>(host: &H, bitmap: GuestHandle<u64>, scope: FlushScope) -> Result<()> {
    let limit = host.vcpu_limit();
    for first in (0..limit).step_by(64) {
        let mut mask = guest::read(host, bitmap.element(u64::from(first / 64)))?;
        if limit - first < 64 {
            mask &= (1 << (limit - first)) - 1;
        }
        if mask != 0 {
            host.flush_vcpus(first, mask, scope);
        }
    }
    Ok(())
}
