//! Tables of version 2: changing versions, status words, frame numbers beyond 32 bits, parts of pages.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod world;

use abi::{
    DomainId, Errno, GrantRef,
    grant_table::{Copy, CopyFlags, CopyPointer, EntryFlags, GrantStatus, MapFlags, Transfer},
};
use grant_tables::{CopyBatch, Growth, Limits, Version, transfer};
use world::{ALICE, BOB, World, map, request, unmap};

const PERMIT: EntryFlags = EntryFlags::PERMIT_ACCESS;
const IN_USE: EntryFlags = EntryFlags::READING.with(EntryFlags::WRITING);
const HOST: MapFlags = MapFlags::HOST_MAP;

fn world() -> World {
    let world = World::new(Limits { version: Version::Two, ..Limits::default() });
    world.table(ALICE).set_version(Version::Two, &world).unwrap();
    world
}

/// What a guest does to offer part of a frame.
fn grant_part(world: &World, reference: u32, frame: u64, offset: u16, length: u16) {
    world.word(ALICE, 4 * reference + 1)(u32::from(offset) | u32::from(length) << 16);
    world.grant(ALICE, reference, PERMIT.with(EntryFlags::SUB_PAGE), BOB, frame);
}

/// Bob copies from Alice's entry.
fn copy(world: &World, reference: u32, offset: u16, length: u16) -> GrantStatus {
    let source = CopyPointer { target: reference.into(), domain: ALICE, offset, ..Default::default() };
    let destination = CopyPointer { target: 0x207, domain: DomainId::SELF, ..Default::default() };
    let flags = CopyFlags::SOURCE_GREF;
    CopyBatch::new(&world.caller(BOB)).copy(&Copy { source, destination, length, flags, ..Default::default() })
}

#[test]
fn version_two_must_be_allowed() {
    let world = World::new(Limits::default());
    let table = world.table(ALICE);
    assert_eq!(table.set_version(Version::Two, &world), Err(Errno::ENOSYS));
    assert_eq!(table.set_version(Version::One, &world), Ok(()));
    assert_eq!((table.version(), table.status_frame_count(), table.status_frame(0)), (Version::One, 0, None));
}

#[test]
fn in_use_bits_live_in_the_status_word() {
    let world = world();
    world.grant(ALICE, 20, PERMIT, BOB, 0x100);
    let table = world.table(ALICE);
    let status = || table.status_word(GrantRef(20)).unwrap();
    let caller = world.caller(BOB);
    let first = map(&caller, &request(ALICE, 20, HOST, 0x5000)).unwrap();
    let second = map(&caller, &request(ALICE, 20, HOST.with(MapFlags::READONLY), 0x6000)).unwrap();
    assert_eq!((status(), table.shared_words(GrantRef(20)).unwrap().0 as u16), (IN_USE, PERMIT.0));
    assert_eq!(unmap(&caller, first.handle, 0x5000, 0), GrantStatus::OKAY);
    assert_eq!(status(), EntryFlags::READING);
    assert_eq!(unmap(&caller, second.handle, 0x6000, 0), GrantStatus::OKAY);
    assert_eq!(status(), EntryFlags::INVALID);
    // The neighbour in the same word is somebody else's.
    assert_eq!(table.status_word(GrantRef(21)), Some(EntryFlags::INVALID));
}

#[test]
fn frames_beyond_32_bits_are_not_cut_off() {
    let world = world();
    world.grant(ALICE, 20, PERMIT, BOB, 1 << 32 | 0x100);
    let result = map(&world.caller(BOB), &request(ALICE, 20, HOST, 0x5000));
    assert_eq!(result, Err(GrantStatus::BAD_PAGE));
    assert_eq!(world.flags(ALICE, 20), PERMIT);
}

#[test]
fn transitive_entries_lend_nothing() {
    let world = world();
    world.grant(ALICE, 20, EntryFlags::TRANSITIVE, BOB, 0x100);
    assert_eq!(copy(&world, 20, 0, 8), GrantStatus::GENERAL_ERROR);
    assert_eq!(map(&world.caller(BOB), &request(ALICE, 20, HOST, 0x5000)), Err(GrantStatus::GENERAL_ERROR));
}

