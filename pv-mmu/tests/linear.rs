//! Linear page tables: what is taken and refused, the counts on both sides, preemption, teardown.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod world;

use abi::{Errno, Mfn};
use pv_mmu::{EditMode, EntryRules, FrameType, OpenFrame, Stop, pin, relinquish_frame, unpin};
use world::{DRIVER, GUEST, World};

const READ: u64 = 5;
const WRITE: u64 = 7;
const REFUSED: Result<(), Stop> = Err(Stop::Errno(Errno::EINVAL));

fn world() -> World {
    let world = World::new();
    world.give(GUEST, 1, 20);
    world.give(DRIVER, 25, 4);
    world
}

fn pinned(world: &World, mfn: u64, level: FrameType) {
    assert_eq!(world.insist(|| pin(world, Mfn(mfn), GUEST, level)).1, Ok(()));
}

fn write(world: &World, table: u64, slot: usize, value: u64) -> Result<(), Stop> {
    let rules = EntryRules::new(world, GUEST, GUEST);
    let outcome = OpenFrame::open(world, Mfn(table), GUEST)?.write(&rules, slot, value, EditMode::Replace);
    world.audit();
    outcome
}

fn link(world: &World, table: u64, slot: usize, target: u64) -> Result<(), Stop> {
    write(world, table, slot, target << 12 | READ)
}

fn counts(world: &World, mfn: u64) -> (u64, u64, i16) {
    let frame = world.frame(Mfn(mfn));
    (frame.reference().count(), frame.type_word().count(), frame.linear_entries())
}

const UPPER: [FrameType; 3] = [FrameType::L2, FrameType::L3, FrameType::L4];

#[test]
fn a_table_maps_itself_for_reading_and_holds_nothing_by_it() {
    for level in UPPER {
        let world = world();
        world.entry(1, 3, 1, READ);
        pinned(&world, 1, level);
        assert_eq!(counts(&world, 1), (2, 1, 0));
        // Never writable: the right of an entry may not grow either.
        assert_eq!(write(&world, 1, 3, 1 << 12 | WRITE), REFUSED);
        assert_eq!(write(&world, 1, 4, 1 << 12 | WRITE), REFUSED);
        assert_eq!(link(&world, 1, 4, 1), Ok(()));
        assert_eq!(write(&world, 1, 3, 0), Ok(()));
        assert_eq!(unpin(&world, Mfn(1), GUEST), Ok(()));
        world.settle();
        assert_eq!(counts(&world, 1), (1, 0, 0));
    }
}

#[test]
fn another_table_is_held_and_counted_on_both_sides() {
    for level in UPPER {
        let world = world();
        pinned(&world, 1, level);
        pinned(&world, 2, level);
        assert_eq!(link(&world, 1, 3, 2), Ok(()));
        assert_eq!(link(&world, 1, 4, 2), Ok(()));
        assert_eq!((counts(&world, 1), counts(&world, 2)), ((2, 1, 2), (4, 3, -2)));
        assert_eq!(write(&world, 1, 5, 2 << 12 | WRITE), REFUSED);
        // The entry keeps it a table when its own pin is gone.
        assert_eq!(unpin(&world, Mfn(2), GUEST), Ok(()));
        assert_eq!(counts(&world, 2), (3, 2, -2));
        assert_eq!(write(&world, 1, 3, 0), Ok(()));
        assert_eq!((counts(&world, 1), counts(&world, 2)), ((2, 1, 1), (2, 1, -1)));
        assert_eq!(unpin(&world, Mfn(1), GUEST), Ok(()));
        world.settle();
        assert_eq!((counts(&world, 1), counts(&world, 2)), ((1, 0, 0), (1, 0, 0)));
    }
}

