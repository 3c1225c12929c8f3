//! Xenolith, the privileged image: what needs privilege lives here, what has a meaning of its own in the crates below.
//!
//! `docs/architecture.md` is the map, `docs/unsafe-files.txt` the list of files that may contain unsafe code.
#![no_std]
#![no_main]
#![feature(lang_items)]
#![allow(internal_features, reason = "the personality is a language item")]

extern crate alloc;

mod arch;
#[cfg(feature = "fail-points")]
mod audit;
mod boot;
mod console;
mod cpu;
mod dom0;
mod domain;
mod entry;
mod fail_point;
#[cfg(feature = "fail-points")]
mod fail_points;
mod interrupt;
mod memory;
mod panic;
mod personality;
mod platform;
mod sched;
mod serve;
mod sync;
mod time;
