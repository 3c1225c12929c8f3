//! The FIFO ABI: making an event pending means setting its bit and, unless it is masked or hangs in a queue already,
//! hanging it into a queue of its vCPU.
//!
//! A vCPU's delivery lock covers its sixteen queues. Linking needs the lock of the vCPU whose queue the event was in last
//! and that of the vCPU it goes to, lower id first: two who want to link one event meet in the former, and the old queue
//! never keeps the event as its tail.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use abi::{Port as Number, VcpuId};
use locks::Guard;

use crate::{
    Platform, Ports, Wake,
    delivery::Raised,
    port::{LastQueue, Notify, Port},
    ports::EventAbi,
    queue::{LINKED, MASKED, PENDING},
    sync::AtomicU32,
    vcpu::Delivery,
};

/// Attempts at an event whose queue keeps changing.
const MOVE_ATTEMPTS: u32 = 3;

/// What setting an event's bit found.
struct Mark {
    /// It was not pending.
    newly: bool,
    /// It must be linked.
    link: bool,
}

/// An event on its way into a queue.
struct Event<'a, P: Platform> {
    number: Number,
    port: &'a Port<P>,
    notify: Notify,
    last: LastQueue,
}

impl<P: Platform> Ports<P> {
    pub(crate) fn fifo_set_pending(self: &Arc<Self>, number: Number, port: &Port<P>) -> Wake<P> {
        let notify = port.notify();
        let vcpu = notify.vcpu();
        let Some(slot) = self.vcpu(vcpu) else {
            return Wake::nobody();
        };
        let delivery = slot.delivery.lock();
        let mark = delivery.mark(number, port);
        if mark.link {
            return self.link(delivery, number, port, notify, mark);
        }
        drop(delivery);
        self.wake_for(vcpu, slot, Raised { newly: mark.newly, upcall: false }, number)
    }

    /// Hangs an event, pending already, into the queue that `notify` names, whose vCPU's lock is held.
    #[inline(never)]
    fn link(
        self: &Arc<Self>,
        mut delivery: Guard<'_, Delivery<P>>,
        number: Number,
        port: &Port<P>,
        notify: Notify,
        mark: Mark,
    ) -> Wake<P> {
        let event = Event { number, port, notify, last: port.last_queue() };
        if event.last.vcpu() == notify.vcpu() {
            let queued = event.enqueue(&mut delivery, None);
            drop(delivery);
            return self.wake_for_queued(&event, queued, mark);
        }
        drop(delivery);
        for _ in 0..MOVE_ATTEMPTS {
            let event = Event { number, port, notify: port.notify(), last: port.last_queue() };
            match self.move_between(&event) {
                Enqueued::Moved => {}
                queued => return self.wake_for_queued(&event, queued, mark),
            }
        }
        self.wake_for_queued(&event, Enqueued::Lost, mark)
    }

    fn wake_for_queued(self: &Arc<Self>, event: &Event<'_, P>, queued: Enqueued, mark: Mark) -> Wake<P> {
        let vcpu = event.notify.vcpu();
        let Some(slot) = self.vcpu(vcpu) else {
            return Wake::nobody();
        };
        let upcall = match queued {
            Enqueued::Done { upcall } => upcall,
            // The guest's words, or its ports, would not hold still: it has itself to blame.
            Enqueued::Lost | Enqueued::Moved => {
                self.lost.fetch_add(1, Relaxed);
                false
            }
        };
        self.wake_for(vcpu, slot, Raised { newly: mark.newly, upcall }, event.number)
    }

    /// Queues an event with the locks of both vCPUs, which may be one.
    fn move_between(&self, event: &Event<'_, P>) -> Enqueued {
        let (new, old) = (event.notify.vcpu(), event.last.vcpu());
        let (Some(new_slot), Some(old_slot)) = (self.vcpu(new), self.vcpu(old)) else {
            return Enqueued::Lost;
        };
        if old == new {
            return event.enqueue(&mut new_slot.delivery.lock(), None);
        }
        if old < new {
            let mut from = old_slot.delivery.lock();
            let mut to = new_slot.delivery.lock_second(&from);
            event.enqueue(&mut to, Some(&mut from))
        } else {
            let mut to = new_slot.delivery.lock();
            let mut from = old_slot.delivery.lock_second(&to);
            event.enqueue(&mut to, Some(&mut from))
        }
    }

