//! Interrupts: controllers, vectors, messages between CPUs.

pub mod device;
pub mod dispatch;
pub mod flush;
pub mod io_apic;
pub mod legacy;
pub mod local_apic;
pub mod msi;
pub mod msix_table;
pub mod pirq;
mod rate;
pub mod vector;
