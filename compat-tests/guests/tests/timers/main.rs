//! Time: what the records look like, which timers fire and how often; how late is judged with a wide margin.
#![no_std]
#![no_main]

mod preempted;

use compat_guests::buffer::Buffer;
use compat_guests::events;
use compat_guests::hypercall::{call1, call2};
use compat_guests::number::{self, sched, vcpu};
use compat_guests::report::{check, result, value_at};
use compat_guests::{memory, smp, time};

compat_guests::guest!(main);

const MILLISECOND: u64 = 1_000_000;

fn main() {
    memory::shared_info();
    let Ok(port) = events::bind_virq(0, 0) else {
        result(format_args!("virq"), -1);
        return;
    };
    records();
    boot_tick(port);
    singleshot(port);
    periodic(port);
    preempted::registers_survive(port);
    set_timer(port);
    polls(port);
    block(port);
    runstate();
    secondary_time();
}

/// The records' constant parts, and that time passes and never goes back.
fn records() {
    let [version, _, _, _, _, flags] = time::record(memory::shared_info() + 32);
    value_at(format_args!("record.odd"), version & 1);
    value_at(format_args!("record.flags"), flags & !1);
    let shared = memory::shared_info();
    value_at(format_args!("wallclock.odd"), memory::read(shared + 3072) & 1);
    let seconds = memory::read(shared + 3072) >> 32;
    check("wallclock", (seconds > 1_500_000_000).into(), format_args!("{seconds}"));
    let mut last = time::now();
    let mut back = 0;
    for _ in 0..100_000 {
        let now = time::now();
        back += u32::from(now < last);
        last = now;
    }
    check("monotonic", (back == 0).into(), format_args!("{back} steps back"));
}

/// The 100 Hz tick that every PV vCPU starts with.
fn boot_tick(port: u32) {
    events::enable();
    let before = events::delivered(port);
    time::spin(200 * MILLISECOND);
    let ticks = events::delivered(port) - before;
    check("boot-tick", (5..=25).contains(&ticks).into(), format_args!("{ticks} in 200 ms"));
    result(format_args!("boot-tick.stop"), smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0));
    let before = events::delivered(port);
    time::spin(50 * MILLISECOND);
    let ticks = events::delivered(port) - before;
    check("boot-tick-stopped", (ticks <= 1).into(), format_args!("{ticks} in 50 ms"));
}

fn singleshot(port: u32) {
    for (label, ahead, flags) in [
        ("soon", 5 * MILLISECOND as i64, 0u32),
        ("soon-future", 5 * MILLISECOND as i64, 1),
        ("past", -1, 0),
        ("past-future", -1, 1),
        ("long-past", -(1 << 40), 0),
        ("bad-flags", 5 * MILLISECOND as i64, 0xfffe),
    ] {
        let before = events::delivered(port);
        let mut argument = Buffer::<16>::new().u64(0, time::now().wrapping_add(ahead as u64)).u32(8, flags);
        result(format_args!("singleshot.{label}"), smp::operation(vcpu::SET_SINGLESHOT_TIMER, 0, argument.address()));
        time::spin(40 * MILLISECOND);
        value_at(format_args!("singleshot.{label}.fired"), (events::delivered(port) - before).into());
    }
    let mut argument = Buffer::<16>::new().u64(0, time::now() + 20 * MILLISECOND);
    let before = events::delivered(port);
    smp::operation(vcpu::SET_SINGLESHOT_TIMER, 0, argument.address());
    result(format_args!("singleshot.stop"), smp::operation(vcpu::STOP_SINGLESHOT_TIMER, 0, 0));
    result(format_args!("singleshot.stop-again"), smp::operation(vcpu::STOP_SINGLESHOT_TIMER, 0, 0));
    time::spin(50 * MILLISECOND);
    value_at(format_args!("singleshot.stopped.fired"), (events::delivered(port) - before).into());
    result(format_args!("singleshot.other"), smp::operation(vcpu::SET_SINGLESHOT_TIMER, 1, argument.address()));
}

fn periodic(port: u32) {
    let mut argument = Buffer::<8>::new().u64(0, 4 * MILLISECOND);
    result(format_args!("periodic.set"), smp::operation(vcpu::SET_PERIODIC_TIMER, 0, argument.address()));
    let before = events::delivered(port);
    time::spin(100 * MILLISECOND);
    let ticks = events::delivered(port) - before;
    check("periodic", (10..=30).contains(&ticks).into(), format_args!("{ticks} in 100 ms of 4 ms"));
    result(format_args!("periodic.stop"), smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0));
    let mut short = Buffer::<8>::new().u64(0, MILLISECOND - 1);
    result(format_args!("periodic.short"), smp::operation(vcpu::SET_PERIODIC_TIMER, 0, short.address()));
}

fn set_timer(port: u32) {
    for (label, when, wait) in [
        ("soon", time::now() + 5 * MILLISECOND, 40u64),
        ("past", 1, 40),
        ("negative", u64::MAX - 5, 200),
        ("far", time::now() + (1 << 51), 200),
    ] {
        let before = events::delivered(port);
        let when = if label == "soon" { time::now() + 5 * MILLISECOND } else { when };
        result(format_args!("set-timer.{label}"), call1(number::SET_TIMER_OP, when));
        time::spin(wait * MILLISECOND);
        value_at(format_args!("set-timer.{label}.fired"), (events::delivered(port) - before).into());
    }
    let before = events::delivered(port);
    call1(number::SET_TIMER_OP, time::now() + 20 * MILLISECOND);
    result(format_args!("set-timer.cancel"), call1(number::SET_TIMER_OP, 0));
    time::spin(50 * MILLISECOND);
    value_at(format_args!("set-timer.cancel.fired"), (events::delivered(port) - before).into());
}

