//! The ACPI tables a hypervisor needs before dom0 runs: RSDP, RSDT/XSDT, MADT, FADT, HPET, MCFG.
//!
//! Reads bytes that the caller copies out of physical memory; no references into firmware memory, no AML. Why not the
//! `acpi` crate: `docs/decisions/0003-own-table-reader.md`. Source: ACPI specification 6.5, chapter 5.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bytes;
mod find;
mod tables;

pub use find::{PhysicalMemory, TableError, Tables, find};
pub use tables::{
    Fadt, GenericAddress, Hpet, InterruptOverride, IoApic, LocalApic, Madt, Mcfg, McfgRange, Polarity, Trigger,
};
