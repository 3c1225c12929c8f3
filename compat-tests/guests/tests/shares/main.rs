//! How domains that never sleep share one CPU, by weight and by cap, while dom0 sleeps. Time is counted in instructions,
//! so that the emulator's host has no part in it. Shares are judged to 3 % of what is due.
#![no_std]
#![no_main]

// Both serve the other guests too.
#[allow(dead_code)]
#[path = "../domains/guest.rs"]
mod guest;
#[allow(dead_code)]
#[path = "../domains/toolstack.rs"]
mod toolstack;

use compat_guests::number::vcpu;
use compat_guests::report::{check, result, value};
use compat_guests::{memory, smp, time};
use guest::{Guest, Program};
use toolstack::{DESTROY, SCHEDULER, UNPAUSE, VCPU_INFO, domctl, request, simple};

compat_guests::guest!(main);

/// `XEN_SCHEDULER_CREDIT2`; command `XEN_DOMCTL_SCHEDOP_putinfo`.
const CREDIT2: u32 = 6;
const PUT: u32 = 0;
/// Nanoseconds of a measurement, and before it.
const SPAN: u64 = 2_000_000_000;
const SETTLING: u64 = 200_000_000;

fn main() {
    toolstack::as_asked();
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    let made = [(); 3].map(|()| Guest::build_silently(Program::SPIN));
    let [Some(light), Some(middle), Some(heavy)] = &made else { return };
    let all = [light, middle, heavy];
    for guest in all {
        result(format_args!("start"), simple(UNPAUSE, guest.id));
    }
    measure("weights", all, [256, 512, 1024]);
    measure("equal", all, [1024; 3]);
    capped(all);
    for guest in all {
        result(format_args!("destroy"), simple(DESTROY, guest.id));
        result(format_args!("gone"), guest::until_gone(guest.id));
    }
    value("done", 1);
}

/// Sets weights, and sees who gets how much of what all got.
fn measure(name: &str, all: [&Guest; 3], weights: [u64; 3]) {
    for (guest, weight) in all.iter().zip(weights) {
        result(format_args!("{name}.weight"), set(guest, weight as u16, 0));
    }
    let shares = spent(all);
    let total: u64 = shares.iter().sum();
    let sum: u64 = weights.iter().sum();
    for (index, (share, weight)) in shares.iter().zip(weights).enumerate() {
        let (got, due) = (share * 10_000 / total.max(1), weight * 10_000 / sum);
        let is_fair = got.abs_diff(due) * 100 <= 3 * due;
        check("share", is_fair.into(), format_args!("{name} {index}: {got} of 10000, {due} are due"));
    }
}

/// A quarter and three quarters of the CPU for one alone.
fn capped(all: [&Guest; 3]) {
    let [alone, others @ ..] = all;
    for guest in others {
        result(format_args!("pause"), simple(toolstack::PAUSE, guest.id));
    }
    for cap in [25, 75] {
        result(format_args!("cap"), set(alone, 256, cap));
        let [got, ..] = spent(all);
        let (got, due) = (got * 10_000 / SPAN, u64::from(cap) * 100);
        check("cap", (got.abs_diff(due) * 100 <= 3 * due).into(), format_args!("{got} of 10000, {due} are due"));
    }
}

fn set(guest: &Guest, weight: u16, cap: u16) -> i64 {
    domctl(&mut request(SCHEDULER, guest.id).u32(16, CREDIT2).u32(20, PUT).u16(24, weight).u16(26, cap))
}

/// Nanoseconds of CPU that each gets while dom0 sleeps.
fn spent(all: [&Guest; 3]) -> [u64; 3] {
    sleep(SETTLING);
    let before = all.map(used);
    sleep(SPAN);
    let after = all.map(used);
    core::array::from_fn(|index| after[index] - before[index])
}

fn sleep(nanoseconds: u64) {
    let end = time::now() + nanoseconds;
    while time::now() < end {
        time::poll(&[], end);
    }
}

fn used(guest: &Guest) -> u64 {
    let mut asked = request(VCPU_INFO, guest.id);
    domctl(&mut asked);
    asked.get_u64(24)
}
