//! What other domains cost in instructions, on one CPU: `COST name=instructions`. To go from one domain to another and
//! back, the few of both guests included; to make a domain, to give it memory, to take it down. The other domain is one
//! of the `domains` guest's, made by hand. And whether a domain costs more when there are many.
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
use compat_guests::cost::{row, row_told};
use compat_guests::hypercall::call2;
use compat_guests::number::{self, event, sched, vcpu};
use compat_guests::report::{check, result, value};
use compat_guests::{events, memory, smp, time};
use guest::{Guest, Program};
use toolstack::{DESTROY, MAX_MEM, MAX_VCPUS, UNPAUSE, creation, domctl, populate, request, simple};

compat_guests::guest!(main);

fn main() {
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    toolstack::agree();
    yielding();
    answering();
    making();
    destroying();
    crowding();
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

/// Runs an operation; how many instructions it took.
fn counted(mut operation: impl FnMut()) -> u64 {
    let before = time::tsc();
    operation();
    time::tsc() - before
}

/// A domain without memory, which nobody needs afterwards.
fn making() {
    row_told("domctl: a domain of two vCPUs created", |_| {
        let mut made = creation();
        let mut status = [0; 2];
        let cost = counted(|| {
            status[0] = domctl(&mut made);
            status[1] = domctl(&mut request(MAX_VCPUS, made.get_u16(8)).u32(16, 2));
        });
        let id = made.get_u16(8);
        let gone = simple(DESTROY, id) | guest::until_gone(id);
        check("made", (status == [0, 0] && gone == 0).into(), format_args!("{status:?} {gone}"));
        cost
    });
}

/// What is given to a domain beyond its first frames, in calls of [`EXTENTS`] each.
const CALLS: u64 = 4;
const EXTENTS: usize = 512;
const ALL: i64 = CALLS as i64 * EXTENTS as i64;

fn destroying() {
    row_told("domctl: a running domain of 8 frames destroyed", |_| destroyed_with(|_| ()));
    let mut populated = u64::MAX;
    row_told("domctl: a running domain of 2,056 frames destroyed", |_| {
        destroyed_with(|id| {
            let mut done = 0;
            populated = populated.min(counted(|| done = more(id)) / CALLS);
            check("populated", (done == ALL).into(), format_args!("{done}"));
        })
    });
    row_told("memory: 512 single frames for another domain", |_| populated);
}

/// Gives a domain that many frames; how many it got. Nothing is said meanwhile: a line on the console would be counted.
fn more(id: u16) -> i64 {
    (0..CALLS).map(|call| populate::<EXTENTS>(id, 8 + call * EXTENTS as u64).0).sum()
}

/// Builds a domain, hands it to `prepare`, lets it run, and destroys it; what the last cost.
fn destroyed_with(prepare: impl FnOnce(u16)) -> u64 {
    let Some(other) = Guest::build_silently(Program::FOR_EVER) else { return u64::MAX };
    let allowed = domctl(&mut request(MAX_MEM, other.id).u64(16, 16 << 10));
    prepare(other.id);
    let started = simple(UNPAUSE, other.id);
    let ran = other.runs();
    let mut status = 0;
    let cost = counted(|| status = simple(DESTROY, other.id));
    let gone = guest::until_gone(other.id);
    check(
        "destroyed",
        (allowed == 0 && started == 0 && ran && status == 0 && gone == 0).into(),
        format_args!("{allowed} {started} {ran} {status} {gone}"),
    );
    cost
}

/// Domains at once; the last may cost at most a tenth more than the second.
const CROWD: usize = 20;

/// Makes domains and gives them memory, without taking one down before the last is there.
fn crowding() {
    let mut costs = [0; CROWD];
    let mut ids = [0; CROWD];
    let mut complete = 0;
    for (cost, id) in costs.iter_mut().zip(&mut ids) {
        let mut made = creation();
        *cost = counted(|| {
            let mut status = domctl(&mut made);
            *id = made.get_u16(8);
            status |= domctl(&mut request(MAX_VCPUS, *id).u32(16, 2));
            status |= domctl(&mut request(MAX_MEM, *id).u64(16, 16 << 10));
            complete += u32::from(status == 0 && more(*id) == ALL);
        });
    }
    check("crowd", (complete == CROWD as u32).into(), format_args!("{complete}"));
    let (second, last) = (costs[1], costs[CROWD - 1]);
    check("twentieth-like-second", (last * 10 <= second * 11).into(), format_args!("{last} after {second}"));
    let gone = ids.iter().fold(0, |gone, id| gone | simple(DESTROY, *id) | guest::until_gone(*id));
    check("crowd.gone", (gone == 0).into(), format_args!("{gone}"));
}
