//! multicall: order, preemption, continuation of an entry, the end by iret, hostile lists.
#![allow(clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use std::cell::RefCell;

use abi::multicall::MulticallEntry;
use abi::{Call, Errno, GuestHandle};
use common::{BASE, Fake, SIZE, at, hypervisor, nowhere};
use hypercalls::op::multicall::multicall;
use hypercalls::outcome::{Arguments, Outcome};

fn entry(call: u64, first: u64) -> MulticallEntry {
    MulticallEntry { call, result: 0xDEAD, arguments: [first, 0, 0, 0, 0, 0] }
}

fn put(host: &Fake, entries: &[MulticallEntry]) {
    host.memory.put(BASE, entries);
}

fn result(host: &Fake, index: u64) -> u64 {
    host.memory.get::<MulticallEntry>(BASE + index * 64).result
}

/// Answers each call with its first argument plus one.
fn add_one(host: &mut Fake, call: u64, arguments: &Arguments) -> Outcome {
    host.note(format!("{call}"));
    Outcome::Done(arguments[0] + 1)
}

#[test]
fn entries_run_in_order_and_get_their_results() {
    let mut host = Fake::new();
    let entries: Vec<_> = (0..10).map(|index| entry(17, index * 10)).collect();
    put(&host, &entries);
    assert_eq!(multicall(&mut host, at(0), 10, add_one), Outcome::Done(0));
    for index in 0..10 {
        assert_eq!(result(&host, index), index * 10 + 1);
    }
    assert_eq!(multicall(&mut Fake::new(), nowhere(), 0, add_one), Outcome::Done(0));
}

#[test]
fn nesting_fails_that_entry_only() {
    let mut host = Fake::new();
    put(&host, &[entry(13, 0), entry(17, 4)]);
    assert_eq!(multicall(&mut host, at(0), 2, add_one), Outcome::Done(0));
    assert_eq!(result(&host, 0), Errno::EINVAL.to_register());
    assert_eq!(result(&host, 1), 5);
}

#[test]
fn the_first_entry_always_runs() {
    let mut host = Fake::new();
    put(&host, &[entry(17, 0); 6]);
    host.budget.set(Some(0));
    let outcome = multicall(&mut host, at(0), 6, add_one);
    let expected = Outcome::Continue { call: Call::MULTICALL.0, arguments: [BASE + 64, 5, 0, 0, 0, 0] };
    assert_eq!(outcome, expected);
    assert_eq!(host.take_effects(), ["17"]);
    let mut rounds = 1;
    let mut place = (BASE + 64, 5);
    while let Outcome::Continue { arguments, .. } =
        multicall(host.next_call_mut(), GuestHandle::new(place.0), place.1, add_one)
    {
        place = (arguments[0], arguments[1] as u32);
        rounds += 1;
    }
    assert_eq!((rounds, host.take_effects().len()), (5, 5));
}

#[test]
fn a_preempted_entry_goes_back_into_the_list() {
    let mut host = Fake::new();
    put(&host, &[entry(17, 1), entry(1, 2), entry(17, 3)]);
    let route = |_: &mut Fake, call: u64, arguments: &Arguments| match call {
        1 => Outcome::Continue { call: 26, arguments: [7, 8, 9, 10, 11, 0] },
        _ => Outcome::Done(arguments[0]),
    };
    let outcome = multicall(&mut host, at(0), 3, route);
    assert_eq!(outcome, Outcome::Continue { call: 13, arguments: [BASE + 64, 2, 0, 0, 0, 0] });
    let written: MulticallEntry = host.memory.get(BASE + 64);
    // A call of four arguments: the others stay what they were.
    assert_eq!((written.call, written.arguments), (26, [7, 8, 9, 10, 0, 0]));
    assert_eq!((result(&host, 0), result(&host, 2)), (1, 0xDEAD));
    let rest = multicall(host.next_call_mut(), GuestHandle::new(BASE + 64), 2, add_one);
    assert_eq!(rest, Outcome::Done(0));
    assert_eq!(result(&host, 1), 8);
}

#[test]
fn iret_and_crash_end_the_list() {
    for end in [Outcome::RegistersReplaced, Outcome::CrashGuest("why")] {
        let mut host = Fake::new();
        put(&host, &[entry(17, 0), entry(23, 0), entry(17, 0)]);
        let outcome = multicall(&mut host, at(0), 3, |host: &mut Fake, call, arguments| match call {
            23 => end,
            _ => add_one(host, call, arguments),
        });
        assert_eq!(outcome, end);
        assert_eq!(host.take_effects(), ["17"]);
        assert_eq!(result(&host, 2), 0xDEAD);
    }
}

#[test]
fn a_list_that_ends_in_a_hole_runs_up_to_it() {
    let mut host = Fake::new();
    let start = BASE + SIZE as u64 - 64 * 6;
    for index in 0..6 {
        host.memory.put(start + index * 64, &entry(17, index));
    }
    let outcome = multicall(&mut host, GuestHandle::new(start), 9, add_one);
    assert_eq!(outcome, Outcome::Done(Errno::EFAULT.to_register()));
    assert_eq!(host.take_effects().len(), 6);
}

#[test]
fn lists_into_the_hypervisor_are_refused_whole() {
    let below = abi::frame::HYPERVISOR_START - 64;
    for list in [hypervisor(), GuestHandle::new(below), GuestHandle::new(u64::MAX - 63), nowhere()] {
        let mut host = Fake::new();
        let outcome = multicall(&mut host, list, 2, add_one);
        assert_eq!(outcome, Outcome::Done(Errno::EFAULT.to_register()), "{list:?}");
        assert_eq!(host.take_effects(), [""; 0]);
    }
    assert_eq!(multicall(&mut Fake::new(), at(0), u32::MAX, add_one), Outcome::Done(Errno::EFAULT.to_register()));
}

#[test]
fn an_unwritable_result_ends_it() {
    let mut host = Fake::new();
    put(&host, &[entry(17, 0); 4]);
    host.memory.protect_from(BASE + 64);
    let outcome = multicall(&mut host, at(0), 4, add_one);
    assert_eq!(outcome, Outcome::Done(Errno::EFAULT.to_register()));
    assert_eq!(host.take_effects().len(), 2, "the second one ran, its result did not arrive");
}

#[test]
fn an_entry_is_fetched_once_even_if_the_list_changes() {
    let mut host = Fake::new();
    put(&host, &[entry(17, 0); 3]);
    let seen = RefCell::new(Vec::new());
    let outcome = multicall(&mut host, at(0), 3, |host: &mut Fake, call, _| {
        seen.borrow_mut().push(call);
        // The guest's other vCPU rewrites the entry that runs; the mock fails the test if it is read again.
        host.memory.put(BASE + 64 * (seen.borrow().len() as u64 - 1), &entry(99, 9));
        Outcome::Done(0)
    });
    assert_eq!(outcome, Outcome::Done(0));
    assert_eq!(*seen.borrow(), [17, 17, 17]);
}
