//! The machine-check banks a guest kernel sees: two, never reporting anything by themselves.
//!
//! Source: inventory of the PV contract (virtual MCE banks); Intel SDM vol. 3 chapter 15.

use crate::cpuid::Vendor;

/// Banks every guest has.
pub const BANKS: u32 = 2;
/// Count, threshold and recovery bits of MCG_CAP that Intel guests see; others see the count only.
const CAPABILITIES_INTEL: u64 = BANKS as u64 | 1 << 11 | 1 << 24;
/// CTL2 bits that stick: threshold and interrupt enable.
const CONTROL2_KNOWN: u64 = 0x7FFF | 1 << 30;

/// One vCPU's banks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MachineCheck {
    status: u64,
    control2: [u64; BANKS as usize],
}

/// A write that a real bank would fault on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused;

impl MachineCheck {
    /// Reads a machine-check MSR; banks that do not exist read 0. Errors: an MSR without its capability bit.
    pub fn read(&self, index: u32, vendor: Vendor) -> Result<u64, Refused> {
        match index {
            0x179 if vendor == Vendor::Intel => Ok(CAPABILITIES_INTEL),
            0x179 => Ok(u64::from(BANKS)),
            0x17A => Ok(self.status),
            0x17B | 0x4D0 => Err(Refused),
            0x280..=0x29F => Ok(self.control2.get((index - 0x280) as usize).copied().unwrap_or(0)),
            0x400..=0x47F if index & 3 == 0 && (index - 0x400) / 4 < BANKS => Ok(!0),
            _ => Ok(0),
        }
    }

    /// Writes a machine-check MSR. Errors: a status other than 0, a read-only MSR, or one without its capability bit.
    pub fn write(&mut self, index: u32, value: u64) -> Result<(), Refused> {
        match index {
            0x17A => self.status = value,
            0x179 | 0x17B | 0x4D0 => return Err(Refused),
            0x280..=0x29F => {
                if let Some(control) = self.control2.get_mut((index - 0x280) as usize) {
                    *control = value & CONTROL2_KNOWN;
                }
            }
            0x400..=0x47F if index & 3 != 0 && (index - 0x400) / 4 < BANKS && value != 0 => return Err(Refused),
            _ => {}
        }
        Ok(())
    }
}
