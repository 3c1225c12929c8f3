//! Copy, transfer, swap, cache flush and growth.

#![cfg(not(loom))]

mod world;

use abi::{
    DomainId, Errno, GrantRef, Mfn,
    grant_table::{
        CacheFlush, CacheFlushFlags, Copy, CopyFlags, CopyPointer, EntryFlags, GrantStatus, MapFlags, Transfer,
    },
};
use grant_tables::{CopyBatch, GrantTable, Growth, Limits, cache, cache::Flushed, transfer};
use world::{ALICE, BOB, NOBODY, Page, World, map, request};

const PERMIT: EntryFlags = EntryFlags::PERMIT_ACCESS;
const BOTH_REFERENCES: CopyFlags = CopyFlags(3);

fn world() -> World {
    let world = World::new(Limits::default());
    world.grant(ALICE, 8, PERMIT, BOB, 0x100);
    world.grant(ALICE, 9, PERMIT.with(EntryFlags::READONLY), BOB, 0x101);
    world.grant(BOB, 8, PERMIT, BOB, 0x200);
    world
}

fn side(domain: DomainId, target: u64, offset: u16) -> CopyPointer {
    CopyPointer { target, domain, offset, reserved: 0 }
}

fn operation(flags: CopyFlags, source: CopyPointer, destination: CopyPointer, length: u16) -> Copy {
    Copy { source, destination, length, flags, ..Default::default() }
}

fn copy(world: &World, operation: &Copy) -> GrantStatus {
    CopyBatch::new(&world.caller(BOB)).copy(operation)
}

#[test]
fn copies_between_references_and_own_frames() {
    let world = world();
    let mut before = world.snapshot();
    let own = |frame, offset| side(DomainId::SELF, frame, offset);
    for (operation, changed) in [
        (operation(CopyFlags::SOURCE_GREF, side(ALICE, 8, 10), own(0x201, 20), 5), 0x201),
        (operation(CopyFlags::DEST_GREF, own(0x202, 0), side(ALICE, 8, 4090), 6), 0x100),
        (operation(BOTH_REFERENCES, side(ALICE, 9, 0), side(ALICE, 8, 0), 4096), 0x100),
        (operation(BOTH_REFERENCES, side(BOB, 8, 0), side(DomainId::SELF, 8, 0), 0), 0x200),
        (operation(CopyFlags(0), own(0x203, 0), own(0x203, 2048), 2048), 0x203),
        (operation(CopyFlags(0), own(0x203, 0), own(0x204, 0), 4096), 0x204),
    ] {
        assert_eq!(copy(&world, &operation), GrantStatus::OKAY, "{operation:?}");
        let frames = world.frames.borrow();
        let range = |offset: u16| usize::from(offset)..usize::from(offset + operation.length);
        let from = if operation.flags.contains(CopyFlags::SOURCE_GREF) {
            [0x100, 0x101, 0x200]
                [usize::from(operation.source.target == 9) + 2 * usize::from(operation.source.domain == BOB)]
        } else {
            operation.source.target
        };
        assert_eq!(
            frames[&changed].data[range(operation.destination.offset)],
            frames[&from].data[range(operation.source.offset)]
        );
        drop(frames);
        // Apart from bytes nothing stays behind.
        let strip =
            |text: &str| text.lines().map(|line| line.split('[').next().unwrap().to_string()).collect::<Vec<_>>();
        let after = world.snapshot();
        assert_eq!(strip(&after), strip(&before));
        before = after;
    }
}

