//! Whom an event wakes: a consequence to be carried out after all locks are dropped.
//!
//! Kept to two words, because every send makes one and almost all of them are nobody or one vCPU.

use alloc::sync::Arc;

use abi::{Port as Number, VcpuId};

use crate::{ConsumerId, Platform, Ports, delivery::Raised};

/// Vcpus to be kicked, or nobody. Dropping it loses the wake-up.
#[must_use = "an event was delivered; somebody may have to be woken"]
pub struct Wake<P: Platform>(pub(crate) Kicks<P>);

pub(crate) enum Kicks<P: Platform> {
    Nobody,
    Vcpu(P::Target),
    /// Somebody polls for the port, or the hypervisor consumes it.
    More(Detail, Arc<Ports<P>>),
}

/// What a wake beyond one vCPU is about.
#[derive(Clone, Copy)]
pub(crate) struct Detail(u32);

const UPCALL: u32 = 1 << 31;
const CONSUMER: u32 = 1 << 30;
/// Ports have 17 bits, vCPUs 13.
const VCPU_SHIFT: u32 = 17;

impl Detail {
    fn new(vcpu: VcpuId, port: Number, flags: u32) -> Self {
        Self(flags | vcpu.0 << VCPU_SHIFT | port.0)
    }

    /// Whoever polls for `port`, and `vcpu` itself if an upcall is due there.
    pub(crate) fn pollers(vcpu: VcpuId, port: Number, raised: Raised) -> Self {
        Self::new(vcpu, port, if raised.upcall { UPCALL } else { 0 })
    }

    /// The consumer of the hypervisor's port `port`, which is about `vcpu`.
    pub(crate) fn consumer(vcpu: VcpuId, port: Number) -> Self {
        Self::new(vcpu, port, CONSUMER)
    }

    fn vcpu(self) -> VcpuId {
        VcpuId((self.0 & !(UPCALL | CONSUMER)) >> VCPU_SHIFT)
    }

    fn port(self) -> Number {
        Number(self.0 & ((1 << VCPU_SHIFT) - 1))
    }
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
    #[inline(always)]
    pub fn discharge(self, mut kick: impl FnMut(Kick<P::Target>)) {
        // Two comparisons rather than a jump table.
        if self.is_nobody() {
            return;
        }
        match self.0 {
            Kicks::Nobody => {}
            Kicks::Vcpu(target) => kick(Kick::Vcpu(target)),
            Kicks::More(detail, ports) => ports.kick_more(detail, kick),
        }
    }
}

impl<P: Platform> Ports<P> {
    #[cold]
    #[inline(never)]
    fn kick_more(&self, detail: Detail, mut kick: impl FnMut(Kick<P::Target>)) {
        let target = self.vcpu(detail.vcpu()).map(|slot| slot.target.clone());
        let port = detail.port();
        if detail.0 & CONSUMER != 0 {
            // Gone if the port was closed meanwhile.
            let consumer = self.port(port).and_then(|port| port.notify().consumer());
            if let (Some(consumer), Some(target)) = (consumer, target) {
                kick(Kick::Consumer { consumer, target, port });
            }
            return;
        }
        if let Some(target) = target.filter(|_| detail.0 & UPCALL != 0) {
            kick(Kick::Vcpu(target));
        }
        self.wake_pollers(port, |target| kick(Kick::Vcpu(target)));
    }
}
