//! A set of small numbers as a tree of 64-bit words: insert, remove and "highest member below" in a few steps.
//!
//! Level 0 has one bit a number; each higher level has one bit for each non-zero word below it.

use alloc::vec::Vec;

use abi::{Errno, Result};

/// Four levels of 64 reach 2^24 words, that is 2^30 numbers; more than any machine's frames of one order here.
const MAX_LEVELS: usize = 5;

/// A set over `0..capacity`.
pub struct Bitset {
    levels: [Vec<u64>; MAX_LEVELS],
    depth: usize,
}

impl Bitset {
    /// An empty set over `0..capacity`. Errors: `ENOMEM`.
    pub fn new(capacity: usize) -> Result<Self> {
        let mut levels = [const { Vec::new() }; MAX_LEVELS];
        let mut words = capacity.div_ceil(64).max(1);
        for (index, level) in levels.iter_mut().enumerate() {
            level.try_reserve_exact(words).map_err(|_| Errno::ENOMEM)?;
            level.resize(words, 0);
            if words == 1 {
                return Ok(Self { levels, depth: index + 1 });
            }
            words = words.div_ceil(64);
        }
        Err(Errno::ENOMEM)
    }

    /// Whether `number` is a member.
    #[inline]
    pub fn contains(&self, number: usize) -> bool {
        self.word(0, number / 64) >> (number % 64) & 1 != 0
    }

    /// Adds `number`; numbers beyond the capacity are ignored.
    #[inline]
    pub fn insert(&mut self, number: usize) {
        let mut index = number;
        for level in self.levels.iter_mut().take(self.depth) {
            let Some(word) = level.get_mut(index / 64) else { return };
            let was_empty = *word == 0;
            *word |= 1 << (index % 64);
            if !was_empty {
                return;
            }
            index /= 64;
        }
    }

    /// Takes `number` out.
    #[inline]
    pub fn remove(&mut self, number: usize) {
        let mut index = number;
        for level in self.levels.iter_mut().take(self.depth) {
            let Some(word) = level.get_mut(index / 64) else { return };
            *word &= !(1 << (index % 64));
            if *word != 0 {
                return;
            }
            index /= 64;
        }
    }

    /// The highest member below `limit`.
    #[inline]
    pub fn highest_below(&self, limit: usize) -> Option<usize> {
        if self.is_empty() {
            return None;
        }
        let mut index = limit;
        let mut level = 0;
        // Up: find a level on which a member lies left of the limit's bit in the same word.
        loop {
            let word = self.word(level, index / 64) & low_bits(index % 64);
            if word != 0 {
                index = (index / 64) * 64 + top_bit(word);
                break;
            }
            level += 1;
            if level == self.depth {
                return None;
            }
            index /= 64;
        }
        // Down: the highest bit of each word leads to the highest member.
        while level > 0 {
            level -= 1;
            index = index * 64 + top_bit(self.word(level, index));
        }
        Some(index)
    }

    /// Whether it has no member: the one word of the highest level says so.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.word(self.depth - 1, 0) == 0
    }

    #[inline]
    fn word(&self, level: usize, index: usize) -> u64 {
        self.levels.get(level).and_then(|words| words.get(index)).copied().unwrap_or(0)
    }
}

fn low_bits(count: usize) -> u64 {
    (1_u64 << count) - 1
}

fn top_bit(word: u64) -> usize {
    63 - word.leading_zeros() as usize
}
