//! One file per operation family; each names the public header it implements.

pub mod absent;
pub mod console;
pub mod cpu;
pub mod domctl;
pub mod event;
pub mod grant;
pub mod hypfs;
pub mod machine_check;
pub mod memory;
pub mod mmu;
pub mod multicall;
pub mod physdev;
pub mod platform;
pub mod sched;
pub mod sysctl;
pub mod timer;
pub mod vcpu;
pub mod vcpu_context;
pub mod version;
pub mod virtual_numa;
