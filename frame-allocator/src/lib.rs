//! Which frames of the machine are free: a buddy allocator over bit sets, without a byte in the frames themselves.
//!
//! It never touches memory contents, so free frames need no mapping. Scrubbing, ownership and the lock are the caller's.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bitset;
mod buddy;

pub use bitset::Bitset;
pub use buddy::{FrameAllocator, Held, Hold, MAX_ORDER, Order};
