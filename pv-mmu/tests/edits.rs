//! Changes of entries: the short way for harmless bits, accessed and dirty bits, refusals, grants, emulated writes.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod world;

use abi::{Errno, GuestVirtual, MachineAddress, Mfn};
use pv_mmu::{
    EditMode, Entry, EntryRules, FrameType, GrantEntryRefused, GuestWrite, OpenFrame, Stop, WriteOutcome,
    apply_guest_write, get_page_and_type, grant_entry, guest_entry, is_table_write_fault, pin, put_page_and_type,
    walk_to_level_one,
};
use world::*;

const ROOT: Mfn = Mfn(1);
const AD: u64 = Entry::ACCESSED | Entry::DIRTY;
/// Slot 0 of level-1 table 4, under level-4 slot 0, level-3 slot 0, level-2 slot 7.
const BASE: GuestVirtual = GuestVirtual(7 << 21);

fn pinned() -> World {
    let world = World::new();
    tree(&world);
    world.give(OTHER, 40, 2);
    pin(&world, ROOT, GUEST, FrameType::L4).unwrap();
    world
}

fn write(world: &World, table: u64, slot: usize, value: u64, mode: EditMode) -> Result<(), Stop> {
    let rules = EntryRules::new(world, GUEST, GUEST);
    let outcome = OpenFrame::open(world, Mfn(table), GUEST).unwrap().write(&rules, slot, value, mode);
    world.audit();
    outcome
}

#[test]
fn similar_entries_differ_in_safe_bits_only() {
    let safe = (0..64).filter(|bit| Entry::SAFE >> bit & 1 != 0).collect::<Vec<_>>();
    assert_eq!(safe, [2, 5, 6, 8, 9, 10, 11, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63]);
    for low in 0..1 << 12 {
        for high in [0, 1 << 12, 1 << 51, 1 << 52, 1 << 63, Entry::AVAILABLE_HIGH] {
            let changed = low | high;
            for old in [0, 0x1234_5067, u64::MAX] {
                assert_eq!(Entry(old).is_similar(Entry(old ^ changed)), changed & !Entry::SAFE == 0);
            }
        }
    }
    for one in 0..64 {
        for two in 0..64 {
            let changed = 1u64 << one | 1 << two;
            assert_eq!(Entry(0).is_similar(Entry(changed)), changed & !Entry::SAFE == 0);
        }
    }
}

/// From every harmless starting entry, flip any two bits: references stay right and no table becomes writable.
#[test]
fn two_writes_with_any_bits_flipped_never_break_the_rules() {
    let world = pinned();
    for (table, slot, start) in [(4, 0, 10 << 12 | RW), (4, 104, 4 << 12 | P), (3, 7, 4 << 12 | P), (2, 0, 3 << 12 | P)]
    {
        for one in 0..64 {
            for two in one..64 {
                let flipped = start ^ (1 << one) ^ if one == two { 0 } else { 1 << two };
                let before = world.word(Mfn(table), slot);
                let outcome = write(&world, table, slot, flipped, EditMode::Replace);
                if outcome.is_err() {
                    assert_eq!(world.word(Mfn(table), slot), before, "a refused entry changes nothing");
                }
                assert_eq!(write(&world, table, slot, start, EditMode::Replace), Ok(()), "{one} {two} {outcome:?}");
            }
        }
    }
}

#[test]
fn the_short_way_does_not_look_at_the_frame_and_the_long_way_does() {
    let world = pinned();
    let general = world.frame(Mfn(11)).reference().count();
    let similar = 11 << 12 | P | AD | Entry::AVAILABLE | Entry::NO_EXECUTE;
    assert_eq!(write(&world, 4, 1, similar, EditMode::Replace), Ok(()));
    assert_eq!(world.word(Mfn(4), 1), similar | US | Entry::GUEST_KERNEL);
    assert_eq!(write(&world, 4, 1, 11 << 12 | P | US, EditMode::Replace), Ok(()));
    assert_eq!(world.word(Mfn(4), 1), 11 << 12 | P | US | Entry::GLOBAL);
    assert_eq!(world.frame(Mfn(11)).reference().count(), general);
    assert_eq!(world.frame(Mfn(11)).type_word().count(), 0);
    assert_eq!(write(&world, 4, 1, 11 << 12 | RW, EditMode::Replace), Ok(()));
    assert_eq!(world.frame(Mfn(11)).type_word().frame_type(), FrameType::Writable);
    assert_eq!(write(&world, 4, 1, 4 << 12 | RW, EditMode::Replace), Err(Stop::Errno(Errno::EBUSY)));
    assert_eq!(write(&world, 4, 1, 11 << 12 | P | Entry::PAT, EditMode::Replace), Err(Stop::Errno(Errno::EINVAL)));
    assert_eq!(write(&world, 4, 1, 0, EditMode::Replace), Ok(()));
    assert_eq!(world.frame(Mfn(11)).reference().count(), general - 1);
}

