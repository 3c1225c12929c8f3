//! The containment test: victims break the hypervisor at every fail point, one after another, while a bystander's heart
//! beats. Instead of dom0 this build starts two bare domains: one whose calls drive the test, and the bystander.

pub mod armed;
mod bare;
mod cases;
mod driver;
mod errands;
mod hand;
mod plan;
mod ties;

pub use driver::{breakpoint_met, call, start, watch_entry};
