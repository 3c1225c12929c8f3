//! A guest's debug registers: what it may put into them, and its I/O breakpoints, which are emulated.
//!
//! Instruction and data breakpoints go into the CPU and stay armed while the hypervisor works for the guest, so none may
//! point at the hypervisor. Source: Intel SDM vol. 3 section 17.2; errnos from the inventory.

use abi::{Errno, Result};

use crate::address::is_guest_address;
use crate::control::cr4;

/// Bits of DR6 that read as one.
pub const DR6_ONES: u64 = 0xFFFF_0FF0;
/// Bits of DR6 that read as zero.
const DR6_ZEROS: u64 = !0xFFFF_EFFF;
/// DR6: single step.
pub const DR6_SINGLE_STEP: u64 = 1 << 14;
/// Bits of DR7 that read as one; its value after reset.
pub const DR7_ONES: u64 = 0x400;
/// Bits of DR7 that read as zero.
const DR7_ZEROS: u64 = !0xFFFF_27FF;
/// DR7: fault on access to debug registers.
const DR7_GENERAL_DETECT: u64 = 1 << 13;
/// DR7: the eight enable bits.
pub const DR7_ENABLES: u64 = 0xFF;

/// The debug registers of a vCPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DebugRegisters {
    address: [u64; 4],
    dr6: u64,
    /// As loaded into the CPU.
    dr7: u64,
    /// Enable bits of I/O breakpoints, withheld from the CPU.
    io_enables: u64,
}

impl Default for DebugRegisters {
    fn default() -> Self {
        Self { address: [0; 4], dr6: DR6_ONES, dr7: DR7_ONES, io_enables: 0 }
    }
}

/// What the caller has to load into the CPU after a register changed.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reload {
    /// Nothing: no breakpoint is armed, or DR6 alone changed (the guest reads it from here).
    Nothing,
    /// All of DR0 to DR3 and DR7.
    All,
}

impl DebugRegisters {
    /// DR0 to DR3.
    pub const fn addresses(&self) -> [u64; 4] {
        self.address
    }

    /// DR6 as the guest sees it.
    pub const fn dr6(&self) -> u64 {
        self.dr6
    }

    /// DR7 for the CPU; without [`DR7_ENABLES`] nothing needs loading at a switch.
    #[inline(always)]
    pub const fn hardware_dr7(&self) -> u64 {
        self.dr7
    }

    /// Writes register `index`. Arguments: the register's number, the value, the guest's CR4.
    ///
    /// Errors: `ENODEV` for 4 and 5 under CR4.DE and for numbers above 7; `EINVAL` for bits above 31 in DR6 and DR7; `EPERM` for a breakpoint in the hypervisor's
    /// addresses, DR7.GD, or an I/O breakpoint without CR4.DE.
    pub fn set(&mut self, index: u32, value: u64, guest_cr4: u64) -> Result<Reload> {
        match canonical_index(index, guest_cr4)? {
            6 | 7 if value >> 32 != 0 => Err(Errno::EINVAL),
            6 => {
                self.dr6 = value & !DR6_ZEROS | DR6_ONES;
                Ok(Reload::Nothing)
            }
            7 => self.set_dr7(value, guest_cr4),
            index => {
                let slot = self.address.get_mut(index as usize).ok_or(Errno::ENODEV)?;
                if !is_guest_address(value) {
                    return Err(Errno::EPERM);
                }
                *slot = value;
                Ok(if self.dr7 & DR7_ENABLES != 0 { Reload::All } else { Reload::Nothing })
            }
        }
    }

    fn set_dr7(&mut self, value: u64, guest_cr4: u64) -> Result<Reload> {
        let value = value & !DR7_ZEROS | DR7_ONES;
        if value & DR7_GENERAL_DETECT != 0 {
            return Err(Errno::EPERM);
        }
        let mut io_enables = 0;
        if value & DR7_ENABLES != 0 {
            for breakpoint in 0..4 {
                if breakpoint_kind(value, breakpoint) == KIND_IO {
                    if guest_cr4 & cr4::DEBUG_EXTENSIONS == 0 {
                        return Err(Errno::EPERM);
                    }
                    io_enables |= value & enable_bits(breakpoint);
                }
            }
        }
        let was_armed = self.dr7 & DR7_ENABLES != 0;
        self.io_enables = io_enables;
        self.dr7 = value & !io_enables;
        Ok(if was_armed || self.dr7 & DR7_ENABLES != 0 { Reload::All } else { Reload::Nothing })
    }

    /// Reads register `index`. Arguments: the register's number, the guest's CR4.
    ///
    /// Errors: `ENODEV` for 4 and 5 under CR4.DE and for numbers above 7.
    pub fn get(&self, index: u32, guest_cr4: u64) -> Result<u64> {
        match canonical_index(index, guest_cr4)? {
            6 => Ok(self.dr6),
            7 => Ok(self.dr7 | self.io_enables),
            index => self.address.get(index as usize).copied().ok_or(Errno::ENODEV),
        }
    }

    /// Notes in DR6 why a debug exception is about to be raised. Argument: DR6 bits.
    #[inline]
    pub const fn raise(&mut self, causes: u64) {
        self.dr6 |= causes & !DR6_ZEROS;
    }

    /// DR6 bits of the I/O breakpoints that an access to `width` ports from `port` meets.
    #[inline]
    pub fn io_matches(&self, port: u16, width: u8) -> u64 {
        if self.io_enables == 0 {
            return 0;
        }
        let (first, last) = (u64::from(port), u64::from(port) + u64::from(width) - 1);
        let mut matches = 0;
        for (breakpoint, &address) in (0u32..).zip(&self.address) {
            let span = [0, 1, 7, 3].get((self.dr7 >> (18 + 4 * breakpoint) & 3) as usize).copied().unwrap_or(0);
            let start = address & !span;
            if self.io_enables & enable_bits(breakpoint) != 0 && start <= last && start + span >= first {
                matches |= 1 << breakpoint;
            }
        }
        matches
    }
}

/// DR7's kind field for I/O accesses.
const KIND_IO: u64 = 2;

const fn breakpoint_kind(dr7: u64, breakpoint: u32) -> u64 {
    dr7 >> (16 + 4 * breakpoint) & 3
}

const fn enable_bits(breakpoint: u32) -> u64 {
    3 << (2 * breakpoint)
}

/// DR4 and DR5 are other names of DR6 and DR7, unless CR4.DE takes them away.
fn canonical_index(index: u32, guest_cr4: u64) -> Result<u32> {
    match index {
        4 | 5 if guest_cr4 & cr4::DEBUG_EXTENSIONS != 0 => Err(Errno::ENODEV),
        4 | 5 => Ok(index + 2),
        0..=7 => Ok(index),
        _ => Err(Errno::ENODEV),
    }
}
