//! Debian's own toolstack in a Debian dom0: scenarios that run on Xen and on Xenolith and must be answered alike.
//!
//! `qubes-integration/scenarios` has the scenarios, `qubes-integration/toolstack` what the dom0 is made of.

pub mod boot;
mod command;
mod images;
pub mod journey;
pub mod scenario;
pub mod session;

pub use command::{Command, suite};
