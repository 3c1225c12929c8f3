//! Building dom0 from what the boot loader left in memory.

mod amount;
mod build;
mod error;
mod image;
mod initrd;
mod placement;
mod report;
mod rights;
mod start_info;
mod tables;
mod vcpus;

pub use build::build;
pub use error::Dom0Error;
