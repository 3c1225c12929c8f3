//! Numbers of a domain's interrupts: the answers Xen 4.17 gave to the same calls.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test panics")]

use abi::{Errno, Pirq};
use device_interrupts::{Irq, NumberKind, Outcome, Permission, Pirqs, PortUse};

/// A dom0 on a machine with 24 lines and one CPU, as Xen sizes it.
fn dom0() -> Pirqs {
    let mut pirqs = Pirqs::new(208, 24).unwrap();
    pirqs.permit_all_lines();
    pirqs
}

/// What map_pirq does for a line.
fn map_line(pirqs: &mut Pirqs, line: u32, wanted: i32) -> Result<u32, Errno> {
    let pirq = pirqs.choose(Irq(line), wanted, NumberKind::Line)?;
    if !pirqs.may_use_line(Irq(line)) {
        return Err(Errno::EPERM);
    }
    match pirqs.map(pirq, Irq(line))? {
        Outcome::Mapped(pirq) | Outcome::Untouched(pirq) => Ok(pirq.0),
    }
}

#[test]
fn lines_keep_their_number() {
    let mut pirqs = dom0();
    assert_eq!(map_line(&mut pirqs, 0, 0), Err(Errno::EPERM));
    assert_eq!(map_line(&mut pirqs, 0, -1), Err(Errno::EPERM));
    for line in [1, 2, 4, 9, 16, 17, 18, 23] {
        assert_eq!(map_line(&mut pirqs, line, line as i32), Ok(line));
        assert_eq!(map_line(&mut pirqs, line, line as i32), Ok(line), "again");
        assert_eq!(map_line(&mut pirqs, line, -1), Ok(line), "the number it has");
    }
    assert_eq!(map_line(&mut pirqs, 16, 17), Err(Errno::EEXIST));
    assert_eq!(map_line(&mut pirqs, 19, 16), Ok(16), "a number in use is no error");
    assert_eq!(pirqs.irq(Pirq(16)), Some(Irq(16)), "and stays what it was");
    assert_eq!(map_line(&mut pirqs, 20, 30), Ok(30));
    assert_eq!(map_line(&mut pirqs, 22, 100_000), Err(Errno::EINVAL));
    assert_eq!(map_line(&mut pirqs, 22, i32::MAX), Err(Errno::EINVAL));
    assert_eq!(map_line(&mut pirqs, 22, -7), Ok(19), "the lowest that is free from 16 on");
    assert_eq!(map_line(&mut pirqs, 11, 200), Ok(200));
}

#[test]
fn unmapping_takes_the_right_away() {
    let mut pirqs = dom0();
    map_line(&mut pirqs, 16, 16).unwrap();
    assert_eq!(pirqs.unmap(Pirq(16), PortUse::Unbound), Ok(Irq(16)));
    assert_eq!(pirqs.unmap(Pirq(16), PortUse::Unbound), Err(Errno::EINVAL));
    assert!(!pirqs.is_known(Pirq(16)));
    assert_eq!(map_line(&mut pirqs, 16, 16), Err(Errno::EPERM));
    assert_eq!(pirqs.unmap(Pirq(u32::MAX), PortUse::Unbound), Err(Errno::EINVAL));
}

#[test]
fn a_bound_number_is_cut_off() {
    let mut pirqs = dom0();
    map_line(&mut pirqs, 17, 17).unwrap();
    assert_eq!(pirqs.unmap(Pirq(17), PortUse::Bound), Ok(Irq(17)));
    assert_eq!(pirqs.unmap(Pirq(17), PortUse::Bound), Err(Errno::EINVAL));
    assert!(pirqs.is_known(Pirq(17)), "an end of interrupt still succeeds");
    assert_eq!(pirqs.irq(Pirq(17)), None);
    assert_eq!(map_line(&mut pirqs, 17, 17), Err(Errno::EEXIST));
    assert_eq!(map_line(&mut pirqs, 17, -1), Err(Errno::EBUSY));
    assert_eq!(map_line(&mut pirqs, 17, 31), Err(Errno::EEXIST));
    pirqs.port_closed(Pirq(17));
    assert!(!pirqs.is_known(Pirq(17)));
    assert_eq!(map_line(&mut pirqs, 17, 17), Err(Errno::EPERM));
}

