//! What it costs in instructions to go from one domain to another and back, on one CPU: `COST name=instructions`, the
//! few of both guests included. The other domain is one of the `domains` guest's, made by hand.
#![no_std]
#![no_main]

// Both serve the other guest too.
#[allow(dead_code)]
#[path = "../domains/guest.rs"]
mod guest;
#[allow(dead_code)]
#[path = "../domains/toolstack.rs"]
mod toolstack;

use compat_guests::buffer::Buffer;
use compat_guests::cost::row;
use compat_guests::hypercall::call2;
use compat_guests::number::{self, event, sched, vcpu};
use compat_guests::report::{check, result, value};
use compat_guests::{events, memory, smp, time};
use guest::{Guest, Program};
use toolstack::{DESTROY, UNPAUSE, simple};

compat_guests::guest!(main);

fn main() {
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    toolstack::agree();
    yielding();
    answering();
    value("done", 1);
}

/// The other domain counts and yields.
fn yielding() {
    let Some(other) = Guest::build_silently(Program::FOR_EVER) else { return };
    result(format_args!("yielding.start"), simple(UNPAUSE, other.id));
    check("runs", other.runs().into(), format_args!(""));
    let before = other.read_word();
    let mut turns = 0;
    row("two domains, one CPU: yield to the other and back", |_| {
        turns += 1;
        call2(number::SCHED_OP, sched::YIELD, 0);
    });
    // A yield that came back without the other's turn would be another operation.
    let counted = other.read_word() - before;
    check("takes-turns", (counted >= turns).into(), format_args!("{counted} of {turns}"));
    end(&other);
}

/// The other domain polls a port and answers on it.
fn answering() {
    let Some(other) = Guest::build_silently(Program::ANSWER) else { return };
    let mut unbound = Buffer::<8>::new().u16(0, other.id).u16(2, 0);
    result(format_args!("answering.port"), call2(number::EVENT_CHANNEL_OP, event::ALLOC_UNBOUND, unbound.address()));
    value("answering.remote", u64::from(unbound.get_u32(4)));
    let Ok(port) = events::bind_interdomain(other.id, unbound.get_u32(4)) else { return };
    events::clear_pending(port);
    result(format_args!("answering.start"), simple(UNPAUSE, other.id));
    row("two domains, one CPU: event there and back, both polling", |_| {
        events::on_port(event::SEND, port);
        while events::is_pending(port) == 0 {
            time::poll(&[port], 0);
        }
        events::clear_pending(port);
    });
    end(&other);
}

fn end(other: &Guest) {
    result(format_args!("destroy"), simple(DESTROY, other.id));
    result(format_args!("gone"), guest::until_gone(other.id));
}