#[test]
fn copy_statuses_in_xens_order() {
    let world = world();
    world.grant(ALICE, 10, PERMIT, BOB, 0x200);
    world.grant(ALICE, 11, PERMIT.with(EntryFlags::SUB_PAGE), BOB, 0x102);
    world.grant(ALICE, 12, PERMIT, NOBODY, 0x102);
    world.frames.borrow_mut().get_mut(&0x107).unwrap().page_table = true;
    world.grant(ALICE, 13, PERMIT, BOB, 0x107);
    let before = world.snapshot();
    let own = side(DomainId::SELF, 0x201, 0);
    let good = side(ALICE, 8, 0);
    for (flags, source, destination, length, status) in [
        (CopyFlags(0), side(ALICE, 0x100, 0), side(NOBODY, 0, 0), 1, GrantStatus::PERMISSION_DENIED),
        (CopyFlags(0), side(BOB, 0x200, 0), own, 1, GrantStatus::PERMISSION_DENIED),
        (CopyFlags(0), side(NOBODY, 0x100, 0), own, 1, GrantStatus::BAD_DOMAIN),
        (CopyFlags::SOURCE_GREF, side(NOBODY, 1, 0), side(ALICE, 0x100, 0), 1, GrantStatus::BAD_DOMAIN),
        (CopyFlags::SOURCE_GREF, side(ALICE, 5000, 0), side(ALICE, 0x100, 0), 1, GrantStatus::PERMISSION_DENIED),
        (BOTH_REFERENCES, side(ALICE, 5000, 0), side(NOBODY, 8, 0), 1, GrantStatus::BAD_DOMAIN),
        (CopyFlags::SOURCE_GREF, side(ALICE, 5000, 0), own, 5000, GrantStatus::BAD_GNTREF),
        (CopyFlags::SOURCE_GREF, side(ALICE, 12, 0), own, 1, GrantStatus::GENERAL_ERROR),
        (CopyFlags::SOURCE_GREF, side(ALICE, 10, 0), own, 1, GrantStatus::BAD_PAGE),
        (CopyFlags(0), side(DomainId::SELF, 0x100, 0), own, 1, GrantStatus::BAD_PAGE),
        (CopyFlags::DEST_GREF, own, side(ALICE, 9, 0), 1, GrantStatus::GENERAL_ERROR),
        (CopyFlags::DEST_GREF, own, side(ALICE, 13, 0), 1, GrantStatus::GENERAL_ERROR),
        (CopyFlags::SOURCE_GREF, side(ALICE, 8, 4096), own, 1, GrantStatus::BAD_COPY_ARG),
        (CopyFlags::SOURCE_GREF, good, side(DomainId::SELF, 0x201, 1), 4096, GrantStatus::BAD_COPY_ARG),
        (CopyFlags::SOURCE_GREF, good, own, u16::MAX, GrantStatus::BAD_COPY_ARG),
    ] {
        let operation = operation(flags, source, destination, length);
        assert_eq!(copy(&world, &operation), status, "{operation:?}");
        assert_eq!(world.snapshot(), before, "{operation:?}");
    }
    assert_eq!(copy(&world, &operation(CopyFlags::SOURCE_GREF, side(ALICE, 11, 0), own, 1)), GrantStatus::OKAY);
}

#[test]
fn a_batch_keeps_its_pins_until_they_change_or_fail() {
    let world = world();
    let bob = world.caller(BOB);
    let own = side(DomainId::SELF, 0x201, 0);
    let mut batch = CopyBatch::new(&bob);
    let first = operation(CopyFlags::SOURCE_GREF, side(ALICE, 8, 0), own, 16);
    assert_eq!(batch.copy(&first), GrantStatus::OKAY);
    let calls = world.calls.get();
    for _ in 0..8 {
        assert_eq!(batch.copy(&first), GrantStatus::OKAY);
    }
    assert_eq!((world.calls.get(), world.lookups.get()), (calls, 1));
    assert_eq!(world.pins(ALICE, 8), [1, 0, 0, 0]);
    let second = operation(CopyFlags::SOURCE_GREF, side(ALICE, 9, 0), own, 16);
    assert_eq!(batch.copy(&second), GrantStatus::OKAY);
    assert_eq!((world.pins(ALICE, 8), world.pins(ALICE, 9)), ([0; 4], [1, 0, 0, 0]));
    assert_eq!(world.lookups.get(), 1);
    // The cached domain does not open its frames by number.
    let foreign_frame = operation(CopyFlags(0), side(ALICE, 9, 0), own, 16);
    assert_eq!(batch.copy(&foreign_frame), GrantStatus::PERMISSION_DENIED);
    assert_eq!((world.pins(ALICE, 9), world.counts(0x201)), ([0; 4], (1, 0)));
}

