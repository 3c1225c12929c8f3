//! Global VIRQs: which domain gets each, and raising them. Source: Xen public header `xen.h` (`VIRQ_*`).

use abi::{Result, Virq};
use event_channels::GlobalVirqs;
use spin::Once;

use super::{Domain, HvPlatform, Kicked, changes, hardware_domain};

fn handlers() -> &'static GlobalVirqs<HvPlatform> {
    static HANDLERS: Once<GlobalVirqs<HvPlatform>> = Once::new();
    HANDLERS.call_once(GlobalVirqs::default)
}

/// Raises a global VIRQ for whoever handles it. Context: no lock held.
pub fn raise(virq: Virq) {
    if let Some(hardware) = hardware_domain() {
        handlers().raise(virq, &hardware.ports).kick();
    }
}

/// Gives one to a domain. Errors: `EINVAL` no such VIRQ, or a per-vCPU one.
pub fn give(virq: Virq, domain: &Domain) -> Result<()> {
    handlers().set_handler(virq, alloc::sync::Arc::clone(&domain.ports))?;
    bound(virq, domain);
    Ok(())
}

/// Whether a domain hears of domains that change.
pub fn follows_domains(domain: &Domain) -> bool {
    hardware_domain().is_some_and(|hardware| handlers().is_heard_by(Virq::DOM_EXC, &domain.ports, &hardware.ports))
}

/// A domain may hear of a VIRQ from now on.
pub fn bound(virq: Virq, domain: &Domain) {
    if virq == Virq::DOM_EXC && follows_domains(domain) {
        changes::start_over();
    }
}

/// A domain dies: what it handled goes back to the hardware domain.
pub fn forget(domain: &Domain) {
    handlers().forget(&domain.ports);
}
