//! SYSCALL and SYSENTER: hypercalls from the guest's kernel, system calls for it from its user mode.

use hypercalls::outcome::Outcome;
use pv_cpu::bounce::{self, SystemCall};

use super::Caller;
use crate::fail_point::{Point, hit};

/// Length of the SYSCALL instruction, which a continued call runs again.
const SYSCALL_LENGTH: u64 = 2;

/// A hypercall.
#[inline(always)]
pub fn hypercall(caller: &mut Caller<'_>) {
    #[cfg(feature = "fail-points")]
    if crate::fail_points::call(caller) {
        return;
    }
    let number = caller.registers.rax;
    hit(Point::before_call(number));
    let outcome = hypercalls::dispatch::dispatch(caller);
    hit(Point::after_call(number));
    match outcome {
        Outcome::Done(value) => caller.registers.rax = value,
        Outcome::Continue { call, arguments } => {
            let registers = &mut *caller.registers;
            registers.rax = u64::from(call);
            [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, _] = arguments;
            registers.rip = registers.rip.wrapping_sub(SYSCALL_LENGTH);
        }
        Outcome::CrashGuest(why) => caller.crash(why),
        Outcome::RegistersReplaced => {}
    }
}

fn pass_on(caller: &mut Caller<'_>, call: SystemCall) {
    let (state, registers, mut context) = caller.split();
    if let Err(crash) = bounce::system_call(&mut state.virtual_cpu, registers, &mut context, call) {
        caller.crash(crash.reason());
    }
}

/// SYSCALL from 64-bit user mode.
#[inline]
pub fn bounce(caller: &mut Caller<'_>) {
    pass_on(caller, SystemCall::Syscall);
}

/// SYSCALL from 32-bit code.
pub fn bounce_compat(caller: &mut Caller<'_>) {
    pass_on(caller, SystemCall::Syscall32);
}

/// SYSENTER.
pub fn bounce_sysenter(caller: &mut Caller<'_>) {
    pass_on(caller, SystemCall::Sysenter);
}
