//! Event channels: sending, 2-level words first, then FIFO queues; making and closing ports.

use super::entries;
use super::upcalls::{watch, with_upcalls};
use compat_guests::buffer::Buffer;
use compat_guests::cost::row;
use compat_guests::events::{self, operation};
use compat_guests::memory;
use compat_guests::number::{self, event};
use core::sync::atomic::{AtomicU32, Ordering};

/// The mask bit of a FIFO event's word.
const FIFO_MASKED: u32 = 1 << 30;

/// All rows of this family.
pub fn measure() {
    two_level();
    row("evtchn alloc_unbound + close", |_| allocate_and_close());
    row("evtchn bind_ipi + close", |_| {
        if let Ok(port) = events::bind_ipi(0) {
            events::on_port(event::CLOSE, port);
        }
    });
    fifo();
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

fn fifo() {
    let (block, array) = (memory::page(), memory::page());
    let mut control = Buffer::<24>::new().u64(0, memory::mfn_of(block));
    let mut expand = Buffer::<8>::new().u64(0, memory::mfn_of(array));
    if operation(event::INIT_CONTROL, &mut control) != 0 || operation(event::EXPAND_ARRAY, &mut expand) != 0 {
        return;
    }
    let Ok(port) = events::bind_ipi(0) else { return };
    let address = array + u64::from(port) * 4;
    // SAFETY: the event's word in our own page, which the hypervisor changes atomically.
    let word = unsafe { &*(address as *const AtomicU32) };
    word.store(FIFO_MASKED, Ordering::SeqCst);
    events::on_port(event::SEND, port);
    row("FIFO: evtchn send, masked and pending", |_| _ = events::on_port(event::SEND, port));
    row("FIFO: evtchn send, masked", |_| {
        word.store(FIFO_MASKED, Ordering::SeqCst);
        events::on_port(event::SEND, port);
    });
    word.store(0, Ordering::SeqCst);
    entries::WORD[0].store(address, Ordering::Relaxed);
    entries::WORD[1].store(block, Ordering::Relaxed);
    with_upcalls(&entries::entry_fifo, || {
        row("FIFO: evtchn send to self, upcall and iret", |_| _ = events::on_port(event::SEND, port));
    });
    events::on_port(event::CLOSE, port);
    row("FIFO: evtchn alloc_unbound + close", |_| allocate_and_close());
}
