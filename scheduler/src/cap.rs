//! A domain's cap: the running time that its entities together may use, on whatever CPUs they are.
//!
//! Each period adds its budget; what is left of it lasts for one more period, so that competition does not cost a
//! domain its share. One word holds the period and what is left, so that CPUs need no lock to share it.

use crate::limits::CAP_PERIOD_NS;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The budget of one domain with a cap.
#[derive(Debug)]
pub struct CapPool {
    /// Per cent of one CPU; 0 for no limit.
    percent: AtomicU32,
    /// Upper 40 bits: number of the last period that was added. Lower 24 bits: microseconds left.
    word: AtomicU64,
}

const LEFT_BITS: u32 = 24;
const LEFT: u64 = (1 << LEFT_BITS) - 1;
/// Microseconds that one per cent adds in one period.
const PER_CENT: u64 = CAP_PERIOD_NS / 1000 / 100;

impl CapPool {
    /// A pool of `percent` per cent of one CPU: 250 is two and a half CPUs, 0 no limit.
    pub fn new(percent: u32, now_ns: u64) -> Arc<Self> {
        let pool = Self { percent: AtomicU32::new(percent), word: AtomicU64::new(0) };
        pool.word.store(pool.refilled(now_ns, 0), Ordering::Relaxed);
        Arc::new(pool)
    }

    /// Changes the cap, from the next period on.
    pub fn set_percent(&self, percent: u32) {
        self.percent.store(percent, Ordering::Relaxed);
    }

    /// The cap in per cent of one CPU.
    pub fn percent(&self) -> u32 {
        self.percent.load(Ordering::Relaxed)
    }

    /// Takes up to `wanted_ns` of what is left at `now_ns`; what it gives is a whole number of microseconds.
    pub(crate) fn take(&self, now_ns: u64, wanted_ns: u64) -> u64 {
        if self.percent() == 0 {
            return wanted_ns;
        }
        let wanted = wanted_ns.div_ceil(1000);
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let word = self.refilled(now_ns, seen);
            let taken = wanted.min(word & LEFT);
            match self.word.compare_exchange_weak(seen, word - taken, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return taken * 1000,
                Err(other) => seen = other,
            }
        }
    }

    /// Gives back what was taken and not used.
    pub(crate) fn give_back(&self, now_ns: u64, unused_ns: u64) {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let word = self.refilled(now_ns, seen);
            let left = ((word & LEFT) + unused_ns / 1000).min(self.most());
            let word = (word & !LEFT) | left;
            match self.word.compare_exchange_weak(seen, word, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
    }

    /// `word` with the budgets of all periods that have started since. A CPU whose clock is a little behind the one that
    /// wrote it adds nothing.
    fn refilled(&self, now_ns: u64, word: u64) -> u64 {
        let period = now_ns / CAP_PERIOD_NS;
        let passed = period.saturating_sub(word >> LEFT_BITS);
        if passed == 0 {
            return word;
        }
        let added = (u64::from(self.percent()) * PER_CENT).saturating_mul(passed);
        period << LEFT_BITS | (word & LEFT).saturating_add(added).min(self.most())
    }

    /// Two periods' budget.
    fn most(&self) -> u64 {
        (u64::from(self.percent()) * PER_CENT * 2).min(LEFT)
    }
}

/// When the period after the one of `now_ns` starts.
pub(crate) fn next_period(now_ns: u64) -> u64 {
    (now_ns / CAP_PERIOD_NS).saturating_add(1).saturating_mul(CAP_PERIOD_NS)
}
