//! A dying domain lets go of everything it mapped of others, in bounded steps.
//!
//! The domain's vCPUs are off all CPUs for good. Its page tables still stand: the references of host mappings belong to
//! the page-table entries and go with those; here the pins end, and with the last the entry's own reference.

use abi::{GrantHandle, Mfn};

use crate::{
    domains::DomainCache,
    entry::Pins,
    host::Host,
    maptrack::{Mapping, Parts},
    pin::unpin,
    table::GrantTable,
};

/// How far teardown got.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Teardown {
    /// No mapping is left.
    Done,
    /// Go on with this handle.
    From(GrantHandle),
}

/// Ends up to `budget` handles' mappings of the domain that owns `mapper`, from handle `from` on.
///
/// `host` serves any caller: only its `domain`, `own_table`, `current`, `vcpu` and `put` are used, and the domain named by
/// `current` may be another than the dying one.
pub fn release_mappings<H: Host>(host: &H, mapper: &GrantTable<H::Page>, from: GrantHandle, budget: u32) -> Teardown {
    let maptrack = mapper.maptrack();
    let limit = maptrack.handle_count();
    let end = from.0.saturating_add(budget).min(limit);
    let mut domains = DomainCache::default();
    for handle in (from.0..end).map(GrantHandle) {
        for part in [Parts::DEVICE, Parts::HOST] {
            let found = maptrack.find(handle).filter(|found| found.mapping.parts().contains(part));
            if let Some(found) = found
                && let Some(frame) = found.claim(part)
            {
                release(host, mapper, &mut domains, found.mapping, part, frame);
                maptrack.complete((handle, found), part, host.vcpu());
            }
        }
    }
    if end == limit { Teardown::Done } else { Teardown::From(GrantHandle(end)) }
}

fn release<H: Host>(
    host: &H,
    mapper: &GrantTable<H::Page>,
    domains: &mut DomainCache<H>,
    mapping: Mapping,
    part: Parts,
    frame: Mfn,
) {
    let access = mapping.access();
    let pins = if part == Parts::DEVICE { Pins::device(access) } else { Pins::host(access) };
    if part == Parts::DEVICE {
        host.put(frame, access);
    }
    if mapping.domain() == mapper.owner() {
        unpin(mapper, host, mapping.reference(), pins);
    } else if let Some(granter) = domains.table(host, mapping.domain()) {
        unpin(granter, host, mapping.reference(), pins);
    }
}