#[test]
fn neither_chains_nor_circles() {
    for level in UPPER {
        let world = world();
        (1..=4).for_each(|mfn| pinned(&world, mfn, level));
        assert_eq!(link(&world, 1, 3, 2), Ok(()));
        // A circle, a chain at its end, a chain at its beginning.
        assert_eq!(link(&world, 2, 3, 1), REFUSED);
        assert_eq!(link(&world, 2, 3, 3), REFUSED);
        assert_eq!(link(&world, 3, 3, 1), REFUSED);
        // Many to one and one to many are fine, and so is a table in itself.
        assert_eq!(link(&world, 3, 3, 2), Ok(()));
        assert_eq!(link(&world, 1, 4, 4), Ok(()));
        assert_eq!(link(&world, 2, 5, 2), Ok(()));
        // What was refused is free again once the other role has ended.
        for (table, slot) in [(1, 3), (3, 3)] {
            assert_eq!(write(&world, table, slot, 0), Ok(()));
        }
        assert_eq!(link(&world, 2, 3, 3), Ok(()));
        assert_eq!(counts(&world, 2).2, 1);
    }
}

#[test]
fn only_a_table_in_use_of_the_level_and_the_owner() {
    let world = world();
    pinned(&world, 1, FrameType::L4);
    // An unused frame becomes a table of the level below, as ever.
    assert_eq!(link(&world, 1, 3, 2), Ok(()));
    assert_eq!(world.frame(Mfn(2)).type_word().frame_type(), FrameType::L3);
    pinned(&world, 5, FrameType::L2);
    assert_eq!(link(&world, 1, 4, 5), REFUSED);
    assert_eq!(world.insist(|| pin(&world, Mfn(25), DRIVER, FrameType::L4)).1, Ok(()));
    assert_eq!(link(&world, 1, 4, 25), REFUSED);
    // A level-1 table has no linear entries: another one is just a page to read.
    pinned(&world, 6, FrameType::L1);
    pinned(&world, 7, FrameType::L1);
    assert_eq!(link(&world, 6, 0, 7), Ok(()));
    assert_eq!((counts(&world, 6).2, counts(&world, 7).2), (0, 0));
    world.linear.set(false);
    assert_eq!(link(&world, 1, 4, 1), REFUSED);
}

/// Validation with linear entries, broken off at every step and begun again, or ended by a bad entry behind them.
#[test]
fn validation_takes_and_gives_back_linear_entries_at_any_preemption() {
    for bad in [false, true] {
        for budget in 0..12 {
            let world = world();
            world.entry(2, 1, 10, READ);
            pinned(&world, 2, FrameType::L4);
            for (slot, target) in [(0, 3), (1, 2), (2, 1), (5, 2), (6, 4)] {
                world.entry(1, slot, target, READ);
            }
            if bad {
                world.entry(1, 9, 2, WRITE);
            }
            world.budget.set(Some(budget));
            let (_, outcome) = world.insist(|| pin(&world, Mfn(1), GUEST, FrameType::L4));
            world.budget.set(None);
            assert_eq!(outcome, if bad { Err(Errno::EINVAL) } else { Ok(()) });
            world.settle();
            let expected = if bad { (0, 0) } else { (2, -2) };
            assert_eq!((counts(&world, 1).2, counts(&world, 2).2), expected);
        }
    }
}

#[test]
fn a_target_that_only_linear_entries_hold_goes_with_them() {
    for budget in 0..8 {
        let world = world();
        world.entry(2, 0, 3, READ);
        world.entry(3, 0, 4, READ);
        pinned(&world, 2, FrameType::L4);
        pinned(&world, 1, FrameType::L4);
        assert_eq!(link(&world, 1, 0, 2), Ok(()));
        assert_eq!(unpin(&world, Mfn(2), GUEST), Ok(()));
        world.budget.set(Some(budget));
        assert_eq!(unpin(&world, Mfn(1), GUEST), Ok(()));
        world.settle();
        world.budget.set(None);
        (1..=4).for_each(|mfn| assert_eq!(counts(&world, mfn), (1, 0, 0)));
    }
}

#[test]
fn a_domain_with_linear_tables_goes_whole() {
    let world = world();
    (1..=3).for_each(|mfn| pinned(&world, mfn, FrameType::L4));
    for (table, slot, target) in [(1, 0, 1), (1, 1, 2), (3, 0, 2), (3, 1, 3)] {
        assert_eq!(link(&world, table, slot, target), Ok(()));
    }
    for mfn in 1..21 {
        assert_eq!(world.insist(|| relinquish_frame(&world, Mfn(mfn), GUEST)).1, Ok(()));
    }
    (1..21).for_each(|mfn| assert_eq!(counts(&world, mfn), (0, 0, 0)));
}
