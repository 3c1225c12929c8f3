//! What each processor has of its own.

pub mod block;
pub mod features;
mod record;
pub mod start;

pub use record::{Cpu, Work, all, by_index, count, this};
