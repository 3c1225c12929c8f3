//! Validation, pins and preemption.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod world;

use abi::{DomainId, Errno, Mfn};
use pv_mmu::{Entry, FrameType, SharedAccess, Stop, get_page_and_type, pin, put_page_and_type, unpin};
use world::*;

const ROOT: Mfn = Mfn(1);

fn pin_root(world: &World) -> (u32, abi::Result<()>) {
    world.insist(|| pin(world, ROOT, GUEST, FrameType::L4))
}

fn types(world: &World) -> Vec<(FrameType, u64)> {
    (0..RAM).map(|mfn| world.frame(Mfn(mfn)).type_word()).map(|word| (word.frame_type(), word.count())).collect()
}

#[test]
fn a_pinned_tree_is_typed_counted_and_adjusted() {
    let world = World::new();
    tree(&world);
    assert_eq!(pin_root(&world), (1, Ok(())));
    for (mfn, level) in TABLES {
        let word = world.frame(Mfn(mfn)).type_word();
        assert_eq!((word.frame_type(), word.is_validated()), (level, true));
    }
    let marker = Entry::GUEST_KERNEL;
    assert_eq!(world.word(Mfn(4), 0), 10 << 12 | RW | US | marker, "kernel page");
    assert_eq!(world.word(Mfn(4), 2), 12 << 12 | RW | US | Entry::GLOBAL, "user page");
    assert_eq!(world.word(Mfn(3), 7), 4 << 12 | RW | US);
    assert_eq!(world.word(Mfn(1), 300), 2 << 12 | RW | US | Entry::ACCESSED);
    assert_eq!(world.word(Mfn(1), 256), 256 << 20 | 1 << 12 | P, "the hypervisor's slot is overwritten, not validated");
    assert_eq!(pin(&world, ROOT, GUEST, FrameType::L4), Err(Stop::Errno(Errno::EINVAL)), "pinned already");
    assert_eq!(pin(&world, ROOT, GUEST, FrameType::L3), Err(Stop::Errno(Errno::EINVAL)));
    assert_eq!(pin(&world, Mfn(10), GUEST, FrameType::L1), Err(Stop::Errno(Errno::EINVAL)), "writable");
    assert_eq!(pin(&world, Mfn(2), GUEST, FrameType::L3), Ok(()), "a lower table can be pinned as well");
    world.audit();
    assert_eq!(unpin(&world, ROOT, GUEST), Ok(()));
    world.audit();
    assert_eq!(world.frame(Mfn(2)).type_word().count(), 1);
    assert_eq!(unpin(&world, Mfn(2), GUEST), Ok(()));
    assert_eq!(unpin(&world, Mfn(2), GUEST), Err(Errno::EINVAL));
    world.audit();
    reclaim(&world);
}

/// Every frame of the guest's can be made writable, that is: nothing is left of any table.
fn reclaim(world: &World) {
    for mfn in (1..31).map(Mfn) {
        assert!(!world.frame(mfn).type_word().is_partial());
        get_page_and_type(world, mfn, GUEST, FrameType::Writable).unwrap();
        put_page_and_type(world, mfn, world.frame(mfn));
    }
    world.audit();
}

#[test]
fn preemption_at_every_step_changes_nothing_but_time() {
    let expected = {
        let world = World::new();
        tree(&world);
        pin_root(&world).1.unwrap();
        types(&world)
    };
    for budget in 0..40 {
        let world = World::new();
        tree(&world);
        let mut rounds = 0;
        let outcome = loop {
            world.budget.set(Some(budget));
            rounds += 1;
            let outcome = pin(&world, ROOT, GUEST, FrameType::L4);
            world.audit();
            if outcome != Err(Stop::Preempted) {
                break outcome;
            }
        };
        assert_eq!(outcome, Ok(()));
        assert!(budget > 0 || rounds > 3, "budget 0 must preempt");
        assert_eq!(types(&world), expected);
        world.budget.set(Some(budget));
        unpin(&world, ROOT, GUEST).unwrap();
        world.audit();
        loop {
            world.budget.set(Some(budget));
            let outcome = pv_mmu::finish_drops(&world);
            world.audit();
            if outcome.is_ok() {
                break;
            }
        }
        world.budget.set(None);
        reclaim(&world);
    }
}

