//! Sending: by a guest on a port of its own, by a virtual interrupt, by a physical one. No per-domain lock, no
//! allocation; the lock taken is that of the near end.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::Acquire;

use abi::{Errno, Pirq, Port as Number, Result, VcpuId, Virq};

use crate::{
    Platform, Ports, Wake,
    port::{Binding, Port},
    wake::{Detail, Kicks},
};

/// What became of a physical interrupt.
#[must_use]
pub enum PirqRaise<P: Platform> {
    /// It is not bound to a port: nobody will acknowledge it.
    Unbound,
    /// It was made pending, or was so already.
    Delivered(Wake<P>),
}

impl<P: Platform> Ports<P> {
    /// `EVTCHNOP_send`. An unbound port swallows the event. Errors: `EINVAL` invalid or closed port, the hypervisor's own,
    /// VIRQ or physical interrupt.
    #[inline(always)]
    pub fn send(self: &Arc<Self>, number: Number) -> Result<Wake<P>> {
        let port = self.valid_port(number)?;
        let binding = port.binding.lock();
        if port.notify().consumer().is_some() {
            return Err(Errno::EINVAL);
        }
        // The two that matter first, rather than a jump table.
        let (owner, number, port) = if let Binding::Interdomain { peer, port: far } = &*binding {
            let (owner, far) = (peer.ports(self), Number(*far));
            match owner.port(far) {
                Some(port) if port.notify().consumer().is_none() => (owner, far, port),
                Some(port) => return Ok(owner.tell_consumer(far, port)),
                None => return Ok(Wake::nobody()),
            }
        } else if matches!(*binding, Binding::Ipi) {
            (self, number, port)
        } else if matches!(*binding, Binding::Unbound { .. }) {
            return Ok(Wake::nobody());
        } else {
            return Err(Errno::EINVAL);
        };
        Ok(owner.set_pending(number, port))
    }

    /// An event from the far end, whose lock the caller holds.
    pub(crate) fn receive(self: &Arc<Self>, number: Number) -> Wake<P> {
        let Some(port) = self.port(number) else {
            return Wake::nobody();
        };
        if port.notify().consumer().is_some() {
            return self.tell_consumer(number, port);
        }
        self.set_pending(number, port)
    }

    #[cold]
    fn tell_consumer(self: &Arc<Self>, number: Number, port: &Port<P>) -> Wake<P> {
        Wake(Kicks::More(Detail::consumer(port.notify().vcpu(), number), Arc::clone(self)))
    }

    /// Raises a virtual interrupt of a vCPU; for a global one `vcpu` does not matter.
    pub fn raise_virq(self: &Arc<Self>, vcpu: VcpuId, virq: Virq) -> Wake<P> {
        let per_vcpu = virq.is_per_vcpu();
        let Some(slot) = self.vcpu(if per_vcpu { vcpu } else { VcpuId(0) }) else {
            return Wake::nobody();
        };
        let number = Number(slot.virq_port(virq));
        let Some(port) = self.port(number) else {
            return Wake::nobody();
        };
        let binding = port.binding.lock();
        match &*binding {
            Binding::Virq(bound) if *bound == virq && (!per_vcpu || port.notify().vcpu() == vcpu) => {
                self.set_pending(number, port)
            }
            _ => Wake::nobody(),
        }
    }

    /// Raises a physical interrupt.
    pub fn raise_pirq(self: &Arc<Self>, pirq: Pirq) -> PirqRaise<P> {
        let Some(cell) = self.pirqs.get(pirq.0 as usize) else {
            return PirqRaise::Unbound;
        };
        let number = Number(cell.load(Acquire));
        let Some(port) = self.port(number) else {
            return PirqRaise::Unbound;
        };
        let binding = port.binding.lock();
        match &*binding {
            Binding::Pirq(bound) if *bound == pirq => PirqRaise::Delivered(self.set_pending(number, port)),
            _ => PirqRaise::Unbound,
        }
    }
}
