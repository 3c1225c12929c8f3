//! The inventory of operations against the number types: complete, in order, nothing twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use abi::{
    Call,
    call::CALL_LIMIT,
    layout::Number,
    operations::{CALLS, GROUPS, Group, Operation, Users},
};

fn groups() -> impl Iterator<Item = &'static Group> {
    GROUPS.iter().copied().flatten()
}

fn same(what: &str, numbers: &[Number], operations: &[Operation]) {
    let named: Vec<(i64, &str)> = numbers.iter().map(|number| (number.value, number.name)).collect();
    let listed: Vec<(i64, &str)> =
        operations.iter().map(|operation| (operation.number.into(), operation.name)).collect();
    assert_eq!(listed, named, "{what}: the inventory against the number type");
    assert!(listed.windows(2).all(|pair| pair[0].0 < pair[1].0), "{what}: not in ascending order, or one number twice");
}

#[test]
fn every_hypercall_is_listed() {
    same("hypercalls", Call::NAMED, CALLS);
    assert!(CALLS.iter().all(|operation| operation.number < CALL_LIMIT));
}

#[test]
fn every_sub_operation_is_listed() {
    for group in groups() {
        same(&format!("{:?}", group.call), group.numbers, group.operations);
    }
}

#[test]
fn every_group_has_a_hypercall_of_its_own() {
    let calls: Vec<Call> = groups().map(|group| group.call).collect();
    for call in &calls {
        assert!(CALLS.iter().any(|operation| operation.number == call.0));
        assert_eq!(calls.iter().filter(|other| *other == call).count(), 1);
    }
}

#[test]
fn every_operation_has_a_user() {
    let all = groups().flat_map(|group| group.operations).chain(CALLS);
    let orphans: Vec<&str> =
        all.filter(|operation| operation.users == Users(0)).map(|operation| operation.name).collect();
    assert!(orphans.is_empty(), "nobody needs {orphans:?}: say R if it is obsolete");
}
