//! The firmware's tables, read once at boot.
//!
//! Table memory outside the direct map is mapped for the time of the copy into a small window that stays mapped.

use firmware_tables::{Fadt, Hpet, Madt, Mcfg, PhysicalMemory, TableError, find};
use spin::Once;

use crate::memory::{entry, physical, window};

/// What the machine says of itself.
pub struct Firmware {
    /// Processors and interrupt controllers.
    pub madt: Madt,
    /// Power management; absent on firmware without FADT.
    pub fadt: Option<Fadt>,
    /// Event timer.
    pub hpet: Option<Hpet>,
    /// PCI configuration windows.
    pub mcfg: Mcfg,
}

static FIRMWARE: Once<Firmware> = Once::new();

struct ThroughMappings;

impl PhysicalMemory for ThroughMappings {
    fn read(&self, address: u64, to: &mut [u8]) {
        if address + to.len() as u64 <= 1 << 20 {
            window::read_physical(address, to);
        } else if let Ok(mapped) = physical::map_device(address, to.len() as u64, entry::CONSTANT) {
            super::mapped::copy(mapped, to);
        } else {
            to.fill(0);
        }
    }
}

/// Reads the tables. Errors: why there are none to be used, in words.
pub fn read() -> Result<&'static Firmware, TableError> {
    let tables = find(&ThroughMappings)?;
    let madt = Madt::read(&tables).ok_or(TableError::Broken(*b"APIC", 0))?;
    Ok(FIRMWARE.call_once(|| Firmware {
        madt,
        fadt: Fadt::read(&tables),
        hpet: Hpet::read(&tables),
        mcfg: Mcfg::read(&tables),
    }))
}

/// The tables, after [`read`].
pub fn get() -> Option<&'static Firmware> {
    FIRMWARE.get()
}
