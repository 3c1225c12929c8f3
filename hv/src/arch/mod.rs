//! Thin, typed access to what the processor offers.

pub mod control;
pub mod debug;
pub mod descriptors;
pub mod port;
pub mod segments;