#[test]
fn parts_are_copied_within_their_bounds_and_never_mapped() {
    let world = world();
    grant_part(&world, 20, 0x100, 1024, 512);
    for (offset, length, status) in [
        (1024, 512, GrantStatus::OKAY),
        (1500, 36, GrantStatus::OKAY),
        (1536, 0, GrantStatus::OKAY),
        (1023, 8, GrantStatus::GENERAL_ERROR),
        (1500, 37, GrantStatus::GENERAL_ERROR),
        (0, 0, GrantStatus::GENERAL_ERROR),
        (4000, 100, GrantStatus::BAD_COPY_ARG),
    ] {
        assert_eq!(copy(&world, 20, offset, length), status, "{offset} {length}");
    }
    assert_eq!(map(&world.caller(BOB), &request(ALICE, 20, HOST, 0x5000)), Err(GrantStatus::GENERAL_ERROR));
    grant_part(&world, 20, 0x100, u16::MAX, u16::MAX);
    assert_eq!(copy(&world, 20, 4095, 1), GrantStatus::GENERAL_ERROR);
    assert_eq!(world.counts(0x100), (1, 0));
}

/// A copy in flight on one CPU is no way in for a mapping on another, nor for a copy beyond the part.
#[test]
fn a_pinned_part_stays_a_part() {
    let world = world();
    grant_part(&world, 20, 0x100, 0, 64);
    let caller = world.caller(BOB);
    let source = CopyPointer { target: 20, domain: ALICE, ..Default::default() };
    let destination = CopyPointer { target: 0x207, domain: DomainId::SELF, ..Default::default() };
    let operation = Copy { source, destination, length: 64, flags: CopyFlags::SOURCE_GREF, ..Default::default() };
    let mut batch = CopyBatch::new(&caller);
    assert_eq!(batch.copy(&operation), GrantStatus::OKAY);
    // The granter changes the entry under the pin.
    world.grant(ALICE, 20, PERMIT, BOB, 0x101);
    assert_eq!(map(&world.caller(BOB), &request(ALICE, 20, HOST, 0x5000)), Err(GrantStatus::GENERAL_ERROR));
    assert_eq!(copy(&world, 20, 64, 1), GrantStatus::GENERAL_ERROR);
    assert_eq!(copy(&world, 20, 0, 64), GrantStatus::OKAY);
    drop(batch);
    assert_eq!(copy(&world, 20, 64, 1), GrantStatus::OKAY);
}

#[test]
fn the_first_entries_survive_both_ways() {
    let world = World::new(Limits { version: Version::Two, ..Limits::default() });
    let table = world.table(ALICE);
    world.grant(ALICE, 3, PERMIT.with(EntryFlags::READONLY), BOB, 0x100);
    world.grant(ALICE, 8, PERMIT, BOB, 0x101);
    let caller = world.caller(BOB);
    let kept = map(&caller, &request(ALICE, 3, HOST.with(MapFlags::READONLY), 0x5000)).unwrap();
    let busy = map(&caller, &request(ALICE, 8, HOST, 0x6000)).unwrap();
    assert_eq!(table.set_version(Version::Two, &world), Err(Errno::EBUSY));
    assert_eq!((table.version(), world.flags(ALICE, 8)), (Version::One, PERMIT.with(IN_USE)));
    assert_eq!(unmap(&caller, busy.handle, 0x6000, 0), GrantStatus::OKAY);

    table.set_version(Version::Two, &world).unwrap();
    let readonly = u32::from(PERMIT.with(EntryFlags::READONLY).0) | u32::from(BOB.0) << 16;
    assert_eq!(table.shared_words(GrantRef(3)), Some((readonly, 0x100)));
    assert_eq!(table.status_word(GrantRef(3)), Some(EntryFlags::READING));
    assert_eq!(table.shared_words(GrantRef(8)), Some((0, 0)));

    table.set_version(Version::One, &world).unwrap();
    assert_eq!(table.shared_words(GrantRef(3)), Some((readonly | u32::from(EntryFlags::READING.0), 0x100)));
    assert_eq!(unmap(&caller, kept.handle, 0x5000, 0), GrantStatus::OKAY);
    assert_eq!(table.shared_words(GrantRef(3)), Some((readonly, 0x100)));
    assert_eq!(world.counts(0x100), (1, 0));
}

