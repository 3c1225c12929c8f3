//! Domains and their vCPUs: everything the hypervisor knows of one guest hangs off its [`Domain`].

pub mod changes;
mod events;
mod hold;
mod list;
mod memory;
pub mod per_domain;
mod record;
mod retired;
pub mod rights;
mod state;
mod stopping;
mod teardown;
mod vcpu;
pub mod virqs;

pub use events::{GuestEventPage, GuestVcpuInfo, HvPlatform, Kicked};
pub use hold::Held;
pub use list::{HARDWARE_DOMAIN, NewId, all, find, find_from, find_inline, hardware_domain};
pub use memory::DomainMemory;
pub use record::{Domain, NewDomain, Unpublished};
pub use retired::passed;
pub use state::{Identity, Life, Shutdown};
pub use stopping::shut_down;
pub use teardown::{TeardownProgress, abandon, tear_down};
pub use vcpu::{PendingWork, RunFlags, Vcpu, VcpuState};
