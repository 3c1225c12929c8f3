//! The `log` crate's backend: `(XEN) ` before each line, Xen's thresholds.
//!
//! Levels map as Xen's do: error, warning, info, debug. Guest-triggered lines pass through [`guest`], which drops what
//! exceeds a budget per second, so that no guest can keep the console busy.

use core::fmt::Write;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use log::{LevelFilter, Log, Metadata, Record};

use super::output;

struct XenLog;

static LOG: XenLog = XenLog;

impl Log for XenLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            // Writing to our devices cannot fail.
            output::with(|console| {
                let _ = writeln!(console, "(XEN) {}", record.args());
            });
        }
    }

    fn flush(&self) {}
}

/// Installs the backend; call once, first thing.
pub fn install() {
    // A second call would be refused, and there is none.
    let _ = log::set_logger(&LOG);
    log::set_max_level(LevelFilter::Info);
}

/// Lines a second that guests can cause.
const GUEST_LINES_PER_SECOND: u32 = 10;
static GUEST_SECOND: AtomicU64 = AtomicU64::new(0);
static GUEST_LINES: AtomicU32 = AtomicU32::new(0);
static GUEST_THRESHOLD: AtomicU32 = AtomicU32::new(LevelFilter::Warn as u32);

/// Sets which guest-triggered lines are printed.
pub fn set_guest_threshold(filter: LevelFilter) {
    GUEST_THRESHOLD.store(filter as u32, Relaxed);
}

/// Whether a guest-triggered line of `level` may be printed now. `now_ns` is system time.
pub fn guest_may_log(level: log::Level, now_ns: u64) -> bool {
    if level as u32 > GUEST_THRESHOLD.load(Relaxed) {
        return false;
    }
    let second = now_ns / 1_000_000_000;
    if GUEST_SECOND.swap(second, Relaxed) != second {
        GUEST_LINES.store(0, Relaxed);
    }
    GUEST_LINES.fetch_add(1, Relaxed) < GUEST_LINES_PER_SECOND
}
