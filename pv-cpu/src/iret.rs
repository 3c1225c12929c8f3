//! The iret hypercall: back to where a frame on the guest kernel's stack says.
//!
//! The frame, 72 bytes at rsp: rax, r11, rcx, flags, rip, cs, rflags, rsp, ss. It is read once; every word of it is a
//! wish. Source: Xen public header `arch-x86/xen-x86_64.h` (`struct iret_context`).

use crate::address::is_guest_span;
use crate::bounce::Crash;
use crate::flags;
use crate::registers::Registers;
use crate::selector::{FLAT_CODE_32, FLAT_CODE_64, FLAT_STACK, guest_selector};
use crate::trap_table::Mode;
use crate::vcpu::{GuestContext, IoplView, VirtualCpu};

/// Bit of the frame's flags word: return as SYSRET does, which overwrites rcx and r11 and loads the flat selectors.
pub const IN_SYSCALL: u64 = 1 << 8;

/// Applies the frame at `registers.rsp`. The caller re-evaluates pending events afterwards: the upcall mask follows the
/// frame's IF.
///
/// Errors: the guest must be crashed.
#[inline(always)]
pub fn iret<C: GuestContext>(cpu: &mut VirtualCpu, registers: &mut Registers, context: &mut C) -> Result<(), Crash> {
    let at = registers.rsp;
    if !is_guest_span(at, 72) {
        return Err(Crash::IretFrameUnreadable(at));
    }
    let Ok([rax, r11, rcx, how, rip, cs, rflags, rsp, ss]) = context.read_iret_frame(at) else {
        return Err(Crash::IretFrameUnreadable(at));
    };
    if cs & 3 == 3 {
        if !context.switch_to_user() {
            return Err(Crash::NoUserPageTable);
        }
        cpu.mode = Mode::User;
    }
    if context.iopl_view() == IoplView::Architectural {
        core::hint::cold_path();
        cpu.iopl = ((rflags & flags::IOPL) >> flags::IOPL_SHIFT) as u8;
    }
    registers.rax = rax;
    registers.rip = rip;
    registers.rsp = rsp;
    registers.rflags = flags::guest_flags(rflags);
    if how & IN_SYSCALL == 0 {
        registers.entry_vector &= !Registers::SYSCALL;
        registers.r11 = r11;
        registers.rcx = rcx;
        registers.cs = u64::from(guest_selector(cs as u16));
        registers.ss = u64::from(guest_selector(ss as u16));
    } else {
        return_from_syscall(registers, guest_selector(cs as u16));
    }
    context.set_upcall_mask(u8::from(rflags & flags::INTERRUPT == 0));
    cpu.async_mask.leave();
    Ok(())
}

/// Sets the registers as SYSRET would leave them, so that it makes no difference which instruction goes back.
#[inline(always)]
fn return_from_syscall(registers: &mut Registers, cs: u16) {
    registers.rflags &= !flags::RESUME;
    registers.cs = u64::from(if cs == FLAT_CODE_32 { FLAT_CODE_32 } else { FLAT_CODE_64 });
    registers.ss = u64::from(FLAT_STACK);
    registers.rcx = registers.rip;
    registers.r11 = registers.rflags;
    registers.entry_vector |= Registers::SYSCALL;
}
