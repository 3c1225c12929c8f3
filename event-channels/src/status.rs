//! What a port is, for `EVTCHNOP_status` and for the debug dump.

use alloc::sync::Arc;

use abi::{DomainId, Errno, Pirq, Port as Number, Result, VcpuId, Virq};

use crate::{Platform, Ports, port::Binding, ports::EventAbi};

/// What a port is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortKind {
    /// Free or reserved.
    Closed,
    /// Waits for a domain to bind.
    Unbound(DomainId),
    /// Bound to another port.
    Interdomain(DomainId, Number),
    /// Bound to a physical interrupt.
    Pirq(Pirq),
    /// Bound to a virtual interrupt.
    Virq(Virq),
    /// Bound to the domain's own vCPUs.
    Ipi,
}

/// A port's binding and the vCPU it notifies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortStatus {
    /// The binding.
    pub kind: PortKind,
    /// The vCPU.
    pub vcpu: VcpuId,
}

/// A port's state in guest memory, and its FIFO priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortWords {
    /// Has an event.
    pub pending: bool,
    /// The guest holds events off.
    pub masked: bool,
    /// Hangs in a queue, going by what the guest left there; always false with the 2-level ABI.
    pub linked: bool,
    /// 0 (most urgent) to 15.
    pub priority: u32,
}

impl<P: Platform> Ports<P> {
    /// `EVTCHNOP_status`. Errors: `EINVAL` invalid port, `EACCES` the hypervisor's.
    pub fn status(self: &Arc<Self>, number: Number) -> Result<PortStatus> {
        let status = self.describe(number)?;
        if self.valid_port(number)?.notify().consumer().is_some() {
            return Err(Errno::EACCES);
        }
        Ok(status)
    }

    /// The same for the debug dump: the hypervisor's ports too. Errors: `EINVAL` invalid port.
    pub fn describe(self: &Arc<Self>, number: Number) -> Result<PortStatus> {
        let port = self.valid_port(number)?;
        let binding = port.binding.lock();
        let kind = match &*binding {
            Binding::Free | Binding::Reserved => PortKind::Closed,
            Binding::Unbound { remote } => PortKind::Unbound(*remote),
            Binding::Interdomain { peer, port } => PortKind::Interdomain(peer.ports(self).domain(), Number(*port)),
            Binding::Pirq(pirq) => PortKind::Pirq(*pirq),
            Binding::Virq(virq) => PortKind::Virq(*virq),
            Binding::Ipi => PortKind::Ipi,
        };
        Ok(PortStatus { kind, vcpu: port.notify().vcpu() })
    }

    /// What guest memory says about a port. Errors: `EINVAL` invalid port.
    pub fn port_words(&self, number: Number) -> Result<PortWords> {
        let port = self.valid_port(number)?;
        let priority = port.notify().priority();
        let linked = self.event_abi() == EventAbi::Fifo && self.fifo_is_linked(number, port);
        // A port without events has none pending.
        let pending = self.is_pending(number).unwrap_or(false);
        Ok(PortWords { pending, masked: self.is_masked(number)?, linked, priority })
    }

    /// Ports in use, the hypervisor's included; 0 after teardown. For the audit.
    pub fn ports_in_use(&self) -> u32 {
        self.table.lock().active()
    }
}
