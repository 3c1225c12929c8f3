//! The FIFO ABI: making an event pending means setting its bit and hanging it into a queue of its vCPU.
//!
//! A vCPU's delivery lock covers its sixteen queues. An event that changes its vCPU needs both vCPUs' locks, lower id
//! first, from before its bits change until it is linked, so that the old queue never keeps it as its tail.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use abi::Port as Number;

use crate::{
    Platform, Ports, Wake,
    delivery::Raised,
    port::{LastQueue, Notify, Port},
    queue::{LINKED, MASKED, PENDING},
    sync::AtomicU32,
    vcpu::Delivery,
};

/// Attempts at an event whose queue keeps changing.
const MOVE_ATTEMPTS: u32 = 3;

/// An event on its way, as it was before the locks were taken.
struct Event<'a, P: Platform> {
    number: Number,
    port: &'a Port<P>,
    notify: Notify,
    last: LastQueue,
}

/// How an attempt ended.
enum Attempt {
    Done(Raised),
    /// As `Done`, but the guest's words would not hold still.
    Lost(Raised),
    /// Somebody else queued the event elsewhere meanwhile.
    Moved,
}

impl<P: Platform> Ports<P> {
    pub(crate) fn fifo_set_pending(self: &Arc<Self>, number: Number, port: &Port<P>) -> Wake<P> {
        for _ in 0..MOVE_ATTEMPTS {
            let event = Event { number, port, notify: port.notify(), last: port.last_queue() };
            let Some(slot) = self.vcpu(event.notify.vcpu()) else {
                return Wake::nobody();
            };
            match self.raise(&event) {
                Attempt::Done(raised) => return self.wake_for(slot, raised, number),
                Attempt::Lost(raised) => {
                    self.lost.fetch_add(1, Relaxed);
                    return self.wake_for(slot, raised, number);
                }
                Attempt::Moved => {}
            }
        }
        self.fifo_mark_only(number, port)
    }

    /// Takes the lock or the two locks that an event needs, and raises it.
    fn raise(&self, event: &Event<'_, P>) -> Attempt {
        let new = event.notify.vcpu();
        let Some(new_slot) = self.vcpu(new) else {
            return Attempt::Done(Raised::NOTHING);
        };
        let old = event.last.vcpu;
        match self.vcpu(old).filter(|_| old != new) {
            None => event.raise(&mut new_slot.delivery.lock(), None),
            Some(old_slot) if old < new => {
                let mut from = old_slot.delivery.lock();
                let mut to = new_slot.delivery.lock_second(&from);
                event.raise(&mut to, Some(&mut from))
            }
            Some(old_slot) => {
                let mut to = new_slot.delivery.lock();
                let mut from = old_slot.delivery.lock_second(&to);
                event.raise(&mut to, Some(&mut from))
            }
        }
    }

    /// A port begins a new life: its first queue is the one it notifies, and the last one of its old life lets it go. The
    /// port is not bound yet.
    pub(crate) fn start_queue(&self, number: Number, port: &Port<P>, notify: Notify) {
        let last = port.last_queue();
        if let Some(slot) = self.vcpu(last.vcpu)
            && let Some(queues) = &mut slot.delivery.lock().queues
        {
            queues.forget_tail(last.priority, number);
        }
        port.set_last_queue(LastQueue { vcpu: notify.vcpu(), priority: notify.priority() });
    }

    /// Last resort for a port that two vCPUs keep moving: pending, but in no queue.
    #[cold]
    fn fifo_mark_only(self: &Arc<Self>, number: Number, port: &Port<P>) -> Wake<P> {
        self.lost.fetch_add(1, Relaxed);
        let newly = self.with_word(number, port, |word| word.fetch_or(PENDING, SeqCst) & PENDING == 0);
        let raised = Raised { newly: newly == Some(true), upcall: false };
        self.vcpu(port.notify().vcpu()).map_or(Wake::nobody(), |slot| self.wake_for(slot, raised, number))
    }

    /// Applies `act` to a port's event word, if its page exists.
    fn with_word<R>(&self, number: Number, port: &Port<P>, act: impl FnOnce(&AtomicU32) -> R) -> Option<R> {
        let delivery = self.vcpu(port.notify().vcpu())?.delivery.lock();
        delivery.queues.as_ref()?.array.word(number).map(act)
    }

    pub(crate) fn fifo_unmask(self: &Arc<Self>, number: Number, port: &Port<P>) -> Wake<P> {
        match self.with_word(number, port, |word| word.fetch_and(!MASKED, SeqCst)) {
            Some(before) if before & PENDING != 0 => self.fifo_set_pending(number, port),
            _ => Wake::nobody(),
        }
    }

    pub(crate) fn fifo_is_pending(&self, number: Number, port: &Port<P>) -> bool {
        self.with_word(number, port, |word| word.load(SeqCst) & PENDING != 0) == Some(true)
    }

    pub(crate) fn fifo_is_masked(&self, number: Number, port: &Port<P>) -> bool {
        self.with_word(number, port, |word| word.load(SeqCst) & MASKED != 0) == Some(true)
    }
}

impl<P: Platform> Event<'_, P> {
    /// With the locks of the new queue and, if it is another vCPU's, of the old one.
    fn raise(&self, to: &mut Delivery<P>, from: Option<&mut Delivery<P>>) -> Attempt {
        if self.port.last_queue() != self.last {
            return Attempt::Moved;
        }
        let Some(queues) = &mut to.queues else {
            return Attempt::Done(Raised::NOTHING);
        };
        let Some(word) = queues.array.word(self.number) else {
            return Attempt::Done(Raised { newly: self.port.set_waiting(), upcall: false });
        };
        let before = word.fetch_or(PENDING, SeqCst);
        let done = Raised { newly: before & PENDING == 0, upcall: false };
        // Without a control block the event goes nowhere: the guest was not to unmask it yet.
        if before & (MASKED | LINKED) != 0 || queues.control.is_none() || word.fetch_or(LINKED, SeqCst) & LINKED != 0 {
            return Attempt::Done(done);
        }
        let priority = self.notify.priority();
        let old = match from {
            Some(from) => from.queues.as_mut(),
            None => Some(&mut *queues),
        };
        if let Some(old) = old {
            old.forget_tail(self.last.priority, self.number);
        }
        let queue = LastQueue { vcpu: self.notify.vcpu(), priority };
        if self.last != queue {
            self.port.set_last_queue(queue);
        }
        match queues.append(priority, self.number) {
            Some(tell) => Attempt::Done(Raised { upcall: tell && to.mark_pending(), ..done }),
            None => Attempt::Lost(done),
        }
    }
}
