//! The MSI-X capability and its table. Source: PCI Local Bus 3.0 §6.8.2.

use crate::configuration::Configuration;

/// Control register: the function signals by messages of its table.
pub const ENABLE: u16 = 1 << 15;
/// Control register: all vectors are masked.
pub const MASK_ALL: u16 = 1 << 14;
/// Bytes of a table entry.
pub const ENTRY_SIZE: u64 = 16;
/// Vector control: this entry is masked.
pub const ENTRY_MASKED: u32 = 1;
/// Bytes of the capability.
pub const LENGTH: u8 = 12;

const ENTRIES: u16 = 0x7FF;
const BAR: u32 = 7;

/// Offsets of an entry's words within the entry.
pub mod entry {
    /// Message address, bits 31:0.
    pub const ADDRESS: u64 = 0;
    /// Message address, bits 63:32.
    pub const ADDRESS_HIGH: u64 = 4;
    /// Message data.
    pub const DATA: u64 = 8;
    /// Vector control.
    pub const CONTROL: u64 = 12;
}

/// Where something lies in one of the function's memory ranges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The BAR.
    pub bar: u8,
    /// Bytes from its base.
    pub offset: u32,
}

impl Place {
    const fn of(register: u32) -> Self {
        Self { bar: (register & BAR) as u8, offset: register & !BAR }
    }
}

/// What the capability says; fixed by the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Msix {
    /// Position in configuration space.
    pub position: u8,
    /// Entries of the table, 1 to 2048.
    pub entries: u16,
    /// The table.
    pub table: Place,
    /// The bits of interrupts that wait behind a mask.
    pub pending: Place,
}

impl Msix {
    /// Reads the capability at `position`.
    pub fn read(configuration: &impl Configuration, position: u8) -> Self {
        let at = u16::from(position);
        Self {
            position,
            entries: (configuration.read_half(at + 2) & ENTRIES) + 1,
            table: Place::of(configuration.read_word(at + 4)),
            pending: Place::of(configuration.read_word(at + 8)),
        }
    }

    /// The control register.
    pub const fn control(self) -> u16 {
        self.position as u16 + 2
    }

    /// Bytes of the table.
    pub const fn table_size(self) -> u64 {
        self.entries as u64 * ENTRY_SIZE
    }

    /// Bytes of the pending bits, 64 bits at a time.
    pub const fn pending_size(self) -> u64 {
        (self.entries as u64).div_ceil(64) * 8
    }
}
