//! One port: what it is bound to, whom it notifies, and where its event was queued last.
//!
//! The binding changes only under the port's lock, that of an interdomain pair only under both; a sender holds the lock
//! of its own end, so the far end it names cannot go away. The notify word and the queue word are read without a lock:
//! each is one snapshot, and acting on an old one is no worse than having come earlier.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use abi::{DomainId, Pirq, VcpuId, Virq, event_channel::FIFO_PRIORITY_DEFAULT};
use locks::{Level, Lock};

use crate::{Platform, Ports, sync::AtomicU32};

/// Which part of the hypervisor consumes the events of a port; 1 to 15, meanings are the host's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsumerId(u8);

impl ConsumerId {
    /// A consumer by its number; `None` outside 1 to 15.
    pub const fn new(number: u8) -> Option<Self> {
        if number >= 1 && number <= 15 { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Whom a port notifies and how: vCPU, FIFO priority, and the hypervisor's consumer if it has one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Notify(u32);

impl Notify {
    pub(crate) const RESET: Notify = Notify(FIFO_PRIORITY_DEFAULT);

    pub(crate) const fn of_vcpu(vcpu: VcpuId) -> Self {
        Self::RESET.with_vcpu(vcpu)
    }

    pub(crate) const fn with_vcpu(self, vcpu: VcpuId) -> Self {
        Self(self.0 & 0xFF | vcpu.0 << 8)
    }

    pub(crate) const fn with_priority(self, priority: u32) -> Self {
        Self(self.0 & !0xF | priority & 0xF)
    }

    pub(crate) const fn with_consumer(self, consumer: ConsumerId) -> Self {
        Self(self.0 & !0xF0 | (consumer.0 as u32) << 4)
    }

    pub(crate) const fn vcpu(self) -> VcpuId {
        VcpuId(self.0 >> 8)
    }

    pub(crate) const fn priority(self) -> u32 {
        self.0 & 0xF
    }

    pub(crate) const fn consumer(self) -> Option<ConsumerId> {
        ConsumerId::new((self.0 >> 4 & 0xF) as u8)
    }
}

/// The FIFO queue an event was linked into last, or would be first: vCPU and priority.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastQueue(u32);

impl LastQueue {
    /// The queue that `notify` names.
    pub(crate) const fn of(notify: Notify) -> Self {
        Self(notify.vcpu().0 << 8 | notify.priority() << 4)
    }

    pub(crate) const fn vcpu(self) -> VcpuId {
        VcpuId(self.0 >> 8)
    }

    pub(crate) const fn priority(self) -> u32 {
        self.0 >> 4 & 0xF
    }
}

/// Bit of [`Port::queue`]: an event waits for its array page.
const WAITING: u32 = 1;

/// What a port is bound to.
pub(crate) enum Binding<P: Platform> {
    /// Nothing; free to be allocated.
    Free,
    /// Port 0, and a port that is between two states inside one operation.
    Reserved,
    /// Waits for `remote` to bind.
    Unbound { remote: DomainId },
    /// One end of a pair.
    Interdomain { peer: Peer<P>, port: u32 },
    /// A physical interrupt.
    Pirq(Pirq),
    /// A virtual interrupt.
    Virq(Virq),
    /// An event between the domain's own vCPUs.
    Ipi,
}

/// The owner of the other end. A pair inside one domain holds no reference to itself.
pub(crate) enum Peer<P: Platform> {
    Own,
    Other(Arc<Ports<P>>),
}

impl<P: Platform> Clone for Peer<P> {
    fn clone(&self) -> Self {
        match self {
            Peer::Own => Peer::Own,
            Peer::Other(ports) => Peer::Other(ports.clone()),
        }
    }
}

impl<P: Platform> Peer<P> {
    /// `remote` as seen by `local`.
    pub(crate) fn of(local: &Arc<Ports<P>>, remote: &Arc<Ports<P>>) -> Self {
        if Arc::ptr_eq(local, remote) { Peer::Own } else { Peer::Other(remote.clone()) }
    }

    /// The owner of the far end, given that of the near end.
    #[inline]
    pub(crate) fn ports<'a>(&'a self, own: &'a Arc<Ports<P>>) -> &'a Arc<Ports<P>> {
        match self {
            Peer::Own => own,
            Peer::Other(ports) => ports,
        }
    }
}

pub(crate) struct Port<P: Platform> {
    pub(crate) binding: Lock<Binding<P>>,
    notify: AtomicU32,
    queue: AtomicU32,
}

impl<P: Platform> Port<P> {
    pub(crate) fn new() -> Self {
        Self {
            binding: Lock::new(Level::EventPort, Binding::Free),
            notify: AtomicU32::new(Notify::RESET.0),
            queue: AtomicU32::new(0),
        }
    }

    #[inline]
    pub(crate) fn notify(&self) -> Notify {
        Notify(self.notify.load(Acquire))
    }

    /// Under the port's lock.
    pub(crate) fn set_notify(&self, notify: Notify) {
        self.notify.store(notify.0, Release);
    }

    /// Where the event was queued last. Changes only under the delivery lock of that queue's vCPU, so two who want to
    /// queue the event meet there.
    pub(crate) fn last_queue(&self) -> LastQueue {
        LastQueue(self.queue.load(Acquire) & !WAITING)
    }

    pub(crate) fn set_last_queue(&self, queue: LastQueue) {
        // An event that waits for its page (an upgrade in progress) must survive this.
        let _ = self.queue.fetch_update(SeqCst, Relaxed, |old| Some(queue.0 | old & WAITING));
    }

    /// Remembers an event until the array page of this port exists; true when none was remembered.
    pub(crate) fn set_waiting(&self) -> bool {
        self.queue.fetch_or(WAITING, SeqCst) & WAITING == 0
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.queue.load(SeqCst) & WAITING != 0
    }

    /// Forgets the remembered event; true when there was one.
    pub(crate) fn take_waiting(&self) -> bool {
        self.queue.fetch_and(!WAITING, SeqCst) & WAITING != 0
    }
}

impl<P: Platform> Binding<P> {
    /// Whether the port has a life of its own in guest memory.
    pub(crate) fn is_bound(&self) -> bool {
        !matches!(self, Binding::Free | Binding::Reserved)
    }
}
