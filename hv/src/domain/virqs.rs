//! Global VIRQs: which domain gets each, and raising them. Source: Xen public header `xen.h` (`VIRQ_*`).

use abi::{Result, Virq};
use event_channels::GlobalVirqs;
use spin::Once;

use super::{Domain, HvPlatform, Kicked, hardware_domain};

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
    handlers().set_handler(virq, alloc::sync::Arc::clone(&domain.ports))
}

/// A domain dies: what it handled goes back to the hardware domain.
pub fn forget(domain: &Domain) {
    handlers().forget(&domain.ports);
}
