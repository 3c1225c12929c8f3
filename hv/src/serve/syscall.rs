//! SYSCALL and SYSENTER: hypercalls from the guest's kernel, system calls for it from its user mode.

use pv_cpu::bounce::{self, SystemCall};

use super::Caller;
use crate::fail_point::{Point, hit};

/// A hypercall.
#[inline(always)]
pub fn hypercall(caller: &mut Caller<'_>) {
    #[cfg(feature = "fail-points")]
    if crate::fail_points::call(caller) {
        return;
    }
    hit(Point::before_call(caller.registers.rax));
    hypercalls::dispatch::dispatch(caller);
}

#[inline(always)]
fn pass_on(caller: &mut Caller<'_>, call: SystemCall) {
    let (cpu, registers, mut context) = caller.split();
    if let Err(crash) = bounce::system_call(cpu, registers, &mut context, call) {
        caller.give_up(crash);
    }
}

/// SYSCALL from 64-bit user mode.
#[inline(never)]
pub fn bounce(caller: &mut Caller<'_>) {
    pass_on(caller, SystemCall::Syscall);
}

/// SYSCALL from 32-bit code.
#[inline(never)]
pub fn bounce_compat(caller: &mut Caller<'_>) {
    pass_on(caller, SystemCall::Syscall32);
}

/// SYSENTER.
#[inline(never)]
pub fn bounce_sysenter(caller: &mut Caller<'_>) {
    pass_on(caller, SystemCall::Sysenter);
}
