//! What the scheduler knows of one vCPU.

use crate::cap::CapPool;
use crate::limits::{ROUND_NS, SLEEPER_CREDIT_NS};
use alloc::boxed::Box;
use alloc::sync::Arc;

/// An entity's number: dense, given by the caller, below the capacity that [`crate::Queue::reserve`] was given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntityId(pub u32);

impl EntityId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Share of a CPU in relation to others: 1 to 65535.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Weight(u16);

impl Weight {
    /// What a domain has unless told otherwise.
    pub const DEFAULT: Self = Self(256);

    /// `None` for 0.
    pub fn new(weight: u16) -> Option<Self> {
        (weight != 0).then_some(Self(weight))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// On which CPUs an entity may run, as bit maps by CPU number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Affinity {
    /// It never runs on others.
    pub hard: u64,
    /// It runs on these if it can.
    pub soft: u64,
}

impl Affinity {
    /// Anywhere.
    pub const ANY: Self = Self { hard: u64::MAX, soft: u64::MAX };

    /// Whether `cpu` is allowed.
    pub fn allows(self, cpu: u32) -> bool {
        self.hard & bit(cpu) != 0
    }
}

/// The bit of a CPU; none for numbers out of range.
pub(crate) fn bit(cpu: u32) -> u64 {
    1u64.checked_shl(cpu).unwrap_or(0)
}

/// Where an entity is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Not to be run.
    Blocked,
    /// To be run, and on its way to a queue.
    Ready,
    /// In the heap of those that wait for the CPU.
    Waiting,
    /// In the heap of those whose cap is used up.
    Throttled,
    /// On the CPU.
    Running,
}

/// One vCPU. Not `Clone`: it is in one place at a time.
#[derive(Debug)]
pub struct Entity {
    pub(crate) id: EntityId,
    pub(crate) weight: Weight,
    /// Virtual time per nanosecond, as a fraction of 2^[`RATE_SHIFT`].
    rate: u64,
    pub(crate) affinity: Affinity,
    pub(crate) cap: Option<Arc<CapPool>>,
    /// Running time taken from the pool and not used; negative when overdrawn.
    pub(crate) budget_ns: i64,
    /// In a queue: this entity's virtual time; elsewhere: how far it is ahead (as a signed number) of its last queue.
    pub(crate) virtual_time: u64,
    pub(crate) state: State,
    pub(crate) running_ns: u64,
}

/// Units of virtual time per nanosecond at weight 1; enough for a nanosecond at the heaviest to count.
const UNITS: u64 = 1 << 16;
const RATE_SHIFT: u32 = 16;

impl Entity {
    /// A blocked entity that belongs to no queue yet.
    pub fn new(id: EntityId, weight: Weight, affinity: Affinity, cap: Option<Arc<CapPool>>) -> Box<Self> {
        Box::new(Self {
            id,
            weight,
            rate: rate(weight),
            affinity,
            cap,
            budget_ns: 0,
            virtual_time: 0,
            state: State::Blocked,
            running_ns: 0,
        })
    }

    /// Its number.
    pub fn id(&self) -> EntityId {
        self.id
    }

    /// Where it may run.
    pub fn affinity(&self) -> Affinity {
        self.affinity
    }

    /// Its weight.
    pub fn weight(&self) -> Weight {
        self.weight
    }

    /// Whether it is runnable, while it is in no queue.
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Changes where it may run, while it is in no queue.
    pub fn set_affinity(&mut self, affinity: Affinity) {
        self.affinity = affinity;
    }

    pub(crate) fn set_weight(&mut self, weight: Weight) {
        self.weight = weight;
        self.rate = rate(weight);
    }

    /// `virtual_time`, drawn towards the least one of a queue, within what one who has slept or had a long slice has:
    /// neither a change of weight or queue nor a wrapped number makes it wait for longer, or run alone.
    pub(crate) fn near(&self, virtual_time: u64, least: u64) -> u64 {
        let ahead = virtual_time.wrapping_sub(least) as i64;
        if ahead < 0 {
            return later(virtual_time, least.wrapping_sub(self.virtual_span(SLEEPER_CREDIT_NS)));
        }
        let furthest = least.wrapping_add(self.virtual_span(ROUND_NS));
        if is_before(furthest, virtual_time) { furthest } else { virtual_time }
    }

    /// The virtual time in which this entity runs for `nanoseconds`.
    #[inline]
    pub(crate) fn virtual_span(&self, nanoseconds: u64) -> u64 {
        ((u128::from(nanoseconds) * u128::from(self.rate)) >> RATE_SHIFT) as u64
    }
}

fn rate(weight: Weight) -> u64 {
    (UNITS << RATE_SHIFT) / u64::from(weight.get())
}

/// Whether virtual time `left` is before `right`; virtual times wrap.
#[inline]
pub(crate) fn is_before(left: u64, right: u64) -> bool {
    (left.wrapping_sub(right) as i64) < 0
}

/// The later of two virtual times.
#[inline]
pub(crate) fn later(left: u64, right: u64) -> u64 {
    if is_before(left, right) { right } else { left }
}
