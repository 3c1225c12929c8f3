//! When a long call must stop: this CPU has work, or an interrupt waits.

use core::sync::atomic::Ordering::Relaxed;

use crate::{arch::control, cpu};

/// Takes waiting interrupts, then tells whether this CPU has something else to do. Holds no lock (checked in debug
/// builds): interrupt handlers take some.
#[inline]
pub fn is_spent() -> bool {
    crate::sync::assert_no_locks();
    control::interrupt_window();
    cpu::this().work.load(Relaxed) != 0
}
