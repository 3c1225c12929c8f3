//! A CPU with nothing to run.
//!
//! The last vCPU stays resident, so that waking it costs no switch; [`super::evict`] sends it away when its state is
//! wanted elsewhere.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::{arch::control, cpu, entry::stubs};

/// Halts until an interrupt, unless work waits already. A flush that another CPU asks for changes nothing about who could
/// run here: when it is answered, the CPU halts again.
pub fn wait() {
    let this = cpu::this();
    crate::sync::assert_no_locks();
    this.idle.store(true, Release);
    while this.work.load(Acquire) == 0 {
        let answered = this.flush_answers.load(Relaxed);
        control::wait_for_interrupt();
        if this.flush_answers.load(Relaxed) == answered {
            break;
        }
    }
    this.idle.store(false, Release);
}

/// Where a CPU goes when it has come into service.
pub fn enter() -> ! {
    stubs::leave()
}