#[test]
fn closing_a_port_leaves_a_mapping_alone() {
    let mut pirqs = dom0();
    map_line(&mut pirqs, 9, 9).unwrap();
    pirqs.port_closed(Pirq(9));
    assert_eq!(pirqs.irq(Pirq(9)), Some(Irq(9)));
}

#[test]
fn free_numbers_come_from_their_ends() {
    let mut pirqs = dom0();
    assert_eq!(pirqs.reserve(NumberKind::Message), Ok(Pirq(207)));
    assert_eq!(pirqs.reserve(NumberKind::Line), Ok(Pirq(16)));
    assert_eq!(pirqs.reserve(NumberKind::Line), Ok(Pirq(17)));
    assert_eq!(pirqs.reserve(NumberKind::Message), Ok(Pirq(206)));
    assert!(pirqs.is_known(Pirq(207)));
    assert_eq!(pirqs.unmap(Pirq(207), PortUse::Unbound), Err(Errno::EINVAL), "set aside is not mapped");
    assert_eq!(map_line(&mut pirqs, 14, 207), Ok(207), "a number set aside may be used");
    assert_eq!(pirqs.unmap(Pirq(207), PortUse::Unbound), Ok(Irq(14)));
    assert_eq!(pirqs.reserve(NumberKind::Message), Ok(Pirq(207)), "and is free again");
}

#[test]
fn numbers_run_out() {
    let mut pirqs = Pirqs::new(26, 24).unwrap();
    for _ in 0..2 {
        pirqs.reserve(NumberKind::Message).unwrap();
    }
    assert_eq!(pirqs.reserve(NumberKind::Message), Err(Errno::ENOSPC), "messages never take numbers of lines");
    for _ in 16..24 {
        pirqs.reserve(NumberKind::Line).unwrap();
    }
    assert_eq!(pirqs.reserve(NumberKind::Line), Err(Errno::ENOSPC));
    let mut few = Pirqs::new(18, 24).unwrap();
    assert_eq!([few.reserve(NumberKind::Line), few.reserve(NumberKind::Line)], [Ok(Pirq(16)), Ok(Pirq(17))]);
    assert_eq!(few.reserve(NumberKind::Line), Err(Errno::ENOSPC), "not beyond the limit");
}

#[test]
fn messages_get_numbers_of_their_own() {
    let mut pirqs = Pirqs::new(208, 24).unwrap();
    let pirq = pirqs.choose(Irq(24), -1, NumberKind::Message).unwrap();
    assert_eq!(pirqs.map(pirq, Irq(24)), Ok(Outcome::Mapped(Pirq(207))));
    assert_eq!(pirqs.choose(Irq(25), 207, NumberKind::Message), Ok(Pirq(207)));
    assert_eq!(pirqs.map(Pirq(207), Irq(25)), Ok(Outcome::Untouched(Pirq(207))), "a number in use is no error");
    assert_eq!(pirqs.mapped().collect::<Vec<_>>(), [(Pirq(207), Irq(24))]);
}

#[test]
fn lines_are_permitted_one_by_one() {
    let mut pirqs = Pirqs::new(56, 24).unwrap();
    assert_eq!(map_line(&mut pirqs, 5, -1), Err(Errno::EPERM));
    pirqs.permit_line(Irq(5), Permission::Granted);
    assert_eq!(map_line(&mut pirqs, 5, 5), Ok(5));
    pirqs.permit_line(Irq(6), Permission::Granted);
    pirqs.permit_line(Irq(6), Permission::Denied);
    assert_eq!(map_line(&mut pirqs, 6, 6), Err(Errno::EPERM));
    // There is no right to what is no line.
    pirqs.permit_line(Irq(24), Permission::Granted);
    assert!(!pirqs.may_use_line(Irq(24)));
}
