//! Looking up the other side of an operation once per batch instead of once per element.

use core::ops::Deref;

use abi::DomainId;

use crate::{host::Host, table::GrantTable};

/// The domain that was named last. The caller itself is never looked up.
pub struct DomainCache<H: Host> {
    last: Option<(DomainId, H::Domain)>,
}

impl<H: Host> Default for DomainCache<H> {
    fn default() -> Self {
        Self { last: None }
    }
}

/// A table kept alive: the caller's own, which lives as long as the call, or another's.
pub(crate) enum Lender<D> {
    Own,
    Other(D),
}

impl<D> Lender<D> {
    #[inline]
    pub(crate) fn table<'a, H: Host<Domain = D>>(&'a self, host: &'a H) -> &'a GrantTable<H::Page>
    where
        D: Deref<Target = GrantTable<H::Page>>,
    {
        match self {
            Lender::Own => host.own_table(),
            Lender::Other(domain) => domain,
        }
    }
}

impl<H: Host> DomainCache<H> {
    /// The table of domain `id`.
    #[inline]
    pub(crate) fn table<'a>(&'a mut self, host: &'a H, id: DomainId) -> Option<&'a GrantTable<H::Page>> {
        if id == host.current() { Some(host.own_table()) } else { self.other(host, id).map(|domain| &**domain) }
    }

    /// The same as a value that outlives the cache.
    #[inline]
    pub(crate) fn lender(&mut self, host: &H, id: DomainId) -> Option<Lender<H::Domain>> {
        if id == host.current() || id == DomainId::SELF {
            Some(Lender::Own)
        } else {
            self.other(host, id).cloned().map(Lender::Other)
        }
    }

    #[inline]
    fn other<'a>(&'a mut self, host: &H, id: DomainId) -> Option<&'a H::Domain> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != id) {
            if !id.is_ordinary() {
                return None;
            }
            self.last = Some((id, host.domain(id)?));
        }
        self.last.as_ref().map(|(_, domain)| domain)
    }
}
