//! Every way in from a running CPU, and the one gate out.

pub mod from_guest;
pub mod from_hypervisor;
pub mod gate;
pub mod guest_access;
pub mod stubs;
