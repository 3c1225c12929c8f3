//! How soon a domain runs again when it is woken, while three domains that never sleep share its only CPU: dom0 by its own
//! timer, and a domain that answers events, there and back. Weights are all the same. Time is counted in instructions, so
//! that the emulator's host has no part in it; the runner compares the figures with Xen's.
#![no_std]
#![no_main]

// These serve other guests too.
#[allow(dead_code)]
#[path = "../domains/guest.rs"]
mod guest;
#[allow(dead_code)]
#[path = "../hostile/random.rs"]
mod random;
#[allow(dead_code)]
#[path = "../domains/toolstack.rs"]
mod toolstack;

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::call2;
use compat_guests::number::{self, event, vcpu};
use compat_guests::report::{check, result, value};
use compat_guests::{events, memory, say, smp, time};
use guest::{Guest, Program};
use random::Random;
use toolstack::{DESTROY, UNPAUSE, simple};

compat_guests::guest!(main);

/// Wake-ups that are measured.
const WAKES: usize = 200;
/// Nanoseconds between two of them, at least, and how much more at most: no multiple of any slice.
const PAUSE: u64 = 2_000_000;
const SPREAD: u64 = 7_000_000;
/// Nanoseconds until everybody has had turns.
const SETTLING: u64 = 200_000_000;
/// What nobody may ever wait.
const LIMIT: u64 = 1_000_000_000;

fn main() {
    toolstack::as_asked();
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    let neighbours = [(); 3].map(|()| Guest::build_silently(Program::SPIN));
    let Some(other) = Guest::build_silently(Program::ANSWER) else { return };
    let Some(port) = connect(&other) else { return };
    for guest in neighbours.iter().flatten().chain([&other]) {
        result(format_args!("start"), simple(UNPAUSE, guest.id));
    }
    sleep_until(time::now() + SETTLING);
    let mut random = Random::new(1);
    measure("timer", &mut random, |due| {
        sleep_until(due);
        time::now() - due
    });
    measure("answer", &mut random, |due| {
        sleep_until(due);
        let before = time::now();
        events::on_port(event::SEND, port);
        while events::is_pending(port) == 0 {
            time::poll(&[port], before + LIMIT);
        }
        let took = time::now() - before;
        events::clear_pending(port);
        took
    });
    for guest in neighbours.iter().flatten().chain([&other]) {
        result(format_args!("destroy"), simple(DESTROY, guest.id));
        result(format_args!("gone"), guest::until_gone(guest.id));
    }
    value("done", 1);
}

/// An event channel to the domain that answers.
fn connect(other: &Guest) -> Option<u32> {
    let mut unbound = Buffer::<8>::new().u16(0, other.id).u16(2, 0);
    call2(number::EVENT_CHANNEL_OP, event::ALLOC_UNBOUND, unbound.address());
    let port = events::bind_interdomain(other.id, unbound.get_u32(4)).ok()?;
    events::clear_pending(port);
    Some(port)
}

fn sleep_until(due: u64) {
    while time::now() < due {
        time::poll(&[], due);
    }
}

/// Wakes up again and again; how long it took, by rank.
fn measure(name: &str, random: &mut Random, mut wake: impl FnMut(u64) -> u64) {
    let mut took: [u64; WAKES] = core::array::from_fn(|_| wake(time::now() + PAUSE + random.below(SPREAD)));
    took.sort_unstable();
    say!("FIGURE {name}.median={}", took[WAKES / 2]);
    say!("FIGURE {name}.ninth-decile={}", took[WAKES * 9 / 10]);
    say!("FIGURE {name}.worst={}", took[WAKES - 1]);
    check(name, (took[WAKES - 1] < LIMIT).into(), format_args!("{} ns at worst", took[WAKES - 1]));
}
