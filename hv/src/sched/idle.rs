//! A CPU with nothing to run.
//!
//! The last vCPU stays resident, so that waking it costs no switch; [`super::evict`] sends it away when its state is
//! wanted elsewhere.

use core::sync::atomic::Ordering::{Acquire, Release};

use crate::{arch::control, cpu, entry::stubs};

/// Halts until an interrupt, unless work waits already.
pub fn wait() {
    let this = cpu::this();
    crate::sync::assert_no_locks();
    this.idle.store(true, Release);
    if this.work.load(Acquire) == 0 {
        control::wait_for_interrupt();
    }
    this.idle.store(false, Release);
}

/// Where a CPU goes when it has come into service.
pub fn enter() -> ! {
    stubs::leave()
}
