//! The MSI capability. Source: PCI Local Bus 3.0 §6.8.1.

use crate::configuration::Configuration;

/// Control register: the function signals by messages.
pub const ENABLE: u16 = 1 << 0;
/// Control register: binary logarithm of the vectors in use.
pub const VECTORS_IN_USE: u16 = 7 << 4;

const VECTORS_SHIFT: u16 = 1;
const IS_64_BIT: u16 = 1 << 7;
const HAS_MASK: u16 = 1 << 8;

/// Where its registers are; read once when the first interrupt is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Msi {
    /// Position in configuration space.
    pub position: u8,
    control: u16,
}

impl Msi {
    /// Reads the capability at `position`.
    pub fn read(configuration: &impl Configuration, position: u8) -> Self {
        Self { position, control: configuration.read_half(u16::from(position) + 2) }
    }

    /// The control register.
    pub const fn control(self) -> u16 {
        self.position as u16 + 2
    }

    /// Bits 31:0 of the message address.
    pub const fn address(self) -> u16 {
        self.position as u16 + 4
    }

    /// Bits 63:32 of the message address, if the function has them.
    pub const fn address_high(self) -> Option<u16> {
        if self.control & IS_64_BIT != 0 { Some(self.position as u16 + 8) } else { None }
    }

    /// The message data, 16 bits.
    pub const fn data(self) -> u16 {
        self.position as u16 + if self.control & IS_64_BIT != 0 { 12 } else { 8 }
    }

    /// The mask register, if the function has one: 32 bits, one a vector.
    pub const fn mask(self) -> Option<u16> {
        if self.control & HAS_MASK != 0 { Some(self.data() + 4) } else { None }
    }

    /// Vectors the function can use, 1 to 32.
    pub const fn vectors(self) -> u32 {
        let order = self.control >> VECTORS_SHIFT & 7;
        1 << if order > 5 { 5 } else { order }
    }
}
