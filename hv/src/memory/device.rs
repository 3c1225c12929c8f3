//! Device registers in memory: 32-bit and 64-bit accesses that the compiler neither repeats nor drops.
//!
//! Mapped uncached for good in the device window. Lock: the driver's.

#![expect(unsafe_code, reason = "volatile accesses to mapped registers")]

use abi::Result;

use super::{entry, physical};

/// A mapped range of registers.
#[derive(Clone, Copy)]
pub struct Registers {
    base: u64,
    length: u64,
}

impl Registers {
    /// Maps `length` bytes at `physical`. Errors: `ENOMEM`.
    pub fn map(physical: u64, length: u64) -> Result<Self> {
        Ok(Self { base: physical::map_device(physical, length, entry::DEVICE)?, length })
    }

    fn pointer(self, offset: u64, size: u64) -> u64 {
        assert!(offset + size <= self.length && offset.is_multiple_of(size), "register outside its device");
        self.base + offset
    }

    /// Reads 32 bits.
    #[inline]
    pub fn read(self, offset: u64) -> u32 {
        let pointer = self.pointer(offset, 4) as *const u32;
        // SAFETY: inside the mapped range, aligned (both checked); never backs a Rust object.
        unsafe { pointer.read_volatile() }
    }

    /// Writes 32 bits.
    #[inline]
    pub fn write(self, offset: u64, value: u32) {
        let pointer = self.pointer(offset, 4) as *mut u32;
        // SAFETY: as in `read`.
        unsafe { pointer.write_volatile(value) }
    }

    /// Reads 64 bits.
    pub fn read_long(self, offset: u64) -> u64 {
        let pointer = self.pointer(offset, 8) as *const u64;
        // SAFETY: as in `read`.
        unsafe { pointer.read_volatile() }
    }

    /// Writes 64 bits.
    pub fn write_long(self, offset: u64, value: u64) {
        let pointer = self.pointer(offset, 8) as *mut u64;
        // SAFETY: as in `read`.
        unsafe { pointer.write_volatile(value) }
    }

    /// Reads 1, 2 or 4 bytes, aligned.
    pub fn read_narrow(self, offset: u64, width: u8) -> u32 {
        let pointer = self.pointer(offset, u64::from(width));
        match width {
            // SAFETY: as in `read`.
            1 => u32::from(unsafe { (pointer as *const u8).read_volatile() }),
            // SAFETY: as in `read`.
            2 => u32::from(unsafe { (pointer as *const u16).read_volatile() }),
            _ => self.read(offset),
        }
    }

    /// Writes 1, 2 or 4 bytes, aligned.
    pub fn write_narrow(self, offset: u64, width: u8, value: u32) {
        let pointer = self.pointer(offset, u64::from(width));
        match width {
            // SAFETY: as in `read`.
            1 => unsafe { (pointer as *mut u8).write_volatile(value as u8) },
            // SAFETY: as in `read`.
            2 => unsafe { (pointer as *mut u16).write_volatile(value as u16) },
            _ => self.write(offset, value),
        }
    }
}
