//! Busy waiting, for devices that need a moment.

use super::clock;
use crate::arch::{control, port};
use x86_64::instructions::port::Port;

/// Waits at least that long. Before calibration each microsecond is one access to the POST port, which takes about that.
pub fn microseconds(count: u64) {
    if clock::frequency_khz() == 0 {
        for _ in 0..count {
            port::write_u8(Port::new(0x80), 0);
        }
        return;
    }
    let start = control::read_tsc();
    while clock::to_nanoseconds(control::read_tsc().wrapping_sub(start)) < count * 1000 {
        core::hint::spin_loop();
    }
}
