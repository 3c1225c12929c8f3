//! Moving a port to another vCPU.

use abi::{Errno, Port as Number, Result, VcpuId};

use crate::{PirqControl, Platform, Ports, port::Binding};

impl<P: Platform> Ports<P> {
    /// Makes a port notify `vcpu` from its next event on. Errors, in this order: `ENOENT` no such vCPU, `EINVAL` invalid
    /// port, the hypervisor's, free, or one whose vCPU is fixed (IPI, per-vCPU VIRQ).
    pub fn bind_vcpu(&self, number: Number, vcpu: VcpuId, control: &impl PirqControl) -> Result<()> {
        self.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        let port = self.valid_port(number)?;
        let _table = self.table.lock();
        let binding = port.binding.lock();
        let notify = port.notify();
        if notify.consumer().is_some() {
            return Err(Errno::EINVAL);
        }
        let moved_pirq = match *binding {
            Binding::Unbound { .. } | Binding::Interdomain { .. } => None,
            Binding::Virq(virq) if !virq.is_per_vcpu() => None,
            Binding::Pirq(pirq) => (notify.vcpu() != vcpu).then_some(pirq),
            Binding::Virq(_) | Binding::Ipi | Binding::Free | Binding::Reserved => return Err(Errno::EINVAL),
        };
        port.set_notify(notify.with_vcpu(vcpu));
        drop(binding);
        if let Some(pirq) = moved_pirq {
            control.set_affinity(pirq, vcpu);
        }
        Ok(())
    }
}