#[test]
fn what_version_one_cannot_say_keeps_version_two() {
    let world = world();
    let table = world.table(ALICE);
    for (flags, frame, result) in [
        (PERMIT, 1 << 32, Err(Errno::ERANGE)),
        (EntryFlags::TRANSITIVE, 0, Err(Errno::ERANGE)),
        (EntryFlags::ACCEPT_TRANSFER, 1 << 32, Ok(())),
    ] {
        table.set_version(Version::Two, &world).unwrap();
        world.grant(ALICE, 3, flags, BOB, frame);
        assert_eq!(table.set_version(Version::One, &world), result);
    }
    // An offer to receive does not survive.
    assert_eq!(table.shared_words(GrantRef(3)), Some((0, 0)));
    table.set_version(Version::Two, &world).unwrap();
    world.mapped.borrow()[&ALICE.0].store(1, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(table.set_version(Version::One, &world), Err(Errno::EBUSY));
    assert_eq!(table.version(), Version::Two);
}

#[test]
fn status_pages_grow_with_the_table_and_are_charged() {
    let world = world();
    let table = world.table(ALICE);
    for (frames, status) in [(2, 1), (8, 1), (9, 2), (17, 3)] {
        while table.grow(frames, &world).unwrap() == Growth::More {}
        assert_eq!(table.status_frame_count(), status);
        assert!(table.status_frame(status - 1).is_some() && table.status_frame(status).is_none());
        assert_eq!(world.charged.borrow()[&ALICE.0], table.heap_bytes() as i64);
    }
    assert_eq!(table.entry_count(), 17 * 256);
    // Back and forth keeps what there is.
    table.set_version(Version::One, &world).unwrap();
    assert_eq!((table.entry_count(), table.status_frame(0)), (17 * 512, None));
    table.set_version(Version::Two, &world).unwrap();
    assert_eq!(world.charged.borrow()[&ALICE.0], table.heap_bytes() as i64);
}

#[test]
fn a_change_survives_any_failing_call() {
    for fail_at in 0.. {
        let world = World::new(Limits { version: Version::Two, ..Limits::default() });
        let table = world.table(ALICE);
        world.calls.set(0);
        world.fail_at.set(Some(fail_at));
        let result = table.set_version(Version::Two, &world);
        world.fail_at.set(None);
        if result.is_ok() {
            assert!(fail_at > 0);
            return;
        }
        assert_eq!((result, table.version()), (Err(Errno::ENOMEM), Version::One));
        assert_eq!(world.charged.borrow()[&ALICE.0], table.heap_bytes() as i64);
        assert_eq!(table.set_version(Version::Two, &world), Ok(()));
    }
}

#[test]
fn a_transfer_tells_the_frame_in_full() {
    let world = world();
    world.grant(ALICE, 20, EntryFlags::ACCEPT_TRANSFER, BOB, 7);
    let request = Transfer { mfn: abi::Mfn(0x203), domain: ALICE, reference: GrantRef(20), ..Default::default() };
    assert_eq!(transfer(&world.caller(BOB), &request), Ok(()));
    let (head, frame) = world.table(ALICE).shared_words(GrantRef(20)).unwrap();
    let done = EntryFlags::TRANSFER_COMMITTED.with(EntryFlags::TRANSFER_COMPLETED);
    assert_eq!((head as u16, frame), (EntryFlags::ACCEPT_TRANSFER.with(done).0, 0x203));
}

#[test]
fn swap_exchanges_parts_too() {
    let world = world();
    grant_part(&world, 20, 0x100, 8, 16);
    world.grant(ALICE, 21, PERMIT, BOB, 0x101);
    world.table(ALICE).swap(GrantRef(20), GrantRef(21)).unwrap();
    assert_eq!(copy(&world, 21, 8, 16), GrantStatus::OKAY);
    assert_eq!(copy(&world, 21, 0, 8), GrantStatus::GENERAL_ERROR);
    assert_eq!(copy(&world, 20, 0, 8), GrantStatus::OKAY);
}
