//! Output and input of the hypervisor's own console.

pub mod debug_keys;
pub mod guest;
pub mod input;
pub mod keys;
pub mod log;
pub mod output;
pub mod ring;
pub mod serial;
pub mod vga;