/// poll: time-outs, pending ports, masked upcalls.
fn polls(port: u32) {
    events::mask_upcalls();
    events::drain(0);
    let Ok(other) = events::bind_ipi(0) else { return };
    events::mask(other);
    for (label, timeout) in [("past", 1u64), ("soon", 10 * MILLISECOND)] {
        let start = time::now();
        let until = if label == "soon" { start + timeout } else { timeout };
        result(format_args!("poll.{label}"), time::poll(&[other], until));
        let waited = time::now() - start;
        let fits = if label == "soon" {
            (9 * MILLISECOND..200 * MILLISECOND).contains(&waited)
        } else {
            waited < 50 * MILLISECOND
        };
        check(if label == "soon" { "poll-waits" } else { "poll-past" }, fits.into(), format_args!("{waited} ns"));
    }
    events::on_port(number::event::SEND, other);
    let start = time::now();
    result(format_args!("poll.pending"), time::poll(&[other], start + 1000 * MILLISECOND));
    check("poll-pending", (time::now() - start < 500 * MILLISECOND).into(), format_args!("{} ns", time::now() - start));
    events::clear_pending(other);
    let mut shot = Buffer::<16>::new().u64(0, time::now() + 5 * MILLISECOND);
    smp::operation(vcpu::SET_SINGLESHOT_TIMER, 0, shot.address());
    let start = time::now();
    result(format_args!("poll.timer-port"), time::poll(&[other, port], start + 2000 * MILLISECOND));
    check(
        "poll-timer-port",
        (time::now() - start < 1000 * MILLISECOND).into(),
        format_args!("{} ns", time::now() - start),
    );
    value_at(format_args!("poll.timer-port.pending"), events::is_pending(port));
    events::drain(0);
    events::on_port(number::event::CLOSE, other);
}

/// block until the timer's upcall.
fn block(port: u32) {
    events::enable();
    for round in 0..3 {
        events::mask_upcalls();
        let before = events::delivered(port);
        let mut shot = Buffer::<16>::new().u64(0, time::now() + 10 * MILLISECOND);
        smp::operation(vcpu::SET_SINGLESHOT_TIMER, 0, shot.address());
        result(format_args!("block.{round}"), call2(number::SCHED_OP, sched::BLOCK, 0));
        value_at(format_args!("block.{round}.fired"), (events::delivered(port) - before).into());
    }
}

/// Registers an area for this vCPU.
fn register_at(operation: u64, address: u64) -> i64 {
    smp::operation(operation, 0, Buffer::<8>::new().u64(0, address).address())
}

fn runstate() {
    let mut info = Buffer::<48>::new();
    result(format_args!("runstate.get"), smp::operation(vcpu::GET_RUNSTATE_INFO, 0, info.address()));
    value_at(format_args!("runstate.get.state"), info.get_u32(0).into());
    let area = memory::page();
    for (label, assist) in [("plain", 1u64), ("flag", 0)] {
        result(format_args!("runstate.{label}.assist"), call2(number::VM_ASSIST, assist, 5));
        result(format_args!("runstate.{label}.register"), register_at(vcpu::REGISTER_RUNSTATE, area));
        value_at(format_args!("runstate.{label}.state"), memory::read(area) & 0xffff_ffff);
        value_at(format_args!("runstate.{label}.updating"), memory::read(area + 8) >> 63);
        let blocked = memory::read(area + 32);
        events::mask_upcalls();
        let mut shot = Buffer::<16>::new().u64(0, time::now() + 20 * MILLISECOND);
        smp::operation(vcpu::SET_SINGLESHOT_TIMER, 0, shot.address());
        call2(number::SCHED_OP, sched::BLOCK, 0);
        let slept = memory::read(area + 32) - blocked;
        check(
            "runstate-blocked",
            (10 * MILLISECOND..500 * MILLISECOND).contains(&slept).into(),
            format_args!("{label}: {slept} ns"),
        );
        let [running, runnable, blocked, offline] = [16u64, 24, 32, 40].map(|at| memory::read(area + at));
        check("runstate-running", (running > 0).into(), format_args!("{running} {runnable} {blocked} {offline}"));
    }
    // Areas that do not fit below the end of the address space: whether they are taken or not, nobody is harmed.
    for (label, assist) in [("plain", 1u64), ("flag", 0)] {
        call2(number::VM_ASSIST, assist, 5);
        for short in [4u64, 8, 16, 40] {
            let answer = register_at(vcpu::REGISTER_RUNSTATE, short.wrapping_neg());
            result(format_args!("runstate.{label}.end-{short}"), answer);
            call2(number::SCHED_OP, sched::YIELD, 0);
        }
    }
    result(format_args!("runstate.again"), register_at(vcpu::REGISTER_RUNSTATE, area));
    call2(number::VM_ASSIST, 1, 5);
}

fn secondary_time() {
    let area = memory::page();
    result(format_args!("secondary.register"), register_at(vcpu::REGISTER_TIME, area + 64));
    let [version, _, system, multiplier, shift, flags] = time::record(area + 64);
    let primary = time::record(memory::shared_info() + 32);
    value_at(format_args!("secondary.odd"), version & 1);
    check(
        "secondary",
        (multiplier == primary[3] && shift == primary[4] && flags == primary[5] && system != 0).into(),
        format_args!("{system:x}"),
    );
    for short in [4u64, 8, 16] {
        result(format_args!("secondary.end-{short}"), register_at(vcpu::REGISTER_TIME, short.wrapping_neg()));
        call2(number::SCHED_OP, sched::YIELD, 0);
    }
    result(format_args!("secondary.again"), register_at(vcpu::REGISTER_TIME, area + 64));
}
