//! The panic handler: last words of a broken invariant.
//!
//! While a domain is being served the panic unwinds to the boundary in `serve::boundary`, which crashes that domain only.
//! Anywhere else the machine prints where it was and stops.

#![expect(unsafe_code, reason = "CR0.TS must be clear before the unwinder saves SSE state")]

use alloc::boxed::Box;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::{arch::control, console::output};

/// What a contained panic carries to its boundary.
pub struct Contained;

static STOPPED: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    output::emergency(format_args!("(XEN) Panic: {}\n", info));
    // SAFETY: clears CR0.TS only, so that the unwinder's use of MXCSR does not fault.
    unsafe { control::write_cr0(control::read_cr0() & !8) };
    // Returns only when there is no boundary on the stack.
    let _ = unwinding::panic::begin_panic(Box::new(Contained));
    stop()
}

/// Whether the machine has stopped.
pub fn is_stopped() -> bool {
    STOPPED.load(Relaxed)
}

/// Stops the machine after a fatal error.
pub fn stop() -> ! {
    if !STOPPED.swap(true, Relaxed) {
        output::emergency(format_args!(
            "(XEN) ****************************************\n(XEN) The hypervisor has stopped.\n\
             (XEN) ****************************************\n"
        ));
    }
    crate::platform::power::end_after_crash()
}
