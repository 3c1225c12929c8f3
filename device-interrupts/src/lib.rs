//! What device interrupts look like to the machine and to a guest, as pure logic: I/O APIC entries, MSI and MSI-X
//! capabilities, messages, BARs, configuration addresses, which configuration writes a dom0 may make, and the numbers
//! (pirqs) under which a domain knows its interrupts.
//!
//! Nothing here touches hardware: `hv` reads and writes, this crate says what and where. Sources: Intel 82093AA data
//! sheet; PCI Local Bus 3.0 §6; PCI Express 5.0 §7; Intel SDM volume 3, §11.11; Xen public header `physdev.h`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bar;
pub mod capability;
pub mod configuration;
pub mod intercept;
mod line;
mod message;
pub mod msi;
pub mod msix;
mod pirqs;
mod redirection;

pub use line::{IsaLines, Polarity, Signal, Trigger};
pub use message::Message;
pub use pirqs::{Irq, NumberKind, Outcome, Permission, Pirqs, PortUse};
pub use redirection::Redirection;
