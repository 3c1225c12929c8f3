//! Xenolith, the privileged image: what needs privilege lives here, what has a meaning of its own in the crates below.
//!
//! `docs/architecture.md` is the map, `docs/unsafe-files.txt` the list of files that may contain unsafe code.
#![no_std]
#![no_main]

extern crate alloc;

mod arch;
mod boot;
mod console;
mod cpu;
mod dom0;
mod domain;
mod entry;
mod interrupt;
mod memory;
mod panic;
mod platform;
mod sched;
mod serve;
mod sync;
mod time;
