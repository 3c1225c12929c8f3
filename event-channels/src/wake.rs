//! Whom an event wakes: a consequence to be carried out after all locks are dropped.

use alloc::sync::Arc;

use abi::Port as Number;

use crate::{ConsumerId, Platform, Ports};

/// Vcpus to be kicked, or nobody. Dropping it loses the wake-up.
#[must_use = "an event was delivered; somebody may have to be woken"]
pub struct Wake<P: Platform>(pub(crate) Kicks<P>);

pub(crate) enum Kicks<P: Platform> {
    Nobody,
    Vcpu(P::Target),
    /// At least one vCPU polls for the port.
    Pollers {
        upcall: Option<P::Target>,
        ports: Arc<Ports<P>>,
        port: Number,
    },
    /// The port is the hypervisor's.
    Consumer {
        consumer: ConsumerId,
        target: P::Target,
        port: Number,
    },
}

/// One thing to do for a [`Wake`].
#[derive(Debug)]
pub enum Kick<T> {
    /// Wake this vCPU if it is blocked or polls; if it runs on another CPU, make it look at its events.
    Vcpu(T),
    /// Call the hypervisor's own consumer of a port.
    Consumer {
        /// Which.
        consumer: ConsumerId,
        /// The vCPU the port is about.
        target: T,
        /// The port, in the domain of `target`.
        port: Number,
    },
}

impl<P: Platform> Wake<P> {
    /// Wakes nobody.
    #[inline]
    pub const fn nobody() -> Self {
        Wake(Kicks::Nobody)
    }

    /// Whether there is nothing to do.
    #[inline]
    pub fn is_nobody(&self) -> bool {
        matches!(self.0, Kicks::Nobody)
    }

    /// Hands out each kick, with no lock of this crate held.
    #[inline]
    pub fn discharge(self, mut kick: impl FnMut(Kick<P::Target>)) {
        match self.0 {
            Kicks::Nobody => {}
            Kicks::Vcpu(target) => kick(Kick::Vcpu(target)),
            Kicks::Consumer { consumer, target, port } => kick(Kick::Consumer { consumer, target, port }),
            Kicks::Pollers { upcall, ports, port } => {
                if let Some(target) = upcall {
                    kick(Kick::Vcpu(target));
                }
                ports.wake_pollers(port, |target| kick(Kick::Vcpu(target)));
            }
        }
    }
}