#[test]
fn a_pinned_entry_copies_from_the_pinned_frame() {
    let world = world();
    let bob = world.caller(BOB);
    map(&bob, &request(ALICE, 8, MapFlags(MapFlags::HOST_MAP.0 | MapFlags::READONLY.0), 0x5000)).unwrap();
    world.word(ALICE, 17)(0x104);
    let operation = operation(CopyFlags::SOURCE_GREF, side(ALICE, 8, 0), side(DomainId::SELF, 0x201, 0), 1);
    assert_eq!(copy(&world, &operation), GrantStatus::OKAY);
    assert_eq!(world.frames.borrow()[&0x201].data[0], 0);
    assert_eq!(world.pins(ALICE, 8), [1, 0, 0, 0]);
}

#[test]
fn copy_survives_any_failing_call() {
    for flags in [CopyFlags(0), CopyFlags::SOURCE_GREF, CopyFlags::DEST_GREF, BOTH_REFERENCES] {
        for fail_at in 0.. {
            let world = world();
            let pick = |flag: CopyFlags, reference| {
                if flags.contains(flag) {
                    side(ALICE, reference, 0)
                } else {
                    side(DomainId::SELF, 0x1F8 + reference, 0)
                }
            };
            let source = pick(CopyFlags::SOURCE_GREF, 9);
            let operation = operation(flags, source, pick(CopyFlags::DEST_GREF, 8), 1);
            let before = world.snapshot();
            world.calls.set(0);
            world.fail_at.set(Some(fail_at));
            let status = copy(&world, &operation);
            if world.calls.get() <= fail_at {
                assert_eq!(status, GrantStatus::OKAY);
                break;
            }
            assert_ne!(status, GrantStatus::OKAY);
            assert_eq!(world.snapshot(), before);
        }
    }
}

#[test]
fn transfer_moves_a_frame_and_says_so() {
    let world = world();
    world.grant(ALICE, 20, EntryFlags::ACCEPT_TRANSFER, BOB, 0x77);
    let bob = world.caller(BOB);
    let give = |mfn, domain, reference| {
        transfer(&bob, &Transfer { mfn: Mfn(mfn), domain, reference: GrantRef(reference), ..Default::default() })
    };
    assert_eq!(give(0x100, ALICE, 20), Err(GrantStatus::BAD_PAGE));
    assert_eq!(give(0x999, ALICE, 20), Err(GrantStatus::BAD_PAGE));
    assert_eq!(give(0x201, NOBODY, 20), Err(GrantStatus::BAD_DOMAIN));
    assert_eq!(give(0x202, ALICE, 21), Err(GrantStatus::GENERAL_ERROR));
    assert_eq!(give(0x203, ALICE, 100_000), Err(GrantStatus::GENERAL_ERROR));
    world.headroom.set(false);
    assert_eq!(give(0x204, ALICE, 20), Err(GrantStatus::GENERAL_ERROR));
    assert_eq!(world.flags(ALICE, 20), EntryFlags::ACCEPT_TRANSFER);
    world.headroom.set(true);
    assert_eq!(give(0x205, ALICE, 20), Ok(()));
    let done = EntryFlags::ACCEPT_TRANSFER.with(EntryFlags::TRANSFER_COMMITTED).with(EntryFlags::TRANSFER_COMPLETED);
    assert_eq!(world.flags(ALICE, 20), done);
    assert_eq!(world.table(ALICE).shared_words(GrantRef(20)).unwrap().1, 0x205);
    assert_eq!(world.frames.borrow()[&0x205].owner, ALICE);
    assert_eq!(give(0x206, ALICE, 20), Err(GrantStatus::GENERAL_ERROR), "an entry takes one frame");
}

