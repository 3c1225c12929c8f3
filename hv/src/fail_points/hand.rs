//! The driving domain's next call: written to its data page, made by its program, its result found there afterwards.
//!
//! Context: calls of the driving domain.

use core::sync::atomic::Ordering::Relaxed;

use super::bare::Bare;
use crate::memory::window;

/// The word after the six of the call.
const RESULT: usize = 6;
/// No call answers this.
const NONE_YET: u64 = u64::MAX << 32;

/// A word of a bare domain's data page.
pub fn word(domain: Bare, index: usize) -> u64 {
    window::words(domain.data).get(index).map_or(0, |word| word.load(Relaxed))
}

/// Writes words of that page.
pub fn set_words(domain: Bare, index: usize, values: &[u64]) {
    for (word, value) in window::words(domain.data).iter().skip(index).zip(values) {
        word.store(*value, Relaxed);
    }
}

/// Number and arguments of the next call.
pub fn ask(driver: Bare, call: [u64; 6]) {
    set_words(driver, 0, &call);
    set_words(driver, RESULT, &[NONE_YET]);
}

/// What the last call answered.
pub fn result(driver: Bare) -> u64 {
    word(driver, RESULT)
}
