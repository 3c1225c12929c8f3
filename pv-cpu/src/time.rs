//! The guest's clock: scaling TSC ticks to nanoseconds, and publishing clock and runstate to memory that guests read
//! without locks.
//!
//! A reader takes version before and after and tries again if it is odd or changed; a runstate reader does the same with
//! bit 63 of the entry time. The destination is guest memory: plain atomics, never read back to decide.
//! Source: Xen public headers `xen.h` (`vcpu_time_info`), `vcpu.h` (`vcpu_runstate_info`).

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use abi::shared_info::VcpuTimeInfo;
use abi::vcpu::{RUNSTATE_UPDATE, RunstateInfo};

/// Nanoseconds a second.
pub const NANOSECONDS: u64 = 1_000_000_000;

/// Ticks to nanoseconds: shift, then multiply by a fraction of 2^32.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimeScale {
    /// The fraction.
    pub multiplier: u32,
    /// Left shift of the ticks; negative shifts right.
    pub shift: i8,
}

impl TimeScale {
    /// The scale for a counter of `hertz` ticks a second, with as many bits of precision as fit. A counter of 0 Hz yields
    /// a scale that stands still.
    pub const fn from_frequency(hertz: u64) -> Self {
        if hertz == 0 {
            return TimeScale { multiplier: 0, shift: 0 };
        }
        let mut frequency = hertz;
        let mut shift = 0;
        while frequency > NANOSECONDS * 2 {
            frequency >>= 1;
            shift -= 1;
        }
        let mut frequency = frequency as u32;
        while frequency <= NANOSECONDS as u32 {
            frequency <<= 1;
            shift += 1;
        }
        // The frequency is above 10^9 now, so the quotient is below 2^32.
        TimeScale { multiplier: ((NANOSECONDS << 32) / frequency as u64) as u32, shift }
    }

    /// Nanoseconds that `ticks` take.
    #[inline(always)]
    pub const fn nanoseconds(self, ticks: u64) -> u64 {
        let shifted = if self.shift < 0 { ticks >> -self.shift } else { ticks << self.shift };
        ((shifted as u128 * self.multiplier as u128) >> 32) as u64
    }

    /// Ticks that `nanoseconds` take, rounded down; for programming timers.
    pub const fn ticks(self, nanoseconds: u64) -> u64 {
        if self.multiplier == 0 {
            return 0;
        }
        let shifted = ((nanoseconds as u128) << 32) / self.multiplier as u128;
        let shifted = if shifted > u64::MAX as u128 { u64::MAX } else { shifted as u64 };
        if self.shift < 0 { shifted.saturating_mul(1 << -self.shift) } else { shifted >> self.shift }
    }
}

/// The words of a `vcpu_time_info` in guest memory.
#[derive(Clone, Copy, Debug)]
pub struct TimeArea<'a> {
    words: &'a [AtomicU64; 4],
}

impl<'a> TimeArea<'a> {
    /// The area over four aligned words: version and padding, TSC, system time, scale and flags.
    pub const fn new(words: &'a [AtomicU64; 4]) -> Self {
        Self { words }
    }

    /// Publishes `time`; its own version field is ignored. Argument `version`: the version published last (even), kept by
    /// the caller. Returns the new one.
    #[inline]
    pub fn publish(&self, time: &VcpuTimeInfo, version: u32) -> u32 {
        let [head, tsc, system_time, scale] = self.words;
        let updating = version | 1;
        head.store(u64::from(updating), Ordering::Relaxed);
        fence(Ordering::Release);
        tsc.store(time.tsc_timestamp, Ordering::Relaxed);
        system_time.store(time.system_time, Ordering::Relaxed);
        let packed =
            u64::from(time.tsc_to_system_mul) | u64::from(time.tsc_shift as u8) << 32 | u64::from(time.flags.0) << 40;
        scale.store(packed, Ordering::Relaxed);
        let done = updating.wrapping_add(1);
        head.store(u64::from(done), Ordering::Release);
        done
    }
}

/// Publishes the wall clock of the shared page: the Unix time at system time 0. Arguments: its words in the order version,
/// low half of the seconds, nanoseconds, high half; the seconds; the nanoseconds (below 10^9); the version published last
/// (even). Returns the new version.
pub fn publish_wallclock(words: [&AtomicU32; 4], seconds: u64, nanoseconds: u32, version: u32) -> u32 {
    let [head, low, fraction, high] = words;
    let updating = version | 1;
    head.store(updating, Ordering::Relaxed);
    fence(Ordering::Release);
    low.store(seconds as u32, Ordering::Relaxed);
    high.store((seconds >> 32) as u32, Ordering::Relaxed);
    fraction.store(nanoseconds, Ordering::Relaxed);
    let done = updating.wrapping_add(1);
    head.store(done, Ordering::Release);
    done
}

/// Whether the domain asked for the update mark (vm_assist runstate_update_flag).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpdateMark {
    /// Plain stores.
    Absent,
    /// Bit 63 of the entry time is set while the area changes.
    Used,
}

/// Publishes a runstate to the six words of a guest's area: state, entry time, four sums.
#[inline]
pub fn publish_runstate(area: &[AtomicU64; 6], runstate: &RunstateInfo, mark: UpdateMark) {
    let [state, entry, times @ ..] = area;
    if mark == UpdateMark::Used {
        entry.store(runstate.state_entry_time | RUNSTATE_UPDATE, Ordering::Relaxed);
        fence(Ordering::Release);
    }
    state.store(u64::from(runstate.state.0), Ordering::Relaxed);
    for (to, from) in times.iter().zip(runstate.time) {
        to.store(from, Ordering::Relaxed);
    }
    entry.store(runstate.state_entry_time & !RUNSTATE_UPDATE, Ordering::Release);
}
