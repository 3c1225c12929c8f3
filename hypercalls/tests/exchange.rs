//! memory_op exchange: whole steps or none, the count that is always written, lists that lie.
#![allow(clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use abi::memory::{MemoryExchange, MemoryFlags, MemoryReservation};
use abi::{DomainId, Errno, GuestHandle};
use common::{BASE, Fake, at, errno, hypervisor, nowhere, preempted};
use hypercalls::op::memory::memory;
use hypercalls::outcome::{Failure, Reply};

const INPUT: u64 = 0x1000;
const OUTPUT: u64 = 0x4000;

fn side(list: u64, count: u64, order: u32) -> MemoryReservation {
    MemoryReservation {
        extent_start: at(list),
        extent_count: count,
        extent_order: order,
        domain: DomainId::SELF,
        ..MemoryReservation::default()
    }
}

fn request(input: (u64, u32), output: (u64, u32)) -> MemoryExchange {
    MemoryExchange { input: side(INPUT, input.0, input.1), output: side(OUTPUT, output.0, output.1), exchanged: 0 }
}

fn call(host: &mut Fake, argument: &MemoryExchange) -> Reply {
    host.next_call().memory.put(BASE, argument);
    memory(host, 11, at(0))
}

fn exchanged(host: &Fake) -> u64 {
    host.memory.get::<MemoryExchange>(BASE).exchanged
}

/// Lists input extents from frame 100 on and output places from 7000 on.
fn with_lists(input: (u64, u32), output: (u64, u32)) -> Fake {
    let host = Fake::new();
    for index in 0..input.0 {
        host.memory.put(BASE + INPUT + index * 8, &(100 + (index << input.1)));
    }
    for index in 0..output.0 {
        host.memory.put(BASE + OUTPUT + index * 8, &(7000 + (index << output.1)));
    }
    host
}

#[test]
fn frames_change_in_both_directions() {
    for (input, output) in [((16, 0), (1, 4)), ((2, 3), (16, 0)), ((8, 1), (8, 1)), ((12, 0), (3, 2))] {
        for budget in [None, Some(0)] {
            let mut host = with_lists(input, output);
            host.memory.put(BASE, &request(input, output));
            let mut rounds = 1;
            loop {
                host.next_call().budget.set(budget);
                match memory(&mut host, 11, at(0)) {
                    Ok(result) => break assert_eq!(result, 0),
                    reply => assert_eq!(preempted(reply)[..2], [11, BASE]),
                }
                rounds += 1;
                assert!(rounds < 100);
            }
            assert_eq!(exchanged(&host), input.0);
            assert_eq!(host.frames.count(0), 1024);
            assert!((100..100 + (input.0 << input.1)).all(|frame| !host.frames.places.contains_key(&frame)));
            for index in 0..output.0 {
                let first: u64 = host.memory.get(BASE + OUTPUT + index * 8);
                assert!(first >= 1024 && first.is_multiple_of(1 << output.1));
                assert_eq!(host.frames.places[&first], 7000 + (index << output.1));
            }
            host.frames.audit();
        }
    }
}

#[test]
fn a_step_that_fails_leaves_no_trace() {
    let mut host = with_lists((16, 0), (4, 2));
    host.frames.stuck.insert(109);
    assert_eq!(errno(call(&mut host, &request((16, 0), (4, 2)))), Errno::EINVAL);
    assert_eq!(exchanged(&host), 8, "two steps of four were done");
    assert_eq!(host.frames.count(0), 1024);
    assert!((108..116).all(|frame| host.frames.places[&frame] == frame), "the third put its frames back");
    host.frames.audit();
    host.frames.free.clear();
    let mut host = Fake { frames: host.frames, ..with_lists((16, 0), (4, 2)) };
    host.memory.put(BASE + INPUT, &[200u64, 201, 202, 203]);
    assert_eq!(errno(call(&mut host, &request((4, 0), (1, 2)))), Errno::ENOMEM);
    assert_eq!((exchanged(&host), host.frames.owned[&203]), (0, 0));
}

#[test]
fn a_frame_listed_twice_is_taken_once() {
    let mut host = with_lists((2, 0), (1, 1));
    host.memory.put(BASE + INPUT, &[100u64, 100]);
    assert_eq!(errno(call(&mut host, &request((2, 0), (1, 1)))), Errno::EINVAL);
    assert_eq!(host.frames.count(0), 1024);
    host.frames.audit();
}

#[test]
fn an_unwritable_output_is_reported_after_the_step() {
    let mut host = with_lists((2, 0), (2, 0));
    host.memory.protect_from(BASE + OUTPUT);
    assert_eq!(errno(call(&mut host, &request((2, 0), (2, 0)))), Errno::EFAULT);
    assert_eq!((exchanged(&host), host.frames.count(0)), (1, 1024));
    host.frames.audit();
}

#[test]
fn mismatched_sides_are_refused() {
    let fine = request((4, 0), (1, 2));
    let with_input = |input| MemoryExchange { input, ..fine };
    let with_output = |output| MemoryExchange { output, ..fine };
    for (wrong, expected) in [
        (request((4, 0), (1, 1)), Errno::EINVAL),
        (request((1, 10), (1024, 0)), Errno::EPERM),
        (request((1, 64), (1, 64)), Errno::EPERM),
        (request((1 << 63, 1), (0, 0)), Errno::EINVAL),
        (MemoryExchange { exchanged: 5, ..fine }, Errno::EINVAL),
        (with_output(MemoryReservation { domain: DomainId(5), ..fine.output }), Errno::EINVAL),
        (with_input(MemoryReservation { extent_start: hypervisor(), ..fine.input }), Errno::EFAULT),
        (with_output(MemoryReservation { extent_start: hypervisor(), ..fine.output }), Errno::EFAULT),
        (with_input(MemoryReservation { extent_start: nowhere(), ..fine.input }), Errno::EFAULT),
        (with_output(MemoryReservation { flags: MemoryFlags(5), ..fine.output }), Errno::ENOMEM),
    ] {
        let mut host = with_lists((4, 0), (1, 2));
        assert_eq!(errno(call(&mut host, &wrong)), expected, "{wrong:?}");
        assert_eq!(exchanged(&host), wrong.exchanged);
        host.frames.audit();
    }
    assert_eq!(errno(memory(&mut Fake::new(), 11, nowhere())), Errno::EFAULT);
    assert_eq!(errno(memory(&mut Fake::new(), 11 | 1 << 6, at(0))), Errno::EINVAL);
}

#[test]
fn others_memory_needs_authority() {
    let of = |domain| {
        let mut argument = request((1, 0), (1, 0));
        (argument.input.domain, argument.output.domain) = (DomainId(domain), DomainId(domain));
        argument
    };
    assert_eq!(errno(call(&mut Fake::unprivileged(), &of(0))), Errno::EPERM);
    assert_eq!(errno(call(&mut Fake::new(), &of(9))), Errno::ESRCH);
}

/// The list of outputs begins just below the hypervisor, at every distance, with and without progress claimed.
#[test]
fn lists_may_not_reach_into_the_hypervisor() {
    let border = abi::frame::HYPERVISOR_START;
    for distance in 0..64 {
        for done in 0..8 {
            let mut host = with_lists((8, 0), (8, 0));
            let mut argument = request((8, 0), (8, 0));
            argument.output.extent_start = GuestHandle::new(border - distance);
            argument.exchanged = done;
            let reply = call(&mut host, &argument);
            assert!(matches!(reply, Err(Failure::Errno(Errno::EFAULT))), "{distance} {done}");
            assert_eq!(host.frames.count(0), 1024);
        }
    }
}