#[test]
fn accessed_and_dirty_bits_survive_if_asked_to() {
    let world = pinned();
    for new in [10 << 12 | P, 10 << 12 | RW, 11 << 12 | P, 0] {
        for (mode, kept) in [(EditMode::Replace, 0), (EditMode::PreserveAccessedDirty, AD)] {
            write(&world, 4, 0, 10 << 12 | RW | AD, EditMode::Replace).unwrap();
            write(&world, 4, 0, new, mode).unwrap();
            assert_eq!(world.word(Mfn(4), 0) & AD, kept, "{new:#x}");
        }
    }
    world.set(Mfn(3), 8, world.word(Mfn(3), 8) | Entry::ACCESSED);
    write(&world, 3, 8, 6 << 12 | P, EditMode::PreserveAccessedDirty).unwrap();
    assert_ne!(world.word(Mfn(3), 8) & Entry::ACCESSED, 0);
    write(&world, 3, 8, 7 << 12 | P, EditMode::PreserveAccessedDirty).unwrap();
    assert_ne!(world.word(Mfn(3), 8) & Entry::ACCESSED, 0);
}

#[test]
fn upper_tables() {
    let world = pinned();
    let invalid = Err(Stop::Errno(Errno::EINVAL));
    assert_eq!(write(&world, 1, 260, 2 << 12 | P, EditMode::Replace), invalid, "the hypervisor's slot");
    assert_eq!(write(&world, 1, 271, 0, EditMode::Replace), invalid);
    assert_eq!(write(&world, 1, 272, 2 << 12 | P, EditMode::Replace), Ok(()));
    assert_eq!(write(&world, 2, 9, 10 << 12 | P, EditMode::Replace), invalid, "writable data");
    assert_eq!(write(&world, 2, 9, 2 << 12 | RW, EditMode::Replace), invalid, "linear and writable");
    assert_eq!(write(&world, 2, 9, 40 << 12 | P, EditMode::Replace), invalid, "another domain's");
    assert_eq!(write(&world, 3, 7, 4 << 12 | P | Entry::PAT, EditMode::Replace), invalid, "no superpage the short way");
    assert_eq!(write(&world, 3, 7, 4 << 12 | P | Entry::GLOBAL, EditMode::Replace), invalid);
    assert_eq!(
        write(&world, 3, 7, 4 << 12 | RW | Entry::GLOBAL, EditMode::Replace),
        invalid,
        "not the short way either"
    );
    // A new table, and the old one dropped: with no budget, in steps.
    assert_eq!(write(&world, 2, 0, 5 << 12 | P, EditMode::Replace), Ok(()));
    world.budget.set(Some(0));
    assert_eq!(write(&world, 2, 511, 0, EditMode::Replace), Ok(()));
    assert_eq!(write(&world, 2, 0, 3 << 12 | P, EditMode::Replace), Err(Stop::Preempted));
    assert_eq!(world.word(Mfn(2), 0) >> 12 & 0xFF, 5, "preempted, nothing changed");
    let (rounds, outcome) = world.insist(|| {
        let rules = EntryRules::new(&world, GUEST, GUEST);
        OpenFrame::open(&world, Mfn(2), GUEST)?.write(&rules, 0, 3 << 12 | P, EditMode::Replace)
    });
    assert_eq!(outcome, Ok(()));
    assert!(rounds >= 1);
    world.settle();
    assert_eq!(world.frame(Mfn(5)).type_word().count(), 0);
}

