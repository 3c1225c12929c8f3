//! Which domain gets each global VIRQ: the hardware domain, unless the toolstack chose another
//! (`XEN_DOMCTL_set_virq_handler`), and the hardware domain again once that one dies.

use alloc::sync::Arc;

use abi::{Errno, Result, VcpuId, Virq};
use locks::{Level, Lock};

use crate::{Platform, Ports, Wake};

type Handler<P> = Option<Arc<Ports<P>>>;

/// The handlers, one object for the machine.
pub struct GlobalVirqs<P: Platform> {
    // A leaf: only references are copied under it.
    handlers: Lock<[Handler<P>; Virq::COUNT as usize]>,
}

impl<P: Platform> Default for GlobalVirqs<P> {
    fn default() -> Self {
        Self { handlers: Lock::new(Level::EventQueue, [const { None }; Virq::COUNT as usize]) }
    }
}

impl<P: Platform> GlobalVirqs<P> {
    /// Gives a global VIRQ to a domain. Errors: `EINVAL` no such VIRQ or a per-vCPU one.
    pub fn set_handler(&self, virq: Virq, ports: Arc<Ports<P>>) -> Result<()> {
        if virq.0 >= Virq::COUNT || virq.is_per_vcpu() {
            return Err(Errno::EINVAL);
        }
        let old = self.handlers.lock().get_mut(virq.0 as usize).and_then(|handler| handler.replace(ports));
        drop(old);
        Ok(())
    }

    /// A domain dies: what it handled is the hardware domain's again.
    pub fn forget(&self, ports: &Arc<Ports<P>>) {
        for index in 0..Virq::COUNT as usize {
            let mut handlers = self.handlers.lock();
            let old = handlers
                .get_mut(index)
                .filter(|handler| handler.as_ref().is_some_and(|handler| Arc::ptr_eq(handler, ports)))
                .and_then(Option::take);
            drop(handlers);
            drop(old);
        }
    }

    /// Whether it is `ports` that hears of a global VIRQ: chosen for it, or the hardware domain's if nobody was, and bound.
    pub fn is_heard_by(&self, virq: Virq, ports: &Arc<Ports<P>>, hardware_domain: &Arc<Ports<P>>) -> bool {
        let handler = self.handlers.lock().get(virq.0 as usize).and_then(Clone::clone);
        Arc::ptr_eq(handler.as_ref().unwrap_or(hardware_domain), ports)
            && ports.vcpu(VcpuId(0)).is_some_and(|slot| slot.virq_port(virq) != 0)
    }

    /// Raises a global VIRQ; `hardware_domain` gets it when nobody else was chosen.
    pub fn raise(&self, virq: Virq, hardware_domain: &Arc<Ports<P>>) -> Wake<P> {
        let handler = self.handlers.lock().get(virq.0 as usize).and_then(Clone::clone);
        handler.as_ref().unwrap_or(hardware_domain).raise_virq(VcpuId(0), virq)
    }
}
