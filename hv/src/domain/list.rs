//! All domains by id. Ids ascend and are never used again.
//!
//! Lookups are frequent and lock-free: the slot of a domain is set once. Lock: [`Level::DomainList`] around additions.

use abi::{DomainId, Errno, Result};
use locks::{Level, Lock};
use spin::Once;

use super::Domain;

/// Domains this list can hold. Until the toolstack's calls exist there are dom0 and a test's bystanders.
const CAPACITY: usize = if cfg!(feature = "fail-points") { 512 } else { 64 };
/// The domain that runs the hardware.
const HARDWARE_DOMAIN: DomainId = DomainId(0);

static DOMAINS: [Once<&'static Domain>; CAPACITY] = [const { Once::new() }; CAPACITY];
static ADDING: Lock<()> = Lock::new(Level::DomainList, ());

/// Makes a finished domain known. Errors: `EEXIST`, `ENOSPC`.
pub fn publish(domain: &'static Domain) -> Result<()> {
    let _adding = ADDING.lock();
    let slot = DOMAINS.get(usize::from(domain.id.0)).ok_or(Errno::ENOSPC)?;
    if slot.is_completed() {
        return Err(Errno::EEXIST);
    }
    slot.call_once(|| domain);
    crate::time::wallclock::show(domain);
    Ok(())
}

/// The domain with this id.
#[inline]
pub fn find(id: DomainId) -> Option<&'static Domain> {
    DOMAINS.get(usize::from(id.0))?.get().copied()
}

/// All domains, ascending.
pub fn all() -> impl Iterator<Item = &'static Domain> {
    DOMAINS.iter().filter_map(Once::get).copied()
}

/// The domain that runs the hardware.
pub fn hardware_domain() -> Option<&'static Domain> {
    find(HARDWARE_DOMAIN)
}

/// Stops a domain for `reason`: none of its vCPUs runs again. For the hardware domain the reason is the host's fate.
pub fn shut_down(domain: &'static Domain, reason: abi::sched::ShutdownReason) {
    if !domain.begin_shutdown(reason) {
        return;
    }
    for vcpu in domain.vcpus() {
        crate::sched::wake::stop(vcpu, super::RunFlags::PAUSED);
    }
    if domain.id == HARDWARE_DOMAIN {
        crate::platform::power::hardware_domain_stopped(reason);
    }
}