#[test]
fn plain_pages_are_written_and_others_refused() {
    let world = pinned();
    assert_eq!(write(&world, 10, 17, 0xDEAD, EditMode::PreserveAccessedDirty), Ok(()));
    assert_eq!(world.word(Mfn(10), 17), 0xDEAD);
    assert_eq!(write(&world, 25, 0, u64::MAX, EditMode::Replace), Ok(()), "can become writable");
    get_page_and_type(&world, Mfn(26), GUEST, FrameType::Segment).unwrap();
    world.hold(Mfn(26), 1, 1);
    assert_eq!(OpenFrame::open(&world, Mfn(26), GUEST).err(), Some(Errno::EINVAL));
    assert_eq!(OpenFrame::open(&world, Mfn(40), GUEST).err(), Some(Errno::EINVAL));
    assert_eq!(OpenFrame::open(&world, HOLE, GUEST).err(), Some(Errno::EINVAL));
    assert_eq!(OpenFrame::open(&world, DEVICE, GUEST).err(), Some(Errno::EINVAL));
    assert_eq!(OpenFrame::open_level_one(&world, Mfn(3), GUEST).err(), Some(Errno::EINVAL));
    world.audit();
}

#[test]
fn foreign_frames_need_their_owner_named() {
    let world = pinned();
    let rules = EntryRules::new(&world, GUEST, OTHER);
    let table = OpenFrame::open(&world, Mfn(4), GUEST).unwrap();
    assert_eq!(table.write(&rules, 50, 10 << 12 | P, EditMode::Replace), Err(Stop::Errno(Errno::EBUSY)));
    assert_eq!(table.write(&rules, 50, 40 << 12 | RW, EditMode::Replace), Ok(()));
    drop(table);
    world.audit();
    let word = world.frame(Mfn(40)).reference();
    assert_eq!((word.owner(), word.count()), (OTHER, 2));
    // Ballooned out while mapped: leaves with the last mapping.
    pv_mmu::release_allocation(&world, Mfn(40), OTHER).unwrap();
    assert_eq!(pv_mmu::release_allocation(&world, Mfn(40), OTHER), Err(Errno::EINVAL));
    world.audit();
    assert!(world.freed.borrow().is_empty());
    assert_eq!(write(&world, 4, 50, 0, EditMode::Replace), Ok(()));
    assert_eq!(*world.freed.borrow(), [Mfn(40)]);
    let io = EntryRules::new(&world, GUEST, abi::DomainId::IO);
    let table = OpenFrame::open(&world, Mfn(4), GUEST).unwrap();
    assert_eq!(
        table.write(&io, 50, 10 << 12 | P, EditMode::Replace),
        Err(Stop::Errno(Errno::EBUSY)),
        "only I/O memory"
    );
    assert_eq!(table.write(&io, 50, HOLE.0 << 12 | P, EditMode::Replace), Err(Stop::Errno(Errno::EPERM)));
}

#[test]
fn walking_a_guests_tables() {
    let world = pinned();
    assert_eq!(walk_to_level_one(&world, ROOT, BASE), Some(Mfn(4)));
    assert_eq!(guest_entry(&world, ROOT, BASE).unwrap().mfn(), Mfn(10));
    assert_eq!(guest_entry(&world, ROOT, GuestVirtual(BASE.0 + 0x50_000)), None);
    assert_eq!(walk_to_level_one(&world, ROOT, GuestVirtual(9 << 21)), None);
    assert_eq!(walk_to_level_one(&world, ROOT, GuestVirtual(0xFFFF_8000_0000_0000)), None, "the hypervisor's");
    assert_eq!(walk_to_level_one(&world, ROOT, GuestVirtual(0x0000_8000_0000_0000)), None, "not canonical");
    let high = 0xFFFF_0000_0000_0000 | 300 << 39 | BASE.0;
    assert_eq!(walk_to_level_one(&world, ROOT, GuestVirtual(high)), Some(Mfn(4)));
}

