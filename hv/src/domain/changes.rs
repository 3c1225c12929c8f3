//! Which domains have changed since whoever follows them last asked: made, stopped, dying, dead, gone. Source: Xen public
//! header `domctl.h` (`XEN_DOMCTL_get_domain_state`).
//!
//! A bit for each id, set after the change and before `VIRQ_DOM_EXC` is raised; whoever takes a bit looks at the domain
//! after that, so no change is missed. No locks.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Relaxed},
};

use abi::DomainId;

use super::list;

static CHANGED: [AtomicU64; (DomainId::FIRST_RESERVED.0 as usize).div_ceil(64)] =
    [const { AtomicU64::new(0) }; (DomainId::FIRST_RESERVED.0 as usize).div_ceil(64)];

/// A domain has changed.
pub fn note(id: DomainId) {
    if let Some(word) = CHANGED.get(usize::from(id.0) / 64) {
        word.fetch_or(1 << (id.0 % 64), AcqRel);
    }
}

/// The lowest domain that has changed; not again before its next change.
pub fn take() -> Option<DomainId> {
    for (index, word) in (0_u16..).zip(&CHANGED) {
        let mut seen = word.load(Relaxed);
        while seen != 0 {
            let bit = seen & seen.wrapping_neg();
            // Whoever else takes may be quicker.
            seen = word.fetch_and(!bit, AcqRel);
            if seen & bit != 0 {
                return Some(DomainId(64 * index + bit.trailing_zeros() as u16));
            }
        }
    }
    None
}

/// Somebody follows domains from now on: all that there are count as changed, and no others.
pub fn start_over() {
    for word in &CHANGED {
        word.store(0, Relaxed);
    }
    // One that is made, or goes, meanwhile is noted behind the list.
    list::all().for_each(|domain| note(domain.id));
}
