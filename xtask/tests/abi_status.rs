//! The status page against planted reports.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use xtask::{
    abi_status::{
        page::render,
        states::{State, States, distrust_unrouted, parse},
    },
    lint::source::Source,
};

#[test]
fn what_nothing_speaks_for_is_missing() {
    let page = render(&States::new()).unwrap();
    assert!(page.contains(" operations: 0 work, 0 absent, "));
    assert!(page.contains("| 11 | exchange | XENMEM_exchange | L0 LU X | missing |"));
    assert!(!page.contains("| works |"));
}

#[test]
fn reported_states_reach_the_page() {
    let states =
        parse("12 11 works\n12 20 absent built without memory paging\n0 - works\n12 28 missing ioreq servers\n")
            .unwrap();
    let page = render(&states).unwrap();
    assert!(page.contains(" operations: 2 work, 1 absent, "));
    assert!(page.contains("| 11 | exchange | XENMEM_exchange | L0 LU X | works |"));
    assert!(page.contains("| absent: built without memory paging |"));
    assert!(page.contains("| missing: ioreq servers |"));
    assert!(page.contains("| 0 | set_trap_table | __HYPERVISOR_set_trap_table | L0 LU X | works |"));
    assert!(page.contains(
        "| 12 | memory_op | __HYPERVISOR_memory_op | L0 LU H XL SR QD PCI X | 1 work, 1 absent, 27 missing |"
    ));
}

#[test]
fn reports_about_strangers_are_refused() {
    assert!(render(&parse("12 63 works\n").unwrap()).is_err(), "no such memory_op");
    assert!(render(&parse("11 - works\n").unwrap()).is_err(), "no such hypercall");
    assert!(render(&parse("3 0 works\n").unwrap()).is_err(), "stack_switch has no sub-operations");
}

#[test]
fn reports_are_read_strictly() {
    assert_eq!(parse("29 0 works\n").unwrap().get(&(29, Some(0))), Some(&State::Works(String::new())));
    for bad in ["29 0 fine\n", "29 0\n", "x 0 works\n", "29 y works\n", "29 0 works\n29 0 missing\n"] {
        assert!(parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn what_the_dispatcher_does_not_route_is_missing() {
    let mut states = parse("29 0 works\n12 11 works\n27 1 absent no FLASK\n0 - works\n").unwrap();
    let dispatcher =
        "match number {\n    Call::SCHED_OP => sched(),\n    // Call::MEMORY_OP => memory(),\n    _ => no(),\n}\n";
    distrust_unrouted(&mut states, &Source::parse(dispatcher));
    assert_eq!(states[&(29, Some(0))], State::Works(String::new()));
    assert!(matches!(states[&(27, Some(1))], State::Absent(_)), "what is absent needs no handler");
    for key in [(12, Some(11)), (0, None)] {
        assert!(matches!(states[&key], State::Missing(_)), "{key:?}");
    }
}