#[test]
fn a_bad_entry_anywhere_undoes_everything_at_any_preemption() {
    for (table, level) in TABLES {
        for slot in [0, 3, 50, 255, 272, 511] {
            for budget in [None, Some(0), Some(1), Some(3)] {
                let world = World::new();
                tree(&world);
                // A table that is mapped writable, or another domain's frame.
                world.give(OTHER, 40, 1);
                let (bad, errno) = if level == FrameType::L1 { (40, Errno::EBUSY) } else { (10, Errno::EINVAL) };
                world.entry(table, slot, bad, RW);
                if level != FrameType::L1 {
                    // Frame 10 is no table: it is in use as writable data.
                    get_page_and_type(&world, Mfn(10), GUEST, FrameType::Writable).unwrap();
                    world.hold(Mfn(10), 1, 1);
                }
                let outcome = loop {
                    world.budget.set(budget);
                    let outcome = pv_mmu::finish_drops(&world).and_then(|()| pin(&world, ROOT, GUEST, FrameType::L4));
                    world.audit();
                    if outcome != Err(Stop::Preempted) {
                        break outcome;
                    }
                };
                assert_eq!(outcome, Err(Stop::Errno(errno)), "table {table} slot {slot}");
                world.budget.set(None);
                world.settle();
                if level != FrameType::L1 {
                    put_page_and_type(&world, Mfn(10), world.frame(Mfn(10)));
                    world.unhold(Mfn(10), 1, 1);
                }
                reclaim(&world);
            }
        }
    }
}

#[test]
fn another_vcpu_takes_a_partial_table_over() {
    let world = World::new();
    tree(&world);
    world.budget.set(Some(0));
    assert_eq!(pin(&world, ROOT, GUEST, FrameType::L4), Err(Stop::Preempted));
    assert!(world.frame(ROOT).type_word().is_partial());
    assert_eq!(pin(&world, ROOT, GUEST, FrameType::L3), Err(Stop::Errno(Errno::EINVAL)), "partial is in use");
    world.budget.set(None);
    assert_eq!(pin(&world, Mfn(3), GUEST, FrameType::L2), Ok(()));
    assert_eq!(pin(&world, Mfn(2), GUEST, FrameType::L3), Ok(()));
    world.audit();
    world.budget.set(Some(0));
    unpin(&world, Mfn(2), GUEST).unwrap();
    world.audit();
    world.budget.set(None);
    // Half dropped, and wanted again before the drop is finished.
    assert_eq!(pin(&world, ROOT, GUEST, FrameType::L4), Ok(()));
    world.audit();
    world.settle();
    unpin(&world, ROOT, GUEST).unwrap();
    unpin(&world, Mfn(3), GUEST).unwrap();
    world.audit();
    reclaim(&world);
}

