//! A sleeping vCPU that is moved between CPUs: its timers go with it, and nothing that wakes it is lost on the way.
//!
//! vCPU 1 sleeps, vCPU 2 moves it by domctl, vCPU 0 wakes it and judges. Command line: `rounds=N` wake-ups.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::events;
use compat_guests::hypercall::call1;
use compat_guests::number::{self, event, vcpu};
use compat_guests::report::{check, result};
use compat_guests::{control, memory, smp, start, time};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

compat_guests::guest!(main);

const MILLISECOND: u64 = 1_000_000;
const SLEEPER: u64 = 1;
const MOVER: u64 = 2;
/// `RUNSTATE_blocked`.
const BLOCKED: u32 = 2;

/// What the sleeper is to do next; it goes back to 0 when that is done.
static ORDER: AtomicU32 = AtomicU32::new(0);
const POLL_UNTIL: u32 = 1;
const POLL_TIMER: u32 = 2;
const POLL_EVENTS: u32 = 3;

static IPI: AtomicU32 = AtomicU32::new(0);
static TIMER: AtomicU32 = AtomicU32::new(0);
/// Wake-ups that the sleeper has seen.
static SEEN: AtomicU64 = AtomicU64::new(0);
/// Moves made; the mover stops when `MOVING` is 0.
static MOVES: AtomicU64 = AtomicU64::new(0);
static MOVING: AtomicU32 = AtomicU32::new(0);

fn main() {
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    for (id, function) in [(SLEEPER, sleeper as extern "C" fn(u64) -> !), (MOVER, mover)] {
        result(format_args!("start.{id}"), smp::start(id, function, id));
        smp::operation(vcpu::STOP_PERIODIC_TIMER, id, 0);
    }
    let (Ok(ipi), Ok(timer)) = (events::bind_ipi(SLEEPER as u32), events::bind_virq(0, SLEEPER as u32)) else {
        result(format_args!("ports"), -1);
        return;
    };
    events::mask(ipi);
    events::mask(timer);
    IPI.store(ipi, SeqCst);
    TIMER.store(timer, SeqCst);
    result(format_args!("affinity"), run_on(0b0010));
    timers_move_along("moved-poll", POLL_UNTIL);
    timers_move_along("moved-singleshot", POLL_TIMER);
    no_wakeup_is_lost(ipi, start::parameter("rounds").unwrap_or(300));
}

/// Says where the sleeper may run.
fn run_on(cpus: u64) -> i64 {
    const SET_AFFINITY: u32 = 9;
    const HARD: u32 = 1;
    let mut map = Buffer::<8>::new().u64(0, cpus);
    let place = map.address();
    let mut request = Buffer::<144>::new()
        .u32(0, SET_AFFINITY)
        .u32(4, control::domctl_version())
        .u32(16, SLEEPER as u32)
        .u32(20, HARD)
        .u64(24, place)
        .u32(32, 8)
        .u64(40, place)
        .u32(48, 8);
    call1(number::DOMCTL, request.address())
}

/// Waits until `is_so`; false after `limit` nanoseconds.
fn within(limit: u64, is_so: impl Fn() -> bool) -> bool {
    let end = time::now() + limit;
    while !is_so() {
        if time::now() > end {
            return false;
        }
        core::hint::spin_loop();
    }
    true
}

fn is_asleep() -> bool {
    let mut info = Buffer::<48>::new();
    smp::operation(vcpu::GET_RUNSTATE_INFO, SLEEPER, info.address()) == 0 && info.get_u32(0) == BLOCKED
}

/// Sends the sleeper to another CPU while it waits for a time: that CPU has to watch the time now.
fn timers_move_along(name: &str, order: u32) {
    for (from, to) in [(0b0010, 0b0100), (0b0100, 0b1000), (0b1000, 0b0010)] {
        run_on(from);
        ORDER.store(order, SeqCst);
        let sleeps = within(5000 * MILLISECOND, is_asleep);
        run_on(to);
        let wakes = within(5000 * MILLISECOND, || ORDER.load(SeqCst) == 0);
        check(name, (sleeps && wakes).into(), format_args!("{from:#x} to {to:#x}: sleeps {sleeps}, wakes {wakes}"));
        if !wakes {
            events::on_port(event::SEND, IPI.load(SeqCst));
            within(1000 * MILLISECOND, || ORDER.load(SeqCst) == 0);
        }
    }
}

/// Wakes the sleeper again and again while it is moved: `rounds` times, and until it was moved as often. On a loaded
/// machine the mover may not run for many rounds.
fn no_wakeup_is_lost(ipi: u32, rounds: u64) {
    events::clear_pending(ipi);
    ORDER.store(POLL_EVENTS, SeqCst);
    MOVING.store(1, SeqCst);
    let end = time::now() + 30_000 * MILLISECOND;
    let (mut lost, mut done) = (0_u64, 0_u64);
    while done < rounds || (MOVES.load(SeqCst) < rounds && time::now() < end) {
        done += 1;
        let before = SEEN.load(SeqCst);
        events::on_port(event::SEND, ipi);
        if !within(3000 * MILLISECOND, || SEEN.load(SeqCst) != before) {
            lost += 1;
            break;
        }
    }
    MOVING.store(0, SeqCst);
    let moves = MOVES.load(SeqCst);
    check("no-wakeup-is-lost", (lost == 0).into(), format_args!("in {done} rounds with {moves} moves"));
    check("it-was-moved", (moves > rounds / 10).into(), format_args!("{moves} times in {done} rounds"));
}

extern "C" fn sleeper(_: u64) -> ! {
    loop {
        let (ipi, timer) = (IPI.load(SeqCst), TIMER.load(SeqCst));
        match ORDER.load(SeqCst) {
            POLL_UNTIL => {
                time::poll(&[ipi], time::now() + 200 * MILLISECOND);
            }
            POLL_TIMER => {
                let mut shot = Buffer::<16>::new().u64(0, time::now() + 200 * MILLISECOND);
                smp::operation(vcpu::SET_SINGLESHOT_TIMER, SLEEPER, shot.address());
                time::poll(&[timer, ipi], 0);
                events::clear_pending(timer);
            }
            POLL_EVENTS => {
                while events::is_pending(ipi) == 0 {
                    time::poll(&[ipi], 0);
                }
                events::clear_pending(ipi);
                SEEN.fetch_add(1, SeqCst);
                continue;
            }
            _ => {
                core::hint::spin_loop();
                continue;
            }
        }
        events::clear_pending(ipi);
        ORDER.store(0, SeqCst);
    }
}

extern "C" fn mover(_: u64) -> ! {
    loop {
        if MOVING.load(SeqCst) != 0 {
            let moves = MOVES.fetch_add(1, SeqCst);
            run_on(1 << (moves % 4));
        }
        core::hint::spin_loop();
    }
}
