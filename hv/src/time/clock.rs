//! System time in nanoseconds since boot, from the TSC.
//!
//! Scale: `ns = (ticks << shift) * multiplier >> 32`, as in Xen's `vcpu_time_info`, so that guests compute the same from
//! the same numbers. Set once, at calibration, before other CPUs start.

use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::arch::control;

static EPOCH: AtomicU64 = AtomicU64::new(0);
static FREQUENCY_KHZ: AtomicU64 = AtomicU64::new(0);
static MULTIPLIER: AtomicU32 = AtomicU32::new(0);
static SHIFT: AtomicI32 = AtomicI32::new(0);

/// The scale that guests are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scale {
    /// 32-bit fraction.
    pub multiplier: u32,
    /// Power of two applied before the multiplication.
    pub shift: i8,
}

/// Fixes frequency and epoch.
pub fn set(frequency_hz: u64, epoch: u64) {
    let scale = scale_of(frequency_hz);
    MULTIPLIER.store(scale.multiplier, Relaxed);
    SHIFT.store(i32::from(scale.shift), Relaxed);
    FREQUENCY_KHZ.store(frequency_hz / 1000, Relaxed);
    EPOCH.store(epoch, Relaxed);
}

/// The scale of a counter: its multiplier lies in the upper half of its range.
pub fn scale_of(frequency_hz: u64) -> Scale {
    let mut frequency = frequency_hz;
    let mut shift = 0_i8;
    while frequency > 2_000_000_000 {
        frequency >>= 1;
        shift -= 1;
    }
    while frequency <= 1_000_000_000 {
        frequency <<= 1;
        shift += 1;
    }
    let multiplier = ((1_000_000_000_u128 << 32) / u128::from(frequency)) as u32;
    Scale { multiplier, shift }
}

/// The scale in force.
pub fn scale() -> Scale {
    Scale { multiplier: MULTIPLIER.load(Relaxed), shift: SHIFT.load(Relaxed) as i8 }
}

/// TSC frequency in kHz; 0 before calibration.
pub fn frequency_khz() -> u64 {
    FREQUENCY_KHZ.load(Relaxed)
}

/// Nanoseconds of a number of TSC ticks.
#[inline]
pub fn to_nanoseconds(ticks: u64) -> u64 {
    let shift = SHIFT.load(Relaxed);
    let scaled = if shift >= 0 { ticks << shift } else { ticks >> -shift };
    ((u128::from(scaled) * u128::from(MULTIPLIER.load(Relaxed))) >> 32) as u64
}

/// Nanoseconds since boot; 0 before calibration.
#[inline]
pub fn now() -> u64 {
    to_nanoseconds(control::read_tsc().wrapping_sub(EPOCH.load(Relaxed)))
}

/// System time at a TSC reading.
#[inline]
pub fn at(tsc: u64) -> u64 {
    to_nanoseconds(tsc.wrapping_sub(EPOCH.load(Relaxed)))
}

/// `vcpu_time_info.flags` bit 0 when guests may read the clock from any CPU without going backwards.
pub const fn stable_flag() -> u64 {
    1
}
