//! The machine around the CPUs: firmware tables, power, configuration space.

pub mod firmware;
mod mapped;
pub mod memory_map;
pub mod pci;
pub mod power;
