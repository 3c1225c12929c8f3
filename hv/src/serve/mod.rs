//! Serving a guest: what its hypercalls, exceptions and privileged instructions do here. One family a file.

pub mod areas;
pub mod boundary;
pub mod budget;
mod caller;
mod console;
pub mod context;
mod cpu;
mod crash;
pub mod descriptors;
pub mod emulate;
mod events;
pub mod exchange;
pub mod failsafe;
pub mod grant_memory;
pub mod grants;
pub mod guest_context;
mod guest_memory;
pub mod hypercall_page;
pub mod instructions;
mod memory;
mod mmu;
mod mmu_host;
pub mod page_fault;
mod physdev;
mod physdev_pci;
mod platform;
mod platform_cpu;
pub mod policy;
mod ports;
mod scheduling;
mod segment_view;
pub mod syscall;
pub mod traps;
pub mod vcpus;
mod version;

pub use caller::Caller;
