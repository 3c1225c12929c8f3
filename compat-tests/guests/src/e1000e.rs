//! A real device that raises interrupts when it is told to: the network card e1000e (82574L) that the runner puts into the
//! machine. Its registers are mapped, its causes set by hand.
//!
//! Source: Intel 82574 datasheet §10.2.4.

use crate::{memory, pci};

/// Registers: cause (reading it clears it), set cause, set mask, clear mask.
const CAUSE: u64 = 0xc0;
const SET_CAUSE: u64 = 0xc8;
const SET_MASK: u64 = 0xd0;
const CLEAR_MASK: u64 = 0xd8;
/// The register that says which vector each cause is.
pub const VECTORS: u64 = 0xe4;
/// The cause "link changed", which is vector "other".
pub const LINK: u32 = 1 << 2;
/// That vector's cause.
pub const OTHER: u32 = 1 << 24;
const VENDOR_AND_DEVICE: u32 = 0x10d3_8086;

/// The device.
pub struct Device {
    /// Device and function on bus 0.
    pub devfn: u32,
    registers: u64,
}

impl Device {
    /// Finds it and has it decode memory, be a bus master (messages are writes) and signal by its line.
    pub fn find() -> Option<Self> {
        let devfn = (0..256).find(|devfn| pci::read(*devfn, 0, 4) == VENDOR_AND_DEVICE)?;
        pci::write(devfn, 4, 2, 6);
        let registers = memory::window(pci::base(devfn, 0) >> 12)?;
        Some(Self { devfn, registers })
    }

    /// Writes a register.
    pub fn write(&self, register: u64, value: u32) {
        // SAFETY: a mapped page of device registers.
        unsafe { ((self.registers + register) as *mut u32).write_volatile(value) };
    }

    fn read(&self, register: u64) -> u32 {
        // SAFETY: as in `write`.
        unsafe { ((self.registers + register) as *const u32).read_volatile() }
    }

    /// Raises an interrupt for these causes.
    pub fn raise(&self, causes: u32) {
        self.write(SET_MASK, causes);
        self.write(SET_CAUSE, causes);
    }

    /// Masks all causes and clears them.
    pub fn quiet(&self) {
        self.write(CLEAR_MASK, u32::MAX);
        self.read(CAUSE);
    }
}
