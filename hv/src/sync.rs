//! Hooks of the lock crate: waiting CPUs answer flush requests, debug builds check the order of locks.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use locks::{Hooks, Level};

use crate::{
    cpu::{self, record::MAX_CPUS},
    interrupt::flush,
};

/// Locks held on each CPU, one bit a level.
static HELD: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];

/// Installs the hooks. Context: boot CPU, on its own block.
pub fn install() {
    locks::set_hooks(Hooks { relax: flush::answer, acquire, acquire_second, release });
}

fn held() -> Option<&'static AtomicU32> {
    HELD.get(cpu::this().index)
}

fn acquire(level: Level) {
    if let Some(held) = held() {
        let before = held.fetch_or(1 << level as u8, Relaxed);
        assert!(before >> level as u8 == 0, "lock of level {level:?} taken while {before:#x} are held");
    }
}

fn acquire_second(level: Level) {
    if let Some(held) = held() {
        let before = held.fetch_or(1 << level as u8, Relaxed);
        assert!(before >> (level as u8 + 1) == 0, "second lock of level {level:?} taken while {before:#x} are held");
    }
}

fn release(level: Level) {
    if let Some(held) = held() {
        held.fetch_and(!(1 << level as u8), Relaxed);
    }
}

/// In debug builds: the levels that a CPU holds, one bit each.
#[cfg(feature = "fail-points")]
pub fn held_on(cpu: usize) -> u32 {
    HELD.get(cpu).map_or(0, |held| held.load(Relaxed))
}

/// In debug builds: this CPU holds no lock.
#[inline]
pub fn assert_no_locks() {
    if cfg!(debug_assertions)
        && let Some(held) = held()
    {
        let locks = held.load(Relaxed);
        assert!(locks == 0, "preemption point with locks held: {locks:#x}");
    }
}
