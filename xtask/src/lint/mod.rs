//! Rules of the house that neither rustc nor clippy checks; each file here is one kind of rule.
//!
//! Rules work on a [`tree::Tree`] in memory, so tests plant violations without touching the disk.

pub mod advisories;
pub mod finding;
pub mod graph;
pub mod locking;
pub mod names;
pub mod run;
pub mod shape;
pub mod source;
pub mod tree;
pub mod unsafe_code;
