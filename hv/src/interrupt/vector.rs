//! Interrupt vectors: which are fixed, which are handed out to devices.
//!
//! Vectors 0x00 to 0x1F are exceptions, 0x20 to 0xEF devices (0x80 and 0x82 stay free: guests know them as software
//! interrupts), above that come our own, by urgency.

/// An interrupt vector.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Vector(pub u8);

impl Vector {
    /// First vector for devices.
    pub const FIRST_DEVICE: Vector = Vector(0x30);
    /// Last vector for devices.
    pub const LAST_DEVICE: Vector = Vector(0xEF);
    /// The local APIC timer.
    pub const TIMER: Vector = Vector(0xF8);
    /// Look at your work bits.
    pub const WORK: Vector = Vector(0xFA);
    /// Flush translations.
    pub const FLUSH: Vector = Vector(0xFC);
    /// The APIC found an error.
    pub const APIC_ERROR: Vector = Vector(0xFE);
    /// The APIC had nothing after all.
    pub const SPURIOUS: Vector = Vector(0xFF);

    /// Whether devices may have it.
    pub const fn is_for_devices(self) -> bool {
        self.0 >= Self::FIRST_DEVICE.0 && self.0 <= Self::LAST_DEVICE.0 && self.0 != 0x80 && self.0 != 0x82
    }
}
