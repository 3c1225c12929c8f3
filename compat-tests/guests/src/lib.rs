//! What a tiny 64-bit PV kernel needs to ask a hypervisor questions and to report the answers.
//!
//! A test guest is one file `tests/NAME/main.rs` with a [`guest!`] line; the library brings it to life, gives it
//! hypercalls, traps, page tables, events, user mode and further vCPUs, and speaks the report protocol of
//! [`report`]. Nothing here assumes one hypervisor: all it relies on is the PV start-of-day contract.
#![no_std]

pub mod buffer;
pub mod console;
pub mod control;
pub mod cost;
pub mod e1000e;
pub mod events;
pub mod hypercall;
pub mod memory;
pub mod number;
pub mod pci;
pub mod report;
pub mod segment;
pub mod smp;
pub mod start;
pub mod sweep;
pub mod time;
pub mod trap;
pub mod user;

/// Declares the test's entry: a function without arguments, run on vCPU 0 with traps caught and the console usable.
#[macro_export]
macro_rules! guest {
    ($entry:path) => {
        #[unsafe(no_mangle)]
        extern "Rust" fn guest_main() {
            $entry()
        }
    };
}
