//! Counting what an operation costs: `COST name=instructions`, where the time stamp counter ticks once an instruction.
//!
//! A figure is that of the cheapest of several batches: what else the hypervisor has to do now and then (its own timers)
//! falls into some batches and not into others, and is not the operation's.

use crate::{say, time};

/// Operations in a batch: even, because many rows do and undo by turns.
const ROUNDS: u64 = 20;
/// Batches.
const BATCHES: u64 = 10;

/// Measures an operation; it is handed the number of its round.
#[inline(always)]
pub fn row(name: &str, operation: impl FnMut(u64)) {
    row_of(name, ROUNDS, operation);
}

/// Measures a long operation over fewer rounds a batch.
#[inline(always)]
pub fn row_of(name: &str, rounds: u64, mut operation: impl FnMut(u64)) {
    for round in 0..rounds.max(2) {
        operation(round);
    }
    let mut best = u64::MAX;
    for _ in 0..BATCHES {
        let before = time::tsc();
        for round in 0..rounds {
            operation(round);
        }
        best = best.min(time::tsc() - before);
    }
    print(name, best, rounds);
}

/// Measures an operation that tells by itself how long it took; the shortest counts.
pub fn row_told(name: &str, mut operation: impl FnMut(u64) -> u64) {
    operation(0);
    let best = (0..ROUNDS).map(&mut operation).min().unwrap_or(0);
    print(name, best, 1);
}

/// Prints a row: `total` instructions for `rounds` operations.
pub fn print(name: &str, total: u64, rounds: u64) {
    say!("COST {name}={}", (total + rounds / 2) / rounds);
}
