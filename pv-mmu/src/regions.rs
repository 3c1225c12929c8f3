//! Where in the machine's memory a domain ever had frames, so that its teardown looks only there.
//!
//! One bit stands for a region: 16 MiB, or more where 1,024 of those do not cover the machine. A bit is set before the first
//! frame of its region gets the domain as owner and stays set, so a set may name too much but never too little. No lock.

use core::ops::Range;

use abi::Mfn;

use crate::sync::{AtomicU64, Relaxed};

const WORDS: usize = 16;
/// Bits of a set.
const REGIONS: u64 = WORDS as u64 * 64;
/// The smallest region: 2^12 frames.
const SMALLEST_SHIFT: u32 = 12;

/// Regions of the machine's memory. All methods want the same `limit`: one past its highest frame.
pub struct Regions {
    words: [AtomicU64; WORDS],
}

impl Default for Regions {
    fn default() -> Self {
        Self::new()
    }
}

/// Frames in a region, as a power of two.
fn shift(limit: Mfn) -> u32 {
    let per_region = limit.0.div_ceil(REGIONS).max(1);
    per_region.next_power_of_two().ilog2().max(SMALLEST_SHIFT)
}

impl Regions {
    /// No region.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self { words: [const { AtomicU64::new(0) }; WORDS] }
    }

    /// No region.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self { words: core::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Notes that `count` frames from `first` on may become the domain's.
    pub fn note(&self, limit: Mfn, first: Mfn, count: u64) {
        let shift = shift(limit);
        let Some(last) = first.0.checked_add(count).and_then(|end| end.checked_sub(1)) else { return };
        for region in first.0 >> shift..=(last >> shift).min(REGIONS - 1) {
            let Some(word) = self.words.get((region / 64) as usize) else { return };
            let bit = 1 << (region % 64);
            // Most frames come from regions that are known.
            if word.load(Relaxed) & bit == 0 {
                word.fetch_or(bit, Relaxed);
            }
        }
    }

    /// The first frames at or after `from` that may be the domain's: up to the end of their region or of memory.
    pub fn next(&self, limit: Mfn, from: Mfn) -> Option<Range<u64>> {
        let shift = shift(limit);
        let first = from.0 >> shift;
        let region = (first..REGIONS).find(|region| self.has(*region))?;
        let start = from.0.max(region << shift);
        let end = ((region + 1) << shift).min(limit.0);
        (start < end).then_some(start..end)
    }

    fn has(&self, region: u64) -> bool {
        let word = self.words.get((region / 64) as usize).map_or(0, |word| word.load(Relaxed));
        word >> (region % 64) & 1 != 0
    }
}