    /// A port begins a new life: its first queue is the one it notifies, and the last one of its old life lets it go. The
    /// port is not bound yet, so nobody else changes where it was queued.
    #[inline]
    pub(crate) fn start_queue(&self, number: Number, port: &Port<P>, notify: Notify) {
        let (last, first) = (port.last_queue(), LastQueue::of(notify));
        // There are no queues before the domain changes over, which takes the lock of the table that the caller has.
        if self.event_abi() == EventAbi::Fifo
            && let Some(slot) = self.vcpu(last.vcpu())
            && let Some(queues) = &mut slot.delivery.lock().queues
        {
            queues.forget_tail(last.priority(), number);
        }
        if last != first {
            port.set_last_queue(first);
        }
    }

    /// Applies `act` to a port's event word, if its page exists.
    fn with_word<R>(&self, vcpu: VcpuId, number: Number, act: impl FnOnce(&AtomicU32) -> R) -> Option<R> {
        let delivery = self.vcpu(vcpu)?.delivery.lock();
        delivery.queues.as_ref()?.array.word(number).map(act)
    }

    #[inline(never)]
    pub(crate) fn fifo_unmask(self: &Arc<Self>, number: Number, port: &Port<P>) -> Wake<P> {
        match self.with_word(port.notify().vcpu(), number, |word| word.fetch_and(!MASKED, SeqCst)) {
            Some(before) if before & PENDING != 0 => self.fifo_set_pending(number, port),
            _ => Wake::nobody(),
        }
    }

    pub(crate) fn fifo_is_pending(&self, number: Number, port: &Port<P>) -> bool {
        self.with_word(port.notify().vcpu(), number, |word| word.load(SeqCst) & PENDING != 0) == Some(true)
    }

    pub(crate) fn fifo_is_linked(&self, number: Number, port: &Port<P>) -> bool {
        self.with_word(port.notify().vcpu(), number, |word| word.load(SeqCst) & LINKED != 0) == Some(true)
    }

    pub(crate) fn fifo_is_masked(&self, number: Number, port: &Port<P>) -> bool {
        self.with_word(port.notify().vcpu(), number, |word| word.load(SeqCst) & MASKED != 0) == Some(true)
    }
}

impl<P: Platform> Delivery<P> {
    /// Sets an event's bit. What follows is decided by the one value the word had then: a guest that unmasks or consumes
    /// later sees the bit.
    #[inline]
    fn mark(&self, number: Number, port: &Port<P>) -> Mark {
        let Some(queues) = &self.queues else {
            return Mark { newly: false, link: false };
        };
        let Some(word) = queues.array.word(number) else {
            return Mark { newly: port.set_waiting(), link: false };
        };
        let before = word.fetch_or(PENDING, SeqCst);
        // Without a control block the event goes nowhere: the guest was not to unmask it yet.
        let link = before & (MASKED | LINKED) == 0 && queues.control.is_some();
        Mark { newly: before & PENDING == 0, link }
    }
}

/// How an attempt to queue an event ended.
enum Enqueued {
    /// It is in a queue; its vCPU must be kicked if `upcall`.
    Done { upcall: bool },
    /// It hangs nowhere, because the guest kept changing a word.
    Lost,
    /// Somebody queued it elsewhere before the locks were had.
    Moved,
}

impl<P: Platform> Event<'_, P> {
    /// With the locks of the new queue and, if it is another vCPU's, of the old one.
    fn enqueue(&self, to: &mut Delivery<P>, from: Option<&mut Delivery<P>>) -> Enqueued {
        if self.port.last_queue() != self.last {
            return Enqueued::Moved;
        }
        let nothing = Enqueued::Done { upcall: false };
        let Some(queues) = &mut to.queues else {
            return nothing;
        };
        let Some(word) = queues.array.word(self.number).filter(|_| queues.control.is_some()) else {
            return nothing;
        };
        if word.fetch_or(LINKED, SeqCst) & LINKED != 0 {
            return nothing;
        }
        let old = match from {
            Some(from) => from.queues.as_mut(),
            None => Some(&mut *queues),
        };
        if let Some(old) = old {
            old.forget_tail(self.last.priority(), self.number);
        }
        let queue = LastQueue::of(self.notify);
        if self.last != queue {
            self.port.set_last_queue(queue);
        }
        match queues.append(queue.priority(), self.number) {
            Some(tell) => Enqueued::Done { upcall: tell && to.mark_pending() },
            None => Enqueued::Lost,
        }
    }
}
