//! Physical memory: where it is, whose it is, how it is reached.

pub mod image;
pub mod layout;
pub mod window;
