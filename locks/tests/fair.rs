//! Whoever waits for a lock gets it before those who come later (XSA-114).
#![cfg(not(loom))]

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;

use locks::{Hooks, Level, Lock, set_hooks};

/// Turns of waiting loops.
static TURNS: AtomicU32 = AtomicU32::new(0);

fn turn() {
    TURNS.fetch_add(1, SeqCst);
}

/// One who has the lock and wants it again at once does not get it while somebody waits.
#[test]
fn a_waiter_is_before_those_who_come_later() {
    set_hooks(Hooks { relax: turn, acquire: |_| {}, acquire_second: |_| {}, release: |_| {} });
    for round in 0..200 {
        let lock = Lock::new(Level::Heap, 0);
        let guard = lock.lock();
        thread::scope(|scope| {
            let before = TURNS.load(SeqCst);
            scope.spawn(|| *lock.lock() += 1);
            while TURNS.load(SeqCst) == before {
                thread::yield_now();
            }
            drop(guard);
            assert_eq!(*lock.lock(), 1, "round {round}: the waiter was passed by");
        });
    }
}
