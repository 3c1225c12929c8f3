//! From the loader's jump to the first guest instruction.

pub mod loader;
pub mod sequence;
mod start;
