//! The one predicate that every return to a PV guest passes.
//!
//! Whatever wrote the registers (a bounce, iret, a context set by the toolstack, a continuation), the exit gate asks here
//! before it loads them. A violation is a bug of ours, contained as such. Selectors that pass can still make IRET fault,
//! because their descriptors are the guest's; the gate's fixup raises that fault in the guest.
//! Source: Intel SDM vol. 2 IRET, SYSRET; SYSRET with a non-canonical rip faults in ring 0 on Intel CPUs.

use crate::address::is_canonical;
use crate::flags;
use crate::registers::Registers;
use crate::selector::{FLAT_CODE_64, FLAT_STACK};

/// How to go back; the exit stub knows the values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ReturnPath {
    /// IRET.
    Iret = 0,
    /// SYSRET: the flat selectors, a canonical rip, no RF, rcx and r11 free to be overwritten.
    Sysret = 1,
}

/// What must never be loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// Interrupts off, IOPL, VM, VIF, VIP or an undefined flag on; the flags.
    Flags(u64),
    /// A code selector whose privilege level is not 3.
    CodeSelector(u16),
    /// A stack selector whose privilege level is not 3.
    StackSelector(u16),
}

const FLAT_STACK_WORD: u64 = FLAT_STACK as u64;
const FLAT_CODE_WORD: u64 = FLAT_CODE_64 as u64;

/// Whether the registers may be loaded, and by which instruction. Errors: a broken invariant of the hypervisor.
#[inline(always)]
pub const fn check_return(registers: &Registers) -> Result<ReturnPath, Violation> {
    if registers.rflags & !flags::GUEST_OWNED != flags::GUEST_FORCED {
        return Err(Violation::Flags(registers.rflags));
    }
    // The ordinary case in one comparison each; the others look at everything again, out of line.
    if registers.cs != FLAT_CODE_WORD {
        return check_in_full(registers);
    }
    if registers.ss != FLAT_STACK_WORD {
        return check_in_full(registers);
    }
    if registers.may_sysret() && is_canonical(registers.rip) && registers.rflags & flags::RESUME == 0 {
        return Ok(ReturnPath::Sysret);
    }
    Ok(ReturnPath::Iret)
}

#[inline(never)]
const fn check_in_full(registers: &Registers) -> Result<ReturnPath, Violation> {
    if registers.rflags & !flags::GUEST_OWNED != flags::GUEST_FORCED {
        return Err(Violation::Flags(registers.rflags));
    }
    if registers.cs & 3 != 3 {
        return Err(Violation::CodeSelector(registers.cs as u16));
    }
    if registers.ss & 3 != 3 {
        return Err(Violation::StackSelector(registers.ss as u16));
    }
    Ok(ReturnPath::Iret)
}
