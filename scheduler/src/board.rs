//! What every CPU can know of all others without a lock: which are on line, which are idle, how much each has to do.
//!
//! All of it are hints: read and written without ordering, acted on only under the lock of the queue concerned.

use crate::entity::{Affinity, Weight, bit};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

/// Most CPUs there can be.
pub const MOST_CPUS: usize = 64;

/// How much a CPU has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Load {
    /// Entities that run or wait.
    pub runnable: u32,
    /// Sum of their weights.
    pub weight: u32,
}

impl Load {
    fn to_bits(self) -> u64 {
        u64::from(self.weight) << 32 | u64::from(self.runnable)
    }

    fn from_bits(bits: u64) -> Self {
        Self { runnable: bits as u32, weight: (bits >> 32) as u32 }
    }
}

/// The board that all queues of a machine share.
#[derive(Debug)]
pub struct Board {
    online: AtomicU64,
    idle: AtomicU64,
    loads: [AtomicU64; MOST_CPUS],
}

impl Board {
    /// A board without any CPU on line.
    pub fn new() -> Arc<Self> {
        let loads = [const { AtomicU64::new(0) }; MOST_CPUS];
        Arc::new(Self { online: AtomicU64::new(0), idle: AtomicU64::new(0), loads })
    }

    /// Lets entities be placed on `cpu`.
    pub fn set_online(&self, cpu: u32) {
        self.online.fetch_or(bit(cpu), Ordering::Relaxed);
    }

    /// No entity is placed on `cpu` from now on; the caller moves away those that are there.
    pub fn set_offline(&self, cpu: u32) {
        self.online.fetch_and(!bit(cpu), Ordering::Relaxed);
    }

    /// CPUs on line.
    pub fn online(&self) -> u64 {
        self.online.load(Ordering::Relaxed)
    }

    /// CPUs with nothing to do.
    pub fn idle(&self) -> u64 {
        self.idle.load(Ordering::Relaxed) & self.online()
    }

    /// What `cpu` has to do.
    pub fn load(&self, cpu: u32) -> Load {
        self.loads.get(cpu as usize).map_or(Load::default(), |bits| Load::from_bits(bits.load(Ordering::Relaxed)))
    }

    pub(crate) fn publish(&self, cpu: u32, before: Load, after: Load) {
        if let Some(bits) = self.loads.get(cpu as usize) {
            bits.store(after.to_bits(), Ordering::Relaxed);
        }
        match (before.runnable, after.runnable) {
            (0, 0) => {}
            (_, 0) => _ = self.idle.fetch_or(bit(cpu), Ordering::Relaxed),
            (0, _) => _ = self.idle.fetch_and(!bit(cpu), Ordering::Relaxed),
            _ => {}
        }
    }

    pub(crate) fn add_idle(&self, cpu: u32) {
        self.idle.fetch_or(bit(cpu), Ordering::Relaxed);
    }

    /// The CPU on which an entity that last was on `previous` should run: an idle one that it prefers, an idle one that
    /// it may use, else the least loaded one that it prefers; `previous` whenever that is as good.
    pub fn place(&self, affinity: Affinity, weight: Weight, previous: u32) -> u32 {
        let allowed = affinity.hard & self.online();
        let preferred = match allowed & affinity.soft {
            0 => allowed,
            both => both,
        };
        let idle = self.idle();
        for candidates in [preferred & idle, allowed & idle] {
            if candidates != 0 {
                return nearest(candidates, previous);
            }
        }
        let Some(least) = self.lightest(preferred) else {
            return previous;
        };
        let would_gain = self.load(least).weight.saturating_add(u32::from(weight.get())) < self.load(previous).weight;
        if preferred & bit(previous) != 0 && !would_gain { previous } else { least }
    }

    /// The most loaded CPU outside of `excluded` with an entity to spare.
    pub fn busiest(&self, excluded: u64) -> Option<u32> {
        let others = cpus(self.online() & !excluded).filter(|&cpu| self.load(cpu).runnable >= 2);
        others.max_by_key(|&cpu| self.load(cpu).weight)
    }

    /// The least loaded CPU on line of `map`.
    pub(crate) fn lightest(&self, map: u64) -> Option<u32> {
        cpus(map & self.online()).min_by_key(|&cpu| self.load(cpu).weight)
    }
}

/// The CPU of a non-empty map that comes first when counting up from `from`, which may be itself.
fn nearest(map: u64, from: u32) -> u32 {
    (map.rotate_right(from % 64).trailing_zeros() + from) % 64
}

/// CPUs of a map in ascending order.
pub(crate) fn cpus(map: u64) -> impl Iterator<Item = u32> {
    let mut left = map;
    core::iter::from_fn(move || {
        let cpu = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        (cpu < 64).then_some(cpu)
    })
}