#[test]
fn refused_entries() {
    let cases: &[(u64, u64, abi::Result<()>)] = &[
        (10, RW, Ok(())),
        (10, RW | Entry::NO_EXECUTE | Entry::AVAILABLE | Entry::AVAILABLE_HIGH | Entry::DIRTY | Entry::GLOBAL, Ok(())),
        (10, P | Entry::WRITE_THROUGH, Err(Errno::EINVAL)),
        (10, P | Entry::CACHE_DISABLE, Err(Errno::EINVAL)),
        (10, P | Entry::PAT, Err(Errno::EINVAL)),
        (10, Entry::PAT | Entry::WRITABLE, Ok(())),
        (40, P, Err(Errno::EBUSY)),
        (50, P, Err(Errno::EBUSY)),
        (HOLE.0, P, Err(Errno::EPERM)),
        (DEVICE.0, P, Err(Errno::EPERM)),
        (0xFF_FFFF_FFFF, P, Err(Errno::EINVAL)),
        (20, RW, Err(Errno::EBUSY)),
        (45, RW, Ok(())),
        (46, RW, Err(Errno::EBUSY)),
        (46, P, Ok(())),
    ];
    for (target, bits, expected) in cases {
        let world = World::new();
        world.give(GUEST, 1, 30);
        world.give(OTHER, 40, 1);
        world.frame(Mfn(45)).assign_shared(GUEST, SharedAccess::ReadWrite);
        world.frame(Mfn(46)).assign_shared(GUEST, SharedAccess::ReadOnly);
        world.entry(20, 9, *target, *bits);
        let outcome = pin(&world, Mfn(20), GUEST, FrameType::L1);
        assert_eq!(outcome, expected.map_err(Stop::Errno), "{target:#x} {bits:#x}");
        world.audit();
    }
    for bits in [Entry::WRITE_THROUGH, Entry::CACHE_DISABLE, Entry::PAT, Entry::GLOBAL] {
        for level in [FrameType::L2, FrameType::L3, FrameType::L4] {
            let world = World::new();
            world.give(GUEST, 1, 30);
            world.entry(20, 9, 10, P | bits);
            assert_eq!(pin(&world, Mfn(20), GUEST, level), Err(Stop::Errno(Errno::EINVAL)), "no superpages");
            world.audit();
        }
    }
}

#[test]
fn without_linear_tables_a_table_cannot_name_its_own_level() {
    for level in [FrameType::L1, FrameType::L2, FrameType::L3, FrameType::L4] {
        for bits in [P, RW] {
            let world = World::new();
            world.linear.set(false);
            world.give(GUEST, 1, 30);
            world.entry(1, 3, 1, bits);
            let expected = match (level, bits) {
                // A level-1 table may map itself for reading.
                (FrameType::L1, P) => Ok(()),
                (FrameType::L1, _) => Err(Stop::Errno(Errno::EBUSY)),
                _ => Err(Stop::Errno(Errno::EINVAL)),
            };
            assert_eq!(pin(&world, Mfn(1), GUEST, level), expected);
            world.audit();
        }
    }
}

#[test]
fn io_memory_and_memory_types() {
    let cache = Entry::CACHE;
    let stored = |target: Mfn, bits: u64| {
        let world = World::new();
        world.give(DRIVER, 1, 30);
        world.frame(Mfn(45)).assign_shared(DRIVER, SharedAccess::ReadWrite);
        world.entry(20, 9, target.0, bits);
        let outcome = world.insist(|| pin(&world, Mfn(20), DRIVER, FrameType::L1)).1;
        outcome.map(|()| world.word(Mfn(20), 9) & (cache | Entry::WRITABLE))
    };
    assert_eq!(stored(DEVICE, RW), Ok(Entry::WRITABLE | Entry::UNCACHED), "write-back becomes uncached");
    assert_eq!(stored(HOLE, RW | Entry::WRITE_THROUGH), Ok(Entry::WRITABLE | Entry::UNCACHED));
    assert_eq!(stored(DEVICE, P | Entry::PAT), Ok(Entry::PAT), "write-combining stays");
    assert_eq!(stored(DEVICE, P | Entry::CACHE_DISABLE), Ok(Entry::CACHE_DISABLE));
    assert_eq!(stored(DEVICE_READ_ONLY, RW), Ok(Entry::UNCACHED), "the right to write goes silently");
    assert_eq!(stored(Mfn(10), RW | Entry::CACHE_DISABLE), Ok(Entry::WRITABLE | Entry::CACHE_DISABLE));
    assert_eq!(stored(Mfn(45), RW), Ok(Entry::WRITABLE));
    assert_eq!(stored(Mfn(45), RW | Entry::PAT), Err(Errno::EACCES));
    assert_eq!(stored(Mfn(DEVICE.0 + 5), P), Err(Errno::EPERM));
}

