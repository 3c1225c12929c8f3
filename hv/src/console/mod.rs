//! Output and input of the hypervisor's own console.

pub mod log;
pub mod output;
pub mod ring;
pub mod serial;
pub mod vga;
