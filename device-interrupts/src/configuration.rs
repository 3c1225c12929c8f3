//! Addresses in PCI configuration space: the latch of mechanism #1 and the memory window of PCI Express.
//!
//! Source: PCI Local Bus 3.0 §3.2.2.3.2; PCI Express 5.0 §7.2.2.

/// Reads of one function's configuration space. What is not there reads as all ones.
pub trait Configuration {
    /// Reads the 32 bits at `offset`, a multiple of 4.
    fn read_word(&self, offset: u16) -> u32;

    /// Reads 16 bits at an even offset.
    fn read_half(&self, offset: u16) -> u16 {
        (self.read_word(offset & !3) >> (8 * (offset & 2))) as u16
    }

    /// Reads 8 bits.
    fn read_byte(&self, offset: u16) -> u8 {
        (self.read_word(offset & !3) >> (8 * (offset & 3))) as u8
    }
}

/// What stands in port 0xCF8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Latch(pub u32);

impl Latch {
    /// The latch value for a register below 256 of a function on the first segment.
    pub const fn new(bus: u8, devfn: u8, register: u8) -> Self {
        Latch(1 << 31 | (bus as u32) << 16 | (devfn as u32) << 8 | (register as u32 & !3))
    }

    /// Whether the data ports lead to configuration space.
    pub const fn is_enabled(self) -> bool {
        self.0 >> 31 != 0
    }

    /// Bus.
    pub const fn bus(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// Device and function.
    pub const fn devfn(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// The register, a multiple of 4.
    pub const fn register(self) -> u8 {
        self.0 as u8 & !3
    }
}

/// Bytes of one bus in a memory window.
pub const BUS_SIZE: u64 = 1 << 20;

/// Where a function's register lies within its bus's part of a memory window.
pub const fn offset_in_bus(devfn: u8, register: u16) -> u64 {
    (devfn as u64) << 12 | (register & 0xFFF) as u64
}

/// What an offset within a bus's part means: device and function, and register.
pub const fn at_offset_in_bus(offset: u64) -> (u8, u16) {
    ((offset >> 12) as u8, (offset & 0xFFF) as u16)
}
