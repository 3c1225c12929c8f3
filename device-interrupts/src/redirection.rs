//! One entry of an I/O APIC's redirection table. Source: Intel 82093AA data sheet §3.2.4.

use crate::{Polarity, Signal, Trigger};

/// An entry; fixed delivery to one CPU by its APIC id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Redirection(pub u64);

const LOW_ACTIVE: u64 = 1 << 13;
const LEVEL: u64 = 1 << 15;
const MASKED: u64 = 1 << 16;
const DESTINATION_SHIFT: u32 = 56;

impl Redirection {
    /// Nothing ever comes of this one.
    pub const OFF: Redirection = Redirection(MASKED);

    /// A masked entry. Arguments: vector, APIC id, how the line signals.
    pub const fn new(vector: u8, destination: u8, signal: Signal) -> Self {
        let level = if matches!(signal.trigger, Trigger::Level) { LEVEL } else { 0 };
        let low = if matches!(signal.polarity, Polarity::Low) { LOW_ACTIVE } else { 0 };
        Redirection(MASKED | level | low | vector as u64 | (destination as u64) << DESTINATION_SHIFT)
    }

    /// The same, masked.
    pub const fn masked(self) -> Self {
        Redirection(self.0 | MASKED)
    }

    /// The same, open.
    pub const fn unmasked(self) -> Self {
        Redirection(self.0 & !MASKED)
    }

    /// APIC id of the CPU that it goes to.
    pub const fn destination(self) -> u8 {
        (self.0 >> DESTINATION_SHIFT) as u8
    }

    /// The same, to another APIC id.
    pub const fn to(self, destination: u8) -> Self {
        Redirection(self.0 & !(0xFF << DESTINATION_SHIFT) | (destination as u64) << DESTINATION_SHIFT)
    }

    /// Whether it is masked.
    pub const fn is_masked(self) -> bool {
        self.0 & MASKED != 0
    }

    /// How the line signals.
    pub const fn signal(self) -> Signal {
        Signal {
            trigger: if self.0 & LEVEL != 0 { Trigger::Level } else { Trigger::Edge },
            polarity: if self.0 & LOW_ACTIVE != 0 { Polarity::Low } else { Polarity::High },
        }
    }

    /// Bits 31:0, which hold the mask.
    pub const fn low(self) -> u32 {
        self.0 as u32
    }

    /// Bits 63:32, which hold the destination.
    pub const fn high(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// From both halves.
    pub const fn from_halves(low: u32, high: u32) -> Self {
        Redirection(low as u64 | (high as u64) << 32)
    }
}
