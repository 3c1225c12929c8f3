//! The public interface of Xen on x86-64 as data: numbers, structs and errnos, one file per public header.
//!
//! No behaviour lives here, and no unsafe code. Layouts are asserted where they are defined and compared with Debian's
//! C headers by `compat-tests`. Every struct can be read from and written to plain bytes without exposing padding.
#![no_std]
#![forbid(unsafe_code)]

pub mod argo;
pub mod call;
pub mod callback;
pub mod console;
pub mod cpuid;
pub mod dm;
pub mod domctl;
pub mod domctl_domain;
pub mod domctl_vcpu;
pub mod elfnote;
pub mod errno;
pub mod event_channel;
pub mod features;
pub mod frame;
pub mod grant_table;
pub mod handle;
pub mod hvm;
pub mod hypfs;
pub mod ids;
pub mod kexec;
pub mod layout;
pub mod mca;
pub mod memory;
pub mod mmu;
pub mod multicall;
pub mod nmi;
pub mod operations;
pub mod physdev;
pub mod platform;
pub mod platform_power;
pub mod sched;
pub mod shared_info;
pub mod start_info;
pub mod sysctl;
pub mod sysctl_machine;
pub mod sysctl_scheduler;
pub mod vcpu;
pub mod version;
pub mod vm_assist;
pub mod xen_x86;
pub mod xenoprof;
pub mod xenpmu;
pub mod xsm;

pub use call::Call;
pub use errno::{Errno, Result};
pub use frame::{Gfn, GuestVirtual, MachineAddress, Mfn, Pfn};
pub use handle::GuestHandle;
pub use ids::{DomainId, GrantHandle, GrantRef, Pirq, Port, VcpuId, Virq};
