//! Physical memory: where it is, whose it is, how it is reached.

pub mod boot_frames;
pub mod claims;
pub mod device;
pub mod entry;
pub mod frame_table;
pub mod heap;
pub mod image;
pub mod layout;
pub mod machine_to_physical;
pub mod mmu;
pub mod physical;
pub mod recycle;
pub mod setup;
pub mod tables;
pub mod window;
