//! Event channels: sending, 2-level words first, then FIFO queues; making and closing ports.

use super::upcalls::{watch, with_upcalls};
use super::{entries, switches};
use compat_guests::buffer::Buffer;
use compat_guests::cost::row;
use compat_guests::events::{self, operation};
use compat_guests::memory;
use compat_guests::number::{self, event};
use core::sync::atomic::{AtomicU32, Ordering};

/// The mask bit of a FIFO event's word.
const FIFO_MASKED: u32 = 1 << 30;

/// FIFO queues in use.
pub struct Queues {
    /// Where the events' words are.
    array: u64,
}

/// All rows of this family that one vCPU has; afterwards it has FIFO queues.
pub fn measure() -> Option<Queues> {
    two_level();
    row("evtchn alloc_unbound + close", |_| allocate_and_close());
    row("evtchn bind_ipi + close", |_| {
        if let Ok(port) = events::bind_ipi(0) {
            events::on_port(event::CLOSE, port);
        }
    });
    fifo()
}

fn allocate_and_close() {
    if let Ok(port) = events::alloc_unbound(number::DOMID_SELF as u16) {
        events::on_port(event::CLOSE, port);
    }
}

fn two_level() {
    let Ok(port) = events::bind_ipi(0) else { return };
    events::mask(port);
    events::on_port(event::SEND, port);
    row("evtchn send, masked and pending", |_| _ = events::on_port(event::SEND, port));
    row("evtchn send, masked", |_| {
        events::clear_pending(port);
        events::on_port(event::SEND, port);
    });
    events::clear_pending(port);
    events::unmask_by_hand(port);
    row("evtchn unmask, not pending", |_| {
        events::mask(port);
        events::on_port(event::UNMASK, port);
    });
    events::drain(0);
    watch(0, port);
    with_upcalls(&entries::entry_upcall, || {
        row("evtchn send to self, upcall and iret", |_| _ = events::on_port(event::SEND, port));
    });
    events::on_port(event::CLOSE, port);
}

fn fifo() -> Option<Queues> {
    let array = memory::page();
    let mut expand = Buffer::<8>::new().u64(0, memory::mfn_of(array));
    if !queues_of(0) || operation(event::EXPAND_ARRAY, &mut expand) != 0 {
        return None;
    }
    let port = events::bind_ipi(0).ok()?;
    let word = fifo_word(array, 0, port);
    word.store(FIFO_MASKED, Ordering::SeqCst);
    events::on_port(event::SEND, port);
    row("FIFO: evtchn send, masked and pending", |_| _ = events::on_port(event::SEND, port));
    row("FIFO: evtchn send, masked", |_| {
        word.store(FIFO_MASKED, Ordering::SeqCst);
        events::on_port(event::SEND, port);
    });
    word.store(0, Ordering::SeqCst);
    with_upcalls(&entries::entry_fifo, || {
        row("FIFO: evtchn send to self, upcall and iret", |_| _ = events::on_port(event::SEND, port));
    });
    events::on_port(event::CLOSE, port);
    row("FIFO: evtchn alloc_unbound + close", |_| allocate_and_close());
    Some(Queues { array })
}

impl Queues {
    /// The row that needs a vCPU 1, which has to be down.
    pub fn measure_between_two(&self) {
        if queues_of(1) {
            switches::measure_queues("FIFO: two vCPUs, one CPU: event there and back, both blocking", |vcpu, port| {
                fifo_word(self.array, vcpu, port).store(0, Ordering::SeqCst);
            });
        }
    }
}

/// Gives a vCPU FIFO queues.
fn queues_of(vcpu: u32) -> bool {
    let block = memory::page();
    entries::READY[vcpu as usize].store(block, Ordering::Relaxed);
    let mut control = Buffer::<24>::new().u64(0, memory::mfn_of(block)).u32(12, vcpu);
    operation(event::INIT_CONTROL, &mut control) == 0
}

/// The word of a port, which the handlers of a vCPU take from now on.
fn fifo_word(array: u64, vcpu: usize, port: u32) -> &'static AtomicU32 {
    let address = array + u64::from(port) * 4;
    entries::WORD[vcpu].store(address, Ordering::Relaxed);
    // SAFETY: the event's word in our own page, which the hypervisor changes atomically.
    unsafe { &*(address as *const AtomicU32) }
}
