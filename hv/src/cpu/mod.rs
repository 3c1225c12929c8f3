//! What each processor has of its own.

pub mod block;
pub mod extended_state;
pub mod features;
pub mod record;
pub mod smp;
pub mod start;

pub use record::{Cpu, Work, all, by_index, count, this};
