//! What each processor has of its own.

pub mod block;
pub mod extended_state;
pub mod features;
pub mod hotplug;
pub mod memory_types;
pub mod record;
pub mod rendezvous;
pub mod smp;
pub mod start;

pub use record::{Cpu, Work, all, by_index, count, this};
