//! From the bytes of a boot module to what the domain builder needs: an unpacked kernel, its load plan and its layout.
//!
//! Three steps, each pure: [`Payload::locate`] finds the kernel inside a bzImage or a bare file and unpacks it,
//! [`KernelImage::parse`] reads ELF headers and Xen notes, [`InitialLayout::compute`] places everything in the new
//! domain's pseudo-physical and virtual space. Whatever the file holds, the answer is a value or a one-line reason.
//! Runs once, at boot, in one thread; takes no locks; memory for the unpacked kernel is asked for fallibly.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bytes;
mod bzimage;
mod crc32;
mod error;
mod features;
mod image;
mod layout;
mod legacy;
mod notes;
mod segments;
mod tables;
mod unpack;

pub use bzimage::Payload;
pub use error::{ImageError, UnpackError};
pub use features::Features;
pub use image::{KernelImage, PaeMode};
pub use layout::{InitialLayout, Initrd, LayoutError, LayoutInput, P2mLeaf, P2mList, PageRange};
pub use segments::{Segment, Segments};
pub use tables::{P2mTables, RegionTables, Table};
pub use unpack::Format;
