//! `SCHEDOP_pin_override`: binding the caller to a CPU for a while, and what its affinity is then and afterwards.

use compat_guests::buffer::Buffer;
use compat_guests::control::{domctl, make, make_domctl, sysctl};
use compat_guests::hypercall::{call1, call2};
use compat_guests::number;
use compat_guests::report::{result, value_at};

use crate::{affinity_call, show};

const ALL: u64 = u64::MAX;
/// `XENPF_cpu_online` and `XENPF_cpu_offline`.
const ON: u32 = 56;
const OFF: u32 = 57;

fn bind(cpu: i32) -> i64 {
    let mut argument = Buffer::<8>::new().u32(0, cpu as u32);
    call2(number::SCHED_OP, 7, argument.address())
}

/// What is told of vCPU 0: its affinities, and the CPU it is on.
fn tell(label: &str) {
    show(format_args!("bind.{label}"), &affinity_call(25, 0, 3, (0, 64), (0, 64)));
    let mut told = domctl(14, 0).u32(16, 0);
    make_domctl(&mut told);
    value_at(format_args!("bind.{label}.cpu"), told.get_u32(32).into());
}

fn step(label: &str, cpu: i32) {
    result(format_args!("bind.{label}"), bind(cpu));
    tell(label);
}

fn affinity(label: &str, flags: u32, hard: u64, soft: u64) {
    show(format_args!("bind.set.{label}"), &affinity_call(9, 0, flags, (hard, 64), (soft, 64)));
    tell(label);
}

fn pool(label: &str, operation: u32, pool: u32, cpu: u32) {
    let mut asked = sysctl(18).u32(8, operation).u32(12, pool).u32(16, 6).u32(20, 0).u32(24, cpu);
    result(format_args!("bind.pool.{label}"), make(&mut asked));
}

/// The single cases; vCPU 0 makes the calls. The CPU is told only where it is bound to one.
pub fn all() {
    affinity("one", 3, 1, ALL);
    step("end.none", -1);
    for cpu in [4, 63, 64, 100, 8192, i32::MAX] {
        result(format_args!("bind.absent.{cpu}"), bind(cpu));
    }
    step("two", 2);
    step("two.again", 2);
    step("three.taken", 3);
    for cpu in [4, 63, 64, i32::MAX] {
        result(format_args!("bind.taken.absent.{cpu}"), bind(cpu));
    }
    affinity("taken.hard", 1, 1, 0);
    affinity("taken.soft", 2, 0, 6);
    affinity("taken.hard.same", 1, 4, 0);
    step("end", -1);
    step("end.again", -2);
    affinity("two-cpus", 3, 2, 6);
    step("outside", 3);
    step("outside.end", i32::MIN);
    step("inside", 1);
    affinity("forced.soft", 2 | 4, 0, 12);
    step("forced.soft.end", -1);
    affinity("one-again", 1, 1, 0);
    step("forced.soft.outside", 3);
    affinity("forced.soft.then", 2 | 4, 0, 6);
    step("forced.soft.then.end", -1);
    affinity("one-more", 1, 1, 0);
    step("forced.start", 3);
    affinity("forced.hard", 1 | 4, 4, 0);
    step("forced.hard.end", -1);
    affinity("everywhere", 3, 1, ALL);
    step("forced.both.start", 3);
    affinity("forced.both", 3 | 4, 8, 6);
    step("forced.both.end", -1);
    affinity("forced.without", 1 | 4, 1, 0);
    pools();
    out_of_service();
    affinity("last", 3, 1, ALL);
}

/// The CPU it is bound to leaves the pool; and a bound vCPU's domain moves to another.
fn pools() {
    step("pools.three", 3);
    pool("remove.bound", 5, 0, 3);
    tell("pools.removed");
    result(format_args!("bind.pools.rebind"), bind(3));
    step("pools.end", -1);
    // Xen has taken it half away by then, and takes it back; here nothing was done.
    make(&mut sysctl(18).u32(8, 4).u32(12, 0).u32(24, 3));
    pool("remove.two", 5, 0, 2);
    result(format_args!("bind.pools.other"), bind(2));
    tell("pools.other");
    step("pools.other.end", -1);
    pool("create", 1, 9, 0);
    pool("give", 4, 9, 2);
    step("pools.one", 1);
    pool("move", 6, 9, 0);
    tell("pools.moved");
    step("pools.moved.end", -1);
    pool("back", 6, 0, 0);
    tell("pools.back");
    step("pools.back.end", -1);
    pool("take", 5, 9, 2);
    pool("destroy", 2, 9, 0);
    pool("refill", 4, 0, 2);
}

/// The CPU it is bound to goes out of service.
fn out_of_service() {
    let change = |label: &str, cpu: u32, command: u32| {
        let mut asked = Buffer::<136>::new().u32(0, command).u32(4, 0x0300_0001).u32(8, cpu);
        result(format_args!("bind.{label}"), call1(number::PLATFORM_OP, asked.address()));
    };
    step("service.three", 3);
    change("service.off", 3, OFF);
    tell("service.off");
    step("service.end", -1);
    change("service.on", 3, ON);
    change("service.off.two", 2, OFF);
    result(format_args!("bind.service.absent"), bind(2));
    change("service.on.two", 2, ON);
}
