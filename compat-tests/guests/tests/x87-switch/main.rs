//! Two vCPUs on one CPU with x87 state each: neither sees where the other's last operation was, and neither loses its
//! own values, whether CR0.TS is set or clear when it leaves.
//!
//! The CPU has no XSAVE, so that FXSAVE and FXRSTOR are what changes the state: the emulator's heed CR0.TS, and they do
//! not touch the addresses of the last operation.
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use compat_guests::hypercall::{call1, call2};
use compat_guests::memory;
use compat_guests::number::{self, sched, vcpu};
use compat_guests::report::{check, result, value_at};
use compat_guests::smp;

compat_guests::guest!(main);

/// Whose turn it is: a vCPU waits for its own number.
static TURN: AtomicU32 = AtomicU32::new(0);
const ROUNDS: u32 = 20;
/// Rounds in which the second vCPU saw the first one's addresses, and in which it lost its own value.
static SEEN: AtomicU32 = AtomicU32::new(0);
static LOST: AtomicU32 = AtomicU32::new(0);
/// Address of the operation of the first vCPU and of its operand, low halves, as FNSTENV stores them.
static FIRST: AtomicU64 = AtomicU64::new(0);

/// Instruction and data address of the last x87 operation, low halves, as one word.
fn last_operation() -> u64 {
    let mut environment = [0_u32; 7];
    // SAFETY: FNSTENV writes 28 bytes; it masks the exceptions, which nobody here has unmasked.
    unsafe { asm!("fnstenv [{}]", in(reg) environment.as_mut_ptr(), options(nostack)) };
    u64::from(environment[5]) << 32 | u64::from(environment[3])
}

/// Puts a number on top of an emptied x87 stack; gives back where that operation and its operand were.
fn load(operand: &u32) -> u64 {
    let at: u64;
    // SAFETY: reads the operand; nothing else here uses x87 registers.
    unsafe {
        asm!("fninit", "lea {at}, [rip + 2f]", "2:", "fild dword ptr [{operand}]",
            at = out(reg) at, operand = in(reg) operand, options(nostack));
    }
    (operand as *const u32 as u64) << 32 | at & 0xffff_ffff
}

/// The number on top of the x87 stack.
fn top() -> u32 {
    let mut value = 0_u32;
    // SAFETY: writes the four bytes of `value`.
    unsafe { asm!("fist dword ptr [{}]", in(reg) &mut value, options(nostack)) };
    value
}

fn wait_for(turn: u32) {
    while TURN.load(SeqCst) != turn {
        call2(number::SCHED_OP, sched::YIELD, 0);
    }
}

/// Lets the other vCPU have its turn and comes back after it.
fn hand_over(own: u32) {
    TURN.store(1 - own, SeqCst);
    wait_for(own);
}

extern "C" fn second(_: u64) -> ! {
    let operand = 777;
    let mut own = None;
    loop {
        wait_for(1);
        let now = last_operation();
        SEEN.fetch_add(u32::from(now == FIRST.load(SeqCst)), SeqCst);
        if own.is_some() {
            LOST.fetch_add(u32::from(top() != operand), SeqCst);
        }
        own = Some(load(&operand));
        TURN.store(0, SeqCst);
    }
}

fn main() {
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    let operand = 555;
    FIRST.store(load(&operand), SeqCst);
    value_at(format_args!("own-addresses"), u64::from(last_operation() == FIRST.load(SeqCst)));
    result(format_args!("second"), smp::start(1, second, 0));
    let mut lost = 0;
    for _ in 0..ROUNDS {
        FIRST.store(load(&operand), SeqCst);
        hand_over(0);
        lost += u32::from(top() != operand);
    }
    check(
        "addresses-stay-private",
        (SEEN.load(SeqCst) == 0).into(),
        format_args!("{} of {ROUNDS} seen", SEEN.load(SeqCst)),
    );
    for _ in 0..ROUNDS {
        FIRST.store(load(&operand), SeqCst);
        call1(number::FPU_TASKSWITCH, 1);
        hand_over(0);
        call1(number::FPU_TASKSWITCH, 0);
        lost += u32::from(top() != operand);
    }
    let lost = [lost, LOST.load(SeqCst)];
    check("values-stay", (lost == [0, 0]).into(), format_args!("lost {} and {}", lost[0], lost[1]));
    check("addresses-stay-private-ts", (SEEN.load(SeqCst) == 0).into(), format_args!("{} seen", SEEN.load(SeqCst)));
}
