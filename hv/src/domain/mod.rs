//! Domains and their vCPUs: everything the hypervisor knows of one guest hangs off its [`Domain`].

mod events;
mod list;
mod memory;
pub mod per_domain;
mod record;
pub mod rights;
mod state;
#[cfg(feature = "fail-points")]
mod teardown;
mod vcpu;

pub use events::{GuestEventPage, GuestVcpuInfo, HvPlatform, Kicked};
pub use list::{all, find, hardware_domain, publish, shut_down};
pub use memory::DomainMemory;
pub use record::{Domain, NewDomain};
pub use state::{Life, Shutdown};
#[cfg(feature = "fail-points")]
pub use teardown::{TeardownProgress, tear_down};
pub use vcpu::{PendingWork, RunFlags, Vcpu, VcpuState};