#[test]
fn a_page_written_past_the_caches_is_cleaned_before_it_becomes_a_table() {
    let world = World::new();
    world.give(DRIVER, 1, 30);
    world.entry(20, 0, 10, RW | Entry::PAT);
    pin(&world, Mfn(20), DRIVER, FrameType::L1).unwrap();
    assert_eq!(world.frame(Mfn(10)).reference().cache_bits(), Entry::PAT);
    unpin(&world, Mfn(20), DRIVER).unwrap();
    world.audit();
    pin(&world, Mfn(10), DRIVER, FrameType::L1).unwrap();
    assert_eq!(*world.cleaned.borrow(), [Mfn(10)]);
    unpin(&world, Mfn(10), DRIVER).unwrap();
    world.entry(20, 0, 10, RW);
    pin(&world, Mfn(20), DRIVER, FrameType::L1).unwrap();
    assert_eq!(world.frame(Mfn(10)).reference().cache_bits(), 0, "write-back again");
    unpin(&world, Mfn(20), DRIVER).unwrap();
    world.refuse_memory_type.set(true);
    world.entry(21, 0, 11, RW | Entry::PAT);
    assert_eq!(pin(&world, Mfn(21), DRIVER, FrameType::L1), Err(Stop::Errno(Errno::ENOMEM)));
    assert_eq!(world.frame(Mfn(11)).reference().cache_bits(), 0);
    world.audit();
}

#[test]
fn descriptor_pages() {
    let world = World::new();
    world.give(GUEST, 1, 30);
    world.set(Mfn(5), 3, 0x1235);
    world.set(Mfn(6), 511, BAD_DESCRIPTOR);
    pv_mmu::acquire_segment_page(&world, Mfn(5), GUEST).unwrap();
    world.hold(Mfn(5), 1, 1);
    assert_eq!(world.word(Mfn(5), 3), 0x1234, "adjusted");
    assert_eq!(pv_mmu::acquire_segment_page(&world, Mfn(6), GUEST), Err(Errno::EINVAL));
    world.audit();
    world.entry(20, 0, 5, RW);
    assert_eq!(pin(&world, Mfn(20), GUEST, FrameType::L1), Err(Stop::Errno(Errno::EBUSY)));
    world.entry(20, 0, 5, P);
    pin(&world, Mfn(20), GUEST, FrameType::L1).unwrap();
    unpin(&world, Mfn(20), GUEST).unwrap();
    assert_eq!(world.descriptor_pages_unmapped.get(), 1);
    pv_mmu::release_segment_page(&world, Mfn(5));
    world.unhold(Mfn(5), 1, 1);
    world.audit();
    reclaim(&world);
}

#[test]
fn a_dying_domain_keeps_no_pin() {
    let world = World::new();
    tree(&world);
    world.budget.set(Some(2));
    assert_eq!(pin(&world, ROOT, GUEST, FrameType::L4), Err(Stop::Preempted));
    world.dying.set(true);
    world.budget.set(None);
    assert_eq!(pin(&world, ROOT, GUEST, FrameType::L4), Err(Stop::Errno(Errno::EINVAL)));
    world.audit();
    assert_eq!(world.frame(ROOT).type_word().count(), 0);
    assert_eq!(pin(&world, ROOT, DomainId(9), FrameType::L4), Err(Stop::Errno(Errno::EINVAL)));
    // It dies between the first look and the pin: teardown may have passed the frame already.
    let world = World::new();
    tree(&world);
    world.dies_at_look.set(Some(1));
    assert_eq!(pin(&world, ROOT, GUEST, FrameType::L4), Ok(()));
    assert!(world.dying.get());
    assert_eq!(world.frame(ROOT).type_word().count(), 0, "no pin, and nothing validated");
    reclaim(&world);
}
