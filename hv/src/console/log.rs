//! The `log` crate's backend: `(XEN) ` before each line, Xen's thresholds.
//!
//! `console_timestamps` adds the time behind the prefix. Levels map as Xen's do: error, warning, info, debug. Guest-triggered lines pass through [`guest`], which drops what
//! exceeds a budget per second, so that no guest can keep the console busy.

use core::fmt::{Display, Formatter, Write};
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use boot_options::{LogLevel, LogThresholds, Timestamps};
use log::{LevelFilter, Log, Metadata, Record};

use super::output;
use crate::{
    arch::control,
    time::{
        clock,
        wallclock::{self, Date},
    },
};

struct XenLog;

static LOG: XenLog = XenLog;

impl Log for XenLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            // Writing to our devices cannot fail.
            let stamp = Stamp::now();
            output::with(|console| {
                let _ = writeln!(console, "(XEN) {stamp}{}", record.args());
            });
            super::guest::ring_has_grown();
        }
    }

    fn flush(&self) {}
}

static TIMESTAMPS: AtomicU8 = AtomicU8::new(Timestamps::None as u8);

/// Sets what stands in front of every line.
pub fn set_timestamps(kind: Timestamps) {
    TIMESTAMPS.store(kind as u8, Relaxed);
}

/// The time in front of a line, as `console_timestamps` wants it.
enum Stamp {
    None,
    Date(Date, Option<u32>),
    Boot(u64),
    Raw(u64),
}

impl Stamp {
    /// Before the time of day is known, dates are replaced by the time since boot.
    fn now() -> Self {
        let kind = TIMESTAMPS.load(Relaxed);
        let date = || (wallclock::now(), clock::now());
        if kind == Timestamps::Raw as u8 {
            Stamp::Raw(control::read_tsc())
        } else if kind == Timestamps::Boot as u8 {
            Stamp::Boot(clock::now())
        } else if kind == Timestamps::Date as u8 {
            let (now, since_boot) = date();
            now.map_or(Stamp::Boot(since_boot), |(date, _)| Stamp::Date(date, None))
        } else if kind == Timestamps::DateMilliseconds as u8 {
            let (now, since_boot) = date();
            now.map_or(Stamp::Boot(since_boot), |(date, nanoseconds)| Stamp::Date(date, Some(nanoseconds / 1_000_000)))
        } else {
            Stamp::None
        }
    }
}

impl Display for Stamp {
    fn fmt(&self, out: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Stamp::None => Ok(()),
            Stamp::Date(date, None) => write!(out, "[{date}] "),
            Stamp::Date(date, Some(milliseconds)) => write!(out, "[{date}.{milliseconds:03}] "),
            Stamp::Boot(now) => write!(out, "[{:5}.{:06}] ", now / 1_000_000_000, now / 1_000 % 1_000_000),
            Stamp::Raw(ticks) => write!(out, "[{ticks:016x}] "),
        }
    }
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

/// Whose lines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The hypervisor's own.
    Hypervisor,
    /// Those that guests cause.
    Guest,
}

/// What was asked for, for each source: `always` below, `limited` above.
static ASKED: [AtomicU32; 2] =
    [AtomicU32::new(packed(LogThresholds::HYPERVISOR)), AtomicU32::new(packed(LogThresholds::GUEST))];

const LEVELS: [LogLevel; 5] = [LogLevel::None, LogLevel::Error, LogLevel::Warning, LogLevel::Info, LogLevel::Debug];

const fn packed(thresholds: LogThresholds) -> u32 {
    thresholds.always as u32 | (thresholds.limited as u32) << 8
}

fn asked(source: Source) -> &'static AtomicU32 {
    let [hypervisor, guest] = &ASKED;
    if source == Source::Hypervisor { hypervisor } else { guest }
}

/// What is printed of a source, as it was asked for.
pub fn thresholds(source: Source) -> LogThresholds {
    let word = asked(source).load(Relaxed);
    let level = |number: u32| LEVELS.get(number as usize & 0xFF).copied().unwrap_or(LogLevel::None);
    LogThresholds { always: level(word), limited: level(word >> 8) }
}

/// Sets what is printed of a source.
///
/// Xen prints what has no level of its own, which is most of its boot messages, at its default threshold "warning". Here
/// these messages are information, so that threshold lets information through. Every message that a guest causes is
/// limited in rate, so the higher of the two thresholds counts.
pub fn set_thresholds(source: Source, thresholds: LogThresholds) {
    asked(source).store(packed(thresholds), Relaxed);
    match (source, thresholds.limited) {
        (Source::Hypervisor, LogLevel::None) => log::set_max_level(LevelFilter::Off),
        (Source::Hypervisor, LogLevel::Error) => log::set_max_level(LevelFilter::Error),
        (Source::Hypervisor, LogLevel::Warning | LogLevel::Info) => log::set_max_level(LevelFilter::Info),
        (Source::Hypervisor, LogLevel::Debug) => log::set_max_level(LevelFilter::Debug),
        (Source::Guest, LogLevel::None) => GUEST_THRESHOLD.store(LevelFilter::Off as u32, Relaxed),
        (Source::Guest, LogLevel::Error) => GUEST_THRESHOLD.store(LevelFilter::Error as u32, Relaxed),
        (Source::Guest, LogLevel::Warning) => GUEST_THRESHOLD.store(LevelFilter::Warn as u32, Relaxed),
        (Source::Guest, LogLevel::Info) => GUEST_THRESHOLD.store(LevelFilter::Info as u32, Relaxed),
        (Source::Guest, LogLevel::Debug) => GUEST_THRESHOLD.store(LevelFilter::Debug as u32, Relaxed),
    }
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