#[test]
fn grant_entries_carry_their_references() {
    let world = pinned();
    let take = || {
        get_page_and_type(&world, Mfn(40), OTHER, FrameType::Writable).unwrap();
        world.hold(Mfn(40), 1, 1);
    };
    let entry = grant_entry(Mfn(40), Entry::WRITABLE);
    take();
    pv_mmu::map_grant_at_va(&world, GUEST, ROOT, BASE, entry).unwrap();
    world.unhold(Mfn(40), 1, 1);
    world.audit();
    assert_eq!(world.frame(Mfn(10)).type_word().count(), 0, "the entry that was there is released");
    let read_only = grant_entry(Mfn(40), 0);
    assert_eq!(pv_mmu::unmap_grant_at_va(&world, GUEST, ROOT, BASE, read_only), Err(GrantEntryRefused));
    let place = MachineAddress(4 << 12);
    assert_eq!(pv_mmu::unmap_grant_at_entry(&world, GUEST, MachineAddress(place.0 + 4), entry), Err(GrantEntryRefused));
    pv_mmu::unmap_grant_at_entry(&world, GUEST, place, entry).unwrap();
    world.hold(Mfn(40), 1, 1);
    world.audit();
    assert_eq!(world.word(Mfn(4), 0), 0);
    pv_mmu::map_grant_at_entry(&world, GUEST, MachineAddress(place.0 + 8), entry).unwrap();
    world.unhold(Mfn(40), 1, 1);
    // Replace the grant (slot 1) by the entry of slot 2.
    let at = |slot: u64| GuestVirtual(BASE.0 + slot * 4096);
    assert_eq!(pv_mmu::replace_grant(&world, GUEST, ROOT, at(1), read_only, at(102)), Err(GrantEntryRefused));
    assert_eq!(world.word(Mfn(4), 102), 0, "put down, not back");
    world.audit();
    pv_mmu::replace_grant(&world, GUEST, ROOT, at(1), entry, at(2)).unwrap();
    world.hold(Mfn(40), 1, 1);
    world.audit();
    assert_eq!((world.word(Mfn(4), 1) >> 12 & 0xFF, world.word(Mfn(4), 2)), (12, 0));
    for place in [MachineAddress(3 << 12), MachineAddress(40 << 12), DEVICE.address()] {
        assert_eq!(pv_mmu::map_grant_at_entry(&world, GUEST, place, entry), Err(GrantEntryRefused));
    }
    put_page_and_type(&world, Mfn(40), world.frame(Mfn(40)));
    world.unhold(Mfn(40), 1, 1);
    world.audit();
}

#[test]
fn writes_to_read_only_mapped_tables() {
    let world = pinned();
    // Slot 104 of table 4 maps table 4 itself, read-only.
    let window = BASE.0 + 104 * 4096;
    let at = |slot: u64, byte: u64| GuestVirtual(window + slot * 8 + byte);
    let write = |address, size, write| {
        let outcome = apply_guest_write(&world, GUEST, ROOT, address, size, write);
        world.audit();
        outcome
    };
    assert!(is_table_write_fault(&world, GUEST, ROOT, at(0, 0)));
    assert!(!is_table_write_fault(&world, GUEST, ROOT, BASE));
    assert!(!is_table_write_fault(&world, OTHER, ROOT, at(0, 0)));
    let old = world.word(Mfn(4), 0);
    assert_eq!(write(at(0, 0), 8, GuestWrite::Store(11 << 12 | RW)), WriteOutcome::Done(old));
    assert_eq!(world.word(Mfn(4), 0), 11 << 12 | RW | US | Entry::GUEST_KERNEL);
    assert_eq!(write(at(0, 0), 8, GuestWrite::Store(4 << 12 | RW)), WriteOutcome::NotHandled);
    assert_eq!(write(at(0, 4), 8, GuestWrite::Store(0)), WriteOutcome::NotHandled, "not aligned");
    assert_eq!(write(at(0, 0), 3, GuestWrite::Store(0)), WriteOutcome::NotHandled);
    // Byte 1 holds bits 8 to 15: an available bit, and the low bits of the frame number.
    assert_eq!(write(at(0, 1), 1, GuestWrite::Store(0xFFC2)), WriteOutcome::Done(0xB0));
    assert_eq!(world.word(Mfn(4), 0), 12 << 12 | 1 << 9 | RW | US | Entry::GUEST_KERNEL);
    assert_eq!(write(at(0, 0), 4, GuestWrite::Store(0)), WriteOutcome::Done(12 << 12 | 1 << 9 | RW | US));
    assert_eq!(world.word(Mfn(4), 0), Entry::GUEST_KERNEL, "not present any more");
    let exchange = |expected, new| GuestWrite::CompareExchange { expected, new };
    assert_eq!(write(at(1, 0), 8, exchange(0, 0)), WriteOutcome::Mismatch(world.word(Mfn(4), 1)));
    let now = world.word(Mfn(4), 1);
    assert_eq!(write(at(1, 0), 8, exchange(now, 10 << 12 | RW)), WriteOutcome::Done(now));
    assert_eq!(write(at(1, 0), 2, exchange(0xA007, 0)), WriteOutcome::Done(0xA007));
    assert_eq!(write(GuestVirtual(BASE.0 + 103 * 4096), 8, GuestWrite::Store(0)), WriteOutcome::NotHandled, "level 2");
    assert_eq!(write(BASE, 8, GuestWrite::Store(0)), WriteOutcome::NotHandled, "not mapped");
}
