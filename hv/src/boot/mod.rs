//! From the loader's jump to the first guest instruction.

pub mod loader;
pub mod options;
pub mod sequence;
mod start;

pub use sequence::command_line;
