//! The machine-check banks a guest kernel sees: two, never reporting anything by themselves.
//!
//! Source: inventory of the PV contract (virtual MCE banks); Intel SDM vol. 3 chapter 15.

use crate::cpuid::Vendor;

/// Banks every guest has.
pub const BANKS: u32 = 2;
/// Count, corrected-error interrupt, threshold and recovery bits of MCG_CAP that Intel guests see; others see the count only.
const CAPABILITIES_INTEL: u64 = BANKS as u64 | 1 << 10 | 1 << 11 | 1 << 24;
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
    /// Reads a machine-check MSR; the control of all banks and banks that do not exist read 0.
    pub fn read(&self, index: u32, vendor: Vendor) -> u64 {
        match index {
            0x179 if vendor == Vendor::Intel => CAPABILITIES_INTEL,
            0x179 => u64::from(BANKS),
            0x17A => self.status,
            0x280..=0x29F => self.control2.get((index - 0x280) as usize).copied().unwrap_or(0),
            0x400..=0x47F if index & 3 == 0 && (index - 0x400) / 4 < BANKS => !0,
            _ => 0,
        }
    }

    /// Writes a machine-check MSR; what is read-only or does not exist ignores it. CTL2 sticks on Intel CPUs only.
    /// Errors: a status, address or information other than 0.
    pub fn write(&mut self, index: u32, value: u64, vendor: Vendor) -> Result<(), Refused> {
        match index {
            0x17A => self.status = value,
            0x280..=0x29F if vendor == Vendor::Intel => {
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
