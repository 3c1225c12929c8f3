//! Where in the machine's memory a domain ever had frames, so that its teardown looks only there.
//!
//! One bit stands for a region: 1 MiB, or more where 1,024 of those do not cover the machine. A bit is set before the first
//! frame of its region gets the domain as owner and stays set, so a set may name too much but never too little. No lock.

use core::ops::Range;

use abi::Mfn;

use crate::sync::{AtomicU64, Relaxed};

const WORDS: usize = 16;
/// Bits of a set.
const REGIONS: u64 = WORDS as u64 * 64;
/// The smallest region: 2^8 frames.
const SMALLEST_SHIFT: u32 = 8;

/// Regions of the machine's memory.
pub struct Regions {
    /// One past the highest frame.
    limit: Mfn,
    /// Frames in a region, as a power of two.
    shift: u32,
    words: [AtomicU64; WORDS],
}

impl Regions {
    /// None, of memory that ends before `limit`.
    pub fn new(limit: Mfn) -> Self {
        let least = limit.0.div_ceil(REGIONS).max(1);
        let shift = least.next_power_of_two().ilog2().max(SMALLEST_SHIFT);
        Self { limit, shift, words: core::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Notes that `count` frames from `first` on may become the domain's.
    #[inline]
    pub fn note(&self, first: Mfn, count: u64) {
        let Some(last) = first.0.checked_add(count).and_then(|end| end.checked_sub(1)) else { return };
        for region in first.0 >> self.shift..=(last >> self.shift).min(REGIONS - 1) {
            let Some(word) = self.words.get((region / 64) as usize) else { return };
            let bit = 1 << (region % 64);
            // Most frames come from regions that are known.
            if word.load(Relaxed) & bit == 0 {
                word.fetch_or(bit, Relaxed);
            }
        }
    }

    /// The first frames at or after `from` that may be the domain's: up to the end of their region or of memory.
    pub fn next(&self, from: Mfn) -> Option<Range<u64>> {
        let region = self.first_noted(from.0 >> self.shift)?;
        let start = from.0.max(region << self.shift);
        let end = ((region + 1) << self.shift).min(self.limit.0);
        (start < end).then_some(start..end)
    }

    /// The first region at or after `from` that was noted.
    fn first_noted(&self, from: u64) -> Option<u64> {
        let first_word = from / 64;
        let (mut index, mut mask) = (first_word, u64::MAX << (from % 64));
        for word in self.words.iter().skip(usize::try_from(first_word).ok()?) {
            let noted = word.load(Relaxed) & mask;
            if noted != 0 {
                return Some(index * 64 + u64::from(noted.trailing_zeros()));
            }
            (index, mask) = (index + 1, u64::MAX);
        }
        None
    }
}
