//! Who runs next: one run queue for each CPU, weights, caps, wake-up preemption, affinity and migration.
//!
//! Pure logic on plain data; `hv` keeps every [`Queue`] behind a lock of its own and calls in with the time. Nothing
//! here allocates except [`Queue::reserve`] and [`Deadlines::with_room`], which run when a CPU is found, and [`Entity::new`]
//! and [`CapPool::new`], which run when a vCPU is created.
//!
//! An entity (one vCPU) is a value with one owner: a queue, or whoever is moving it between two. Entities share a CPU in
//! proportion to their weights: each has a virtual time, which passes more slowly the heavier it is, and the one that is
//! furthest behind runs. Who has slept starts a little ahead of the rest, by no more than [`limits::SLEEPER_CREDIT_NS`],
//! and takes the CPU at once unless its holder has only just got it ([`limits::RATE_LIMIT_NS`]). A CPU without
//! competition has no ticks. `docs/decisions/0010-scheduler.md` has the reasons.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod balance;
mod board;
mod cap;
mod deadlines;
mod entity;
mod heap;
pub mod limits;
mod pick;
mod pools;
mod queue;
mod wake;

pub use balance::Migration;
pub use board::{Board, Load};
pub use cap::CapPool;
pub use deadlines::Deadlines;
pub use entity::{Affinity, Entity, EntityId, Weight};
pub use pick::Decision;
pub use pools::{FIRST_POOL, Pool, PoolError, Pools, Population};
pub use queue::{AffinityChange, Queue, Standing, Stop};
pub use wake::{Preempt, Wake};
