//! The meaning of every hypercall: decode, check, commit. No hardware, no unsafe code.
//!
//! Each operation family is one file under [`op`] and asks for what it needs from the host through a trait of its own;
//! `hv` implements them for the running vCPU, tests implement them over plain memory.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod authority;
pub mod behalf;
mod bitmap;
pub mod dispatch;
pub mod guest;
pub mod op;
pub mod outcome;
pub mod table;
