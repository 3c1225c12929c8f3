//! Thin, typed access to what the processor offers.

pub mod control;
pub mod port;
