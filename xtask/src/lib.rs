//! Chores of the project: the status page of the ABI, and the rules of the house that no compiler checks.
//!
//! `cargo run -p xtask -- abi-status [--check]`, `cargo run -p xtask -- lint` and `cargo run -p xtask -- image IN OUT`.
#![forbid(unsafe_code)]

pub mod abi_status;
pub mod image;
pub mod lint;
pub mod root;
