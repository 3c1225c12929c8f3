//! Two vCPUs against each other: vCPU 0 makes calls and judges, vCPU 1 spoils what they depend on.
//!
//! Nothing here depends on who wins: each property holds in every order, on Xen too. Command line: `rounds=N` of each
//! race. How often the spoiler got a turn is judged, so that a run in which nothing met is no success.
#![no_std]
#![no_main]

mod arguments;
mod frames;
mod grants;
mod ports;
mod spoiler;
mod tables;

use compat_guests::{memory, number, smp, start};

compat_guests::guest!(main);

fn main() {
    smp::operation(number::vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    spoiler::start();
    let rounds = start::parameter("rounds").unwrap_or(300);
    arguments::race(rounds);
    tables::race(rounds);
    grants::race(rounds);
    frames::race(rounds);
    ports::race(rounds);
}