#[test]
fn swap_exchanges_idle_entries_only() {
    let world = world();
    let table = world.table(ALICE);
    let words = |reference| table.shared_words(GrantRef(reference)).unwrap();
    let (eight, nine) = (words(8), words(9));
    table.swap(GrantRef(9), GrantRef(8)).unwrap();
    assert_eq!((words(8), words(9)), (nine, eight));
    assert_eq!(table.swap(GrantRef(8), GrantRef(8)), Ok(()));
    assert_eq!(table.swap(GrantRef(8), GrantRef(1024)), Err(GrantStatus::BAD_GNTREF));
    assert_eq!(table.swap(GrantRef(1024), GrantRef(1024)), Err(GrantStatus::BAD_GNTREF));
    map(&world.caller(BOB), &request(ALICE, 9, MapFlags::HOST_MAP, 0x5000)).unwrap();
    assert_eq!(table.swap(GrantRef(8), GrantRef(9)), Err(GrantStatus::EAGAIN));
    assert_eq!(table.swap(GrantRef(9), GrantRef(9)), Ok(()));
}

#[test]
fn cache_flush_wants_rights_and_a_grant() {
    let world = world();
    world.grant(ALICE, 1000, PERMIT, BOB, 0x103);
    let bob = world.caller(BOB);
    let flush = |frame: u64, offset, length, operation| {
        let mut progress = GrantRef(0);
        let request = CacheFlush { target: frame << 12, offset, length, operation };
        loop {
            match cache::flush(&bob, &request, progress)? {
                Flushed::Done => return Ok(progress.0),
                Flushed::SearchFrom(next) => progress = next,
            }
        }
    };
    let clean = CacheFlushFlags::CLEAN;
    assert_eq!(flush(0x200, 4096, 0, clean), Err(Errno::EINVAL));
    assert_eq!(flush(0x200, 1, 4096, clean), Err(Errno::EINVAL));
    assert_eq!(flush(0x200, 0, 1, CacheFlushFlags(4)), Err(Errno::EINVAL));
    assert_eq!(flush(0x999, 0, 0, clean), Ok(0));
    assert_eq!(flush(0x200, 0, 1, CacheFlushFlags(0)), Ok(0));
    assert_eq!(flush(0x200, 0, 1, clean.with(CacheFlushFlags::SOURCE_GREF)), Err(Errno::EOPNOTSUPP));
    assert_eq!(flush(0x200, 0, 1, clean), Err(Errno::EPERM));
    world.cache_rights.set(true);
    assert_eq!(flush(0x200, 0, 1, clean), Ok(0));
    assert_eq!(flush(0x200, 0, 1, CacheFlushFlags::INVALIDATE), Err(Errno::EOPNOTSUPP));
    assert_eq!(flush(0x103, 0, 1, clean), Err(Errno::EPERM));
    map(&bob, &request(ALICE, 1000, MapFlags::HOST_MAP, 0x5000)).unwrap();
    assert_eq!(flush(0x103, 0, 1, clean), Ok(768));
    assert_eq!((world.counts(0x103).0, world.counts(0x200).0), (3, 1));
    let empty = CacheFlush { target: 0, offset: 0, length: 0, operation: clean };
    assert_eq!(cache::flush(&bob, &empty, GrantRef(1)), Err(Errno::EILSEQ));
}

#[test]
fn growth_is_stepwise_charged_and_fallible() {
    let world = world();
    let table = world.table(ALICE);
    assert_eq!((table.frame_count(), table.shared_frame(2)), (2, None));
    assert_eq!(table.grow(4, &world), Ok(Growth::More));
    assert_eq!(table.grow(4, &world), Ok(Growth::Done));
    assert_eq!(table.grow(4, &world), Ok(Growth::Done));
    assert!(table.grow(65, &world).is_err());
    assert_eq!((table.frame_count(), table.entry_count()), (4, 2048));
    for fail_at in 0..2 {
        world.calls.set(0);
        world.fail_at.set(Some(fail_at));
        assert!(table.grow(5, &world).is_err());
        assert_eq!(table.frame_count(), 4);
    }
    assert_eq!(world.charged.borrow()[&ALICE.0], table.heap_bytes() as i64);
    world.calls.set(0);
    world.fail_at.set(Some(3));
    let failed = GrantTable::<Page>::new(NOBODY, Limits::default(), 2, 1, &world);
    assert!(failed.is_err());
    assert_eq!(world.charged.borrow()[&NOBODY.0], 0);
}

#[test]
fn tables_are_shared_between_cpus() {
    fn shared<T: Send + Sync>() {}
    shared::<GrantTable<Page>>();
}
