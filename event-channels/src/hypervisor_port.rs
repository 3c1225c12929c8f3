//! Ports whose near end is the hypervisor: their events call a consumer instead of marking guest memory. The guest in
//! whose name they exist may neither send on them nor close, move or look at them.

use alloc::sync::Arc;

use abi::{DomainId, Errno, Port as Number, Result, VcpuId};

use crate::{
    ConsumerId, PirqControl, Platform, Ports, Wake,
    close::Closer,
    port::{Binding, Notify},
};

impl<P: Platform> Ports<P> {
    /// A new port that `remote` may bind to, on behalf of `consumer` and about `vcpu`. Errors: `ENOENT` no such vCPU, then as
    /// for [`Ports::alloc_unbound`].
    pub fn alloc_for_hypervisor(&self, vcpu: VcpuId, remote: DomainId, consumer: ConsumerId) -> Result<Number> {
        self.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        let mut table = self.table.lock();
        let (number, port) = self.find_free(&mut table)?;
        let notify = Notify::of_vcpu(vcpu).with_consumer(consumer);
        self.occupy(&mut table, (number, port), notify, Binding::Unbound { remote });
        Ok(number)
    }

    /// Sends to whoever bound to one of the hypervisor's ports; to nobody if that has not happened.
    pub fn notify_from_hypervisor(self: &Arc<Self>, number: Number) -> Wake<P> {
        let Some(port) = self.port(number) else {
            return Wake::nobody();
        };
        let binding = port.binding.lock();
        match &*binding {
            Binding::Interdomain { peer, port: far } if port.notify().consumer().is_some() => {
                peer.ports(self).receive(Number(*far))
            }
            _ => Wake::nobody(),
        }
    }

    /// Closes one of the hypervisor's ports. Errors: `EINVAL` not one of those.
    pub fn close_for_hypervisor(self: &Arc<Self>, number: Number, control: &impl PirqControl) -> Result<()> {
        let mut table = self.table.lock();
        if self.valid_port(number)?.notify().consumer().is_none() {
            return Err(Errno::EINVAL);
        }
        self.close_locked(&mut table, number, Closer::Hypervisor, control)
    }
}
