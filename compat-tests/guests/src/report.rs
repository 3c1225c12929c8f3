//! The report protocol that the runner reads from the serial log.
//!
//! * `VALUE key=0x1f` — an observation; the runner compares it with what Xen gave for the same key.
//! * `TEST name: PASS|FAIL detail` — a property the guest can judge by itself.
//! * `VERDICT SUCCESS|FAILURE` — the last line; success when no test failed.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::hypercall;
use crate::say;

static PASSED: AtomicU32 = AtomicU32::new(0);
static FAILED: AtomicU32 = AtomicU32::new(0);

/// An observation with a fixed key.
pub fn value(key: &str, value: u64) {
    say!("VALUE {key}={value:#x}");
}

/// An observation whose key is put together.
pub fn value_at(key: fmt::Arguments<'_>, value: u64) {
    say!("VALUE {key}={value:#x}");
}

/// The result of a call as a signed number (0 or a negated errno, mostly).
pub fn result(key: fmt::Arguments<'_>, result: i64) {
    if result < 0 && result > -4096 {
        say!("VALUE {key}=-{}", -result);
    } else {
        say!("VALUE {key}={result:#x}");
    }
}

/// A judged property.
pub fn check(name: &str, holds: Holds, detail: fmt::Arguments<'_>) {
    let (counter, word) = match holds {
        Holds::Yes => (&PASSED, "PASS"),
        Holds::No => (&FAILED, "FAIL"),
    };
    counter.fetch_add(1, Ordering::Relaxed);
    say!("TEST {name}: {word} {detail}");
}

/// Whether a property was seen to hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// It held.
    Yes,
    /// It did not.
    No,
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Holds::Yes } else { Holds::No }
    }
}

/// A call's result that must be exactly this.
pub fn expect(name: &str, got: i64, wanted: i64) {
    check(name, (got == wanted).into(), format_args!("got {got} wanted {wanted}"));
}

/// Prints the verdict and ends the machine.
pub fn finish() -> ! {
    let failed = FAILED.load(Ordering::Relaxed);
    say!("SUMMARY {} passed, {failed} failed", PASSED.load(Ordering::Relaxed));
    say!("VERDICT {}", if failed == 0 { "SUCCESS" } else { "FAILURE" });
    hypercall::shutdown(1)
}

/// Prints why the guest cannot go on, a failing verdict, and ends the machine.
pub fn give_up(why: fmt::Arguments<'_>) -> ! {
    say!("TEST guest: FAIL {why}");
    say!("VERDICT FAILURE");
    hypercall::shutdown(1)
}
