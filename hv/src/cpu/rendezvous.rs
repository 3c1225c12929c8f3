//! All CPUs do one thing at the same moment: none is in a guest, and none does anything else.
//!
//! The CPU that asks waits until every other one in service has come to its gate or idle loop; each waits there for the
//! rest, does its part, and goes on when all have. Who waits answers flush requests, so nobody waits for somebody who
//! waits here. One rendezvous at a time. Context: no lock held, interrupts off.

use core::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{AcqRel, Acquire, Release},
};

use spin::Once;

use super::Work;
use crate::{interrupt::flush, sched::wake};

/// What every CPU does. Fixed: the only use there is yet.
static PART: Once<fn()> = Once::new();
static BUSY: AtomicBool = AtomicBool::new(false);
/// Counts the meetings that are over.
static ROUND: AtomicUsize = AtomicUsize::new(0);
/// CPUs that are expected, have come, and are done.
static EXPECTED: AtomicUsize = AtomicUsize::new(0);
static COME: AtomicUsize = AtomicUsize::new(0);
static DONE: AtomicUsize = AtomicUsize::new(0);

fn wait_until(is_reached: impl Fn() -> bool) {
    while !is_reached() {
        flush::answer();
        core::hint::spin_loop();
    }
}

/// Has every CPU in service run `part`, this one too, after the rendezvous that another CPU may be holding.
pub fn hold(part: fn()) {
    while BUSY.swap(true, AcqRel) {
        // The other one waits for this CPU, which will not come to its gate before.
        if super::this().work.fetch_and(!Work::RENDEZVOUS.0, AcqRel) & Work::RENDEZVOUS.0 != 0 {
            take_part();
        }
        flush::answer();
        core::hint::spin_loop();
    }
    PART.call_once(|| part);
    let others = super::all().filter(|cpu| cpu.is_online() && cpu.index != super::this().index);
    COME.store(0, Release);
    DONE.store(0, Release);
    // This CPU, and one for each that is asked: known before the first can come.
    let mut expected = 1;
    EXPECTED.store(usize::MAX, Release);
    for cpu in others {
        expected += 1;
        wake::interrupt(cpu, Work::RENDEZVOUS);
    }
    EXPECTED.store(expected, Release);
    meet();
    wait_until(|| DONE.load(Acquire) == expected);
    ROUND.fetch_add(1, AcqRel);
    BUSY.store(false, Release);
}

/// Takes part in the rendezvous that another CPU holds.
pub fn take_part() {
    // It cannot change before this CPU is done.
    let round = ROUND.load(Acquire);
    meet();
    wait_until(|| ROUND.load(Acquire) != round);
}

fn meet() {
    COME.fetch_add(1, AcqRel);
    wait_until(|| COME.load(Acquire) == EXPECTED.load(Acquire));
    if let Some(part) = PART.get() {
        part();
    }
    DONE.fetch_add(1, AcqRel);
}
