//! Telling dom0 that its console has input.

use abi::{VcpuId, Virq};

use crate::domain::{self, Kicked};

/// Raises the console's VIRQ.
pub fn notify() {
    if let Some(domain) = domain::hardware_domain() {
        domain.ports.raise_virq(VcpuId(0), Virq::CONSOLE).kick();
    }
}
