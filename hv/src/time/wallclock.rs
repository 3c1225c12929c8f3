//! The time of day: read from the real-time clock at boot, set by the control domain, shown in every shared page.
//!
//! Kept as the Unix time at which system time was 0, so that guests add system time to it. Guests read it by its version:
//! odd while it changes. Lock: [`Level::Timers`], around changes, so that every page ends with the last one. Sources: Xen
//! public header `xen.h` (wallclock), MC146818 data sheet (registers), ACPI 6.5 §5.2.9 (century).

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Relaxed, Release},
};

use locks::{Level, Lock};
use x86_64::instructions::port::Port;

use super::{clock, delay};
use crate::{
    arch::port,
    domain::{self, Domain},
    platform::firmware,
};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// Unix time: whole seconds, and nanoseconds of the next one.
#[derive(Clone, Copy)]
struct UnixTime {
    seconds: u64,
    nanoseconds: u32,
}

/// When system time was 0.
static BOOT: Lock<UnixTime> = Lock::new(Level::Timers, UnixTime { seconds: 0, nanoseconds: 0 });

/// The same in nanoseconds for whoever holds other locks; 0 while it is not known.
static BOOT_FOR_MESSAGES: AtomicU64 = AtomicU64::new(0);

/// Takes the time from the real-time clock. Context: boot, system time runs, firmware tables are read.
pub fn initialise() {
    match read_clock() {
        Some(seconds) => set(seconds, 0, clock::now()),
        None => log::warn!("The real-time clock does not answer; the time of day starts in 1970."),
    }
}

/// It was this late at `system_time`. All domains see it.
pub fn set(seconds: u64, nanoseconds: u32, system_time: u64) {
    let total = seconds.wrapping_mul(SECOND).wrapping_add(u64::from(nanoseconds)).wrapping_sub(system_time);
    let mut boot = BOOT.lock();
    *boot = UnixTime { seconds: total / SECOND, nanoseconds: (total % SECOND) as u32 };
    BOOT_FOR_MESSAGES.store(total, Relaxed);
    for domain in domain::all() {
        write(domain, *boot);
    }
}

/// A calendar date and the time of day, UTC.
#[derive(Clone, Copy)]
pub struct Date {
    /// Since 1970-01-01 00:00:00.
    seconds: u64,
}

impl core::fmt::Display for Date {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (days, rest) = (self.seconds / 86_400, self.seconds % 86_400);
        let (year, month, day) = date_of(days);
        write!(out, "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
    }
}

/// The date now and nanoseconds of the second; `None` before it is known. For messages: takes no lock.
pub fn now() -> Option<(Date, u32)> {
    let boot = BOOT_FOR_MESSAGES.load(Relaxed);
    let total = boot.wrapping_add(clock::now());
    (boot != 0).then_some((Date { seconds: total / SECOND }, (total % SECOND) as u32))
}

/// Shows the time in a domain's shared page: when it has been published, when its builder is done, with a new offset.
pub fn show(domain: &Domain) {
    let boot = BOOT.lock();
    write(domain, *boot);
}

fn write(domain: &Domain, boot: UnixTime) {
    let boot = UnixTime { seconds: boot.seconds.wrapping_add_signed(domain.time_offset.load(Relaxed)), ..boot };
    let [version, seconds, nanoseconds, seconds_high] = &domain.shared().wallclock;
    // The guest may write the version too and then only confuses itself.
    let changing = version.load(Relaxed).wrapping_add(1) | 1;
    version.swap(changing, AcqRel);
    seconds.store(boot.seconds as u32, Relaxed);
    nanoseconds.store(boot.nanoseconds, Relaxed);
    seconds_high.store((boot.seconds >> 32) as u32, Relaxed);
    version.store(changing.wrapping_add(1), Release);
}

const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;
const STATUS_A: u8 = 0x0A;
const STATUS_B: u8 = 0x0B;
/// Status A: the registers are about to change.
const UPDATING: u8 = 0x80;
/// Status B: hours count to 24.
const HOURS_24: u8 = 1 << 1;
/// Status B: numbers are binary, not decimal digits.
const BINARY: u8 = 1 << 2;
/// Hour register with hours that count to 12: afternoon.
const AFTERNOON: u8 = 0x80;

/// Registers of the clock as they stand.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Registers {
    second: u8,
    minute: u8,
    hour: u8,
    day: u8,
    month: u8,
    year: u8,
    century: Option<u8>,
}

fn register(index: u8) -> u8 {
    port::write_u8(Port::new(INDEX), index & 0x7F);
    port::read_u8(Port::new(DATA))
}

impl Registers {
    /// Reads them between two updates. `None` when the clock never stops updating.
    fn read(century: u8) -> Option<Self> {
        // An update takes 2 ms.
        const PATIENCE: u32 = 1_000;
        for _ in 0..PATIENCE {
            if register(STATUS_A) & UPDATING == 0 {
                return Some(Self {
                    second: register(0),
                    minute: register(2),
                    hour: register(4),
                    day: register(7),
                    month: register(8),
                    year: register(9),
                    century: (century != 0).then(|| register(century)),
                });
            }
            delay::microseconds(10);
        }
        None
    }
}

/// Unix time by the real-time clock, which is taken to run in UTC. `None` when it does not answer with a date.
fn read_clock() -> Option<u64> {
    const TRIES: u32 = 10;
    let century = firmware::get().and_then(|firmware| firmware.fadt).map_or(0, |fadt| fadt.century);
    let mut last = Registers::read(century)?;
    for _ in 0..TRIES {
        let next = Registers::read(century)?;
        if next == last {
            return to_unix(next, register(STATUS_B));
        }
        last = next;
    }
    None
}

fn to_unix(registers: Registers, format: u8) -> Option<u64> {
    let number = |value: u8| {
        let value = if format & BINARY != 0 { value } else { (value >> 4) * 10 + (value & 15) };
        u64::from(value)
    };
    let mut hour = number(registers.hour & !AFTERNOON);
    if format & HOURS_24 == 0 {
        hour = hour % 12 + if registers.hour & AFTERNOON != 0 { 12 } else { 0 };
    }
    let (minute, second) = (number(registers.minute), number(registers.second));
    let (month, day) = (number(registers.month), number(registers.day));
    let year = full_year(number(registers.year), registers.century.map(number));
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    is_date.then(|| ((days_before(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// The year; without a believable century it is between 1970 and 2069.
fn full_year(year: u64, century: Option<u64>) -> u64 {
    match century {
        Some(century) if (19..=21).contains(&century) && century * 100 + year >= 1970 => century * 100 + year,
        _ if year >= 70 => 1900 + year,
        _ => 2000 + year,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, not before it.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    // Years that begin in March put the leap day last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    const TO_1970: u64 = 719_468;
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - TO_1970
}

/// Year, month and day of a number of days since 1970-01-01; the inverse of [`days_before`].
fn date_of(days: u64) -> (u64, u64, u64) {
    let year = (1970..).find(|year| days < days_before(year + 1, 1, 1)).unwrap_or(1970);
    let month = (2..=12).take_while(|month| days >= days_before(year, *month, 1)).last().unwrap_or(1);
    (year, month, days - days_before(year, month, 1) + 1)
}
