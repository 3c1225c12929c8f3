//! Telling the toolstack's domain of the console: that there is input, that the ring has grown.

use core::sync::atomic::{
    AtomicBool,
    Ordering::{AcqRel, Relaxed},
};

use abi::Virq;

use crate::{
    cpu::{self, Work},
    domain::virqs,
};

/// Whether there are guests to be told.
static LISTENED_TO: AtomicBool = AtomicBool::new(false);
/// Whether something was printed that nobody was told of.
static RING_HAS_GROWN: AtomicBool = AtomicBool::new(false);

/// Raises the console's VIRQ.
pub fn notify() {
    virqs::raise(Virq::CONSOLE);
}

/// From now on somebody may listen. Context: boot, this CPU's record is in place.
pub fn listen() {
    LISTENED_TO.store(true, Relaxed);
}

/// Something was printed. Locks may be held, so the event follows at this CPU's next pass through the gate.
pub fn ring_has_grown() {
    if LISTENED_TO.load(Relaxed) && !RING_HAS_GROWN.swap(true, AcqRel) {
        cpu::this().raise(Work::CONSOLE);
    }
}

/// Raises the ring's VIRQ if something was printed. Context: the gate or the idle loop, no lock held.
pub fn tell_of_ring() {
    if RING_HAS_GROWN.swap(false, AcqRel) {
        virqs::raise(Virq::CON_RING);
    }
}
