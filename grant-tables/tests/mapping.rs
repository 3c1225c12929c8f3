//! Map and unmap: what each status means, what the shared entry shows, and what is owed until the flush.

#![cfg(not(loom))]

mod world;

use abi::{
    DomainId, GrantHandle, GrantRef,
    grant_table::{EntryFlags, GrantStatus, MapFlags},
};
use grant_tables::{DomainCache, Limits, Teardown, UnmapBatch, UnmapRequest, release_mappings};
use world::{ALICE, BOB, Event, NOBODY, World, map, request, unmap};

const PERMIT: EntryFlags = EntryFlags::PERMIT_ACCESS;
const BOTH_BITS: EntryFlags = EntryFlags(EntryFlags::READING.0 | EntryFlags::WRITING.0);
const HOST: MapFlags = MapFlags::HOST_MAP;
const HOST_RO: MapFlags = MapFlags(MapFlags::HOST_MAP.0 | MapFlags::READONLY.0);
const DEVICE: MapFlags = MapFlags::DEVICE_MAP;
const HOST_DEVICE: MapFlags = MapFlags(MapFlags::HOST_MAP.0 | MapFlags::DEVICE_MAP.0);
const PTE: MapFlags = MapFlags(MapFlags::HOST_MAP.0 | MapFlags::CONTAINS_PTE.0);

fn world() -> World {
    let world = World::new(Limits::default());
    world.grant(ALICE, 8, PERMIT, BOB, 0x100);
    world.grant(ALICE, 9, PERMIT.with(EntryFlags::READONLY), BOB, 0x101);
    world
}

#[test]
fn a_writable_mapping_comes_and_goes_without_trace() {
    let world = world();
    let bob = world.caller(BOB);
    // The first mapping of all makes the handle space grow.
    let first = map(&bob, &request(ALICE, 8, HOST, 0x5000)).unwrap().handle;
    assert_eq!(unmap(&bob, first, 0x5000, 0), GrantStatus::OKAY);
    let before = world.snapshot();
    let mapped = map(&bob, &request(ALICE, 8, HOST, 0x5000)).unwrap();
    assert_eq!(mapped.device_bus_address.0, 0x100 << 12);
    assert_eq!(world.flags(ALICE, 8), PERMIT.with(BOTH_BITS));
    assert_eq!(world.pins(ALICE, 8), [0, 1, 0, 0]);
    // The owner's, the entry's, the page-table entry's.
    assert_eq!(world.counts(0x100), (3, 1));
    assert_eq!(unmap(&bob, mapped.handle, 0x5000, 0), GrantStatus::OKAY);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn references_are_put_after_the_flush_and_once_per_batch() {
    let world = world();
    let bob = world.caller(BOB);
    let handles: Vec<_> =
        (0..3).map(|index| map(&bob, &request(ALICE, 8, HOST, 0x5000 + index * 0x1000)).unwrap().handle).collect();
    world.events.borrow_mut().clear();
    let mut batch = UnmapBatch::<_, 32>::new(&bob);
    for (index, handle) in handles.into_iter().enumerate() {
        let host_address = 0x5000 + index as u64 * 0x1000;
        let operation = UnmapRequest { host_address, device_bus_address: 0, new_address: 0, handle };
        assert_eq!(batch.unmap(&operation), GrantStatus::OKAY);
        // Gone once is gone, also before the batch is settled; and the error stops nobody else.
        assert_eq!(batch.unmap(&operation), GrantStatus::BAD_HANDLE);
        assert_eq!(world.flags(ALICE, 8), PERMIT.with(BOTH_BITS));
    }
    drop(batch);
    let events = world.events.borrow();
    assert_eq!(events[..4], [Event::Clear, Event::Clear, Event::Clear, Event::Flush]);
    assert!(events[4..].iter().all(|event| matches!(event, Event::Put(_))));
    assert_eq!(world.flags(ALICE, 8), PERMIT);
}

#[test]
fn map_statuses() {
    let world = world();
    world.grant(ALICE, 10, EntryFlags::INVALID, BOB, 0x100);
    world.grant(ALICE, 11, EntryFlags::ACCEPT_TRANSFER, BOB, 0x100);
    world.grant(ALICE, 12, EntryFlags::TRANSITIVE, BOB, 0x100);
    world.grant(ALICE, 13, PERMIT.with(EntryFlags::SUB_PAGE), BOB, 0x100);
    world.grant(ALICE, 14, PERMIT, NOBODY, 0x100);
    world.grant(ALICE, 15, PERMIT, BOB, 0x200);
    world.grant(ALICE, 16, PERMIT, BOB, 0x107);
    world.frames.borrow_mut().get_mut(&0x107).unwrap().page_table = true;
    let bob = world.caller(BOB);
    map(&bob, &request(ALICE, 9, HOST_RO, 0x9000)).unwrap();
    let before = world.snapshot();
    for (what, status) in [
        (request(ALICE, 8, MapFlags::READONLY, 0x5000), GrantStatus::BAD_GNTREF),
        (request(NOBODY, 8, HOST, 0x5000), GrantStatus::BAD_DOMAIN),
        (request(DomainId::SELF, 8, HOST, 0x5000), GrantStatus::BAD_DOMAIN),
        (request(ALICE, 1024, HOST, 0x5000), GrantStatus::BAD_GNTREF),
        (request(ALICE, u32::MAX, HOST, 0x5000), GrantStatus::BAD_GNTREF),
        (request(ALICE, 9, HOST, 0x5000), GrantStatus::GENERAL_ERROR),
        (request(ALICE, 10, HOST, 0x5000), GrantStatus::GENERAL_ERROR),
        (request(ALICE, 11, HOST, 0x5000), GrantStatus::GENERAL_ERROR),
        (request(ALICE, 12, HOST, 0x5000), GrantStatus::GENERAL_ERROR),
        (request(ALICE, 13, HOST, 0x5000), GrantStatus::GENERAL_ERROR),
        (request(ALICE, 14, HOST, 0x5000), GrantStatus::GENERAL_ERROR),
        (request(ALICE, 15, HOST, 0x5000), GrantStatus::BAD_PAGE),
        (request(ALICE, 16, HOST, 0x5000), GrantStatus::GENERAL_ERROR),
        (request(ALICE, 8, PTE, 0x5004), GrantStatus::GENERAL_ERROR),
    ] {
        assert_eq!(map(&bob, &what), Err(status), "{what:?}");
        assert_eq!(world.snapshot(), before, "{what:?}");
    }
    // A page table may be mapped for reading.
    assert!(map(&bob, &request(ALICE, 16, HOST_RO, 0x5000)).is_ok());
    // The entry is in use by Bob; nobody else gets at it even if it names them now.
    world.grant(ALICE, 9, PERMIT, ALICE, 0x101);
    assert_eq!(map(&world.caller(ALICE), &request(ALICE, 9, HOST, 0)), Err(GrantStatus::GENERAL_ERROR));
}

#[test]
fn unmap_statuses_and_halves() {
    let world = world();
    let bob = world.caller(BOB);
    let handle = map(&bob, &request(ALICE, 8, HOST_DEVICE, 0x5000)).unwrap().handle;
    assert_eq!(world.pins(ALICE, 8), [0, 1, 0, 1]);
    assert_eq!(world.counts(0x100), (4, 2));
    let before = world.snapshot();
    for (handle, host, device, status) in [
        (GrantHandle(handle.0 + 1), 0x5000, 0, GrantStatus::BAD_HANDLE),
        (GrantHandle(u32::MAX), 0x5000, 0, GrantStatus::BAD_HANDLE),
        (handle, 0, 0, GrantStatus::OKAY),
        (handle, 0x6000, 0, GrantStatus::GENERAL_ERROR),
        (handle, 0x5000, 0x101 << 12, GrantStatus::BAD_DEV_ADDR),
    ] {
        assert_eq!(unmap(&bob, handle, host, device), status);
        assert_eq!(world.snapshot(), before);
    }
    assert_eq!(unmap(&bob, handle, 0, 0x100 << 12), GrantStatus::OKAY);
    assert_eq!(world.pins(ALICE, 8), [0, 1, 0, 0]);
    assert_eq!(world.flags(ALICE, 8), PERMIT.with(BOTH_BITS));
    // There is no device part any more, so its address no longer matters.
    assert_eq!(unmap(&bob, handle, 0x5000, 0x123), GrantStatus::OKAY);
    assert_eq!(world.flags(ALICE, 8), PERMIT);
    assert_eq!(unmap(&bob, handle, 0x5000, 0), GrantStatus::BAD_HANDLE);
}

#[test]
fn a_failed_host_part_leaves_the_device_part_unmapped() {
    let world = world();
    let bob = world.caller(BOB);
    let handle = map(&bob, &request(ALICE, 8, HOST_DEVICE, 0x5000)).unwrap().handle;
    assert_eq!(unmap(&bob, handle, 0x6000, 0x100 << 12), GrantStatus::GENERAL_ERROR);
    assert_eq!(world.pins(ALICE, 8), [0, 1, 0, 0]);
    assert_eq!(unmap(&bob, handle, 0x5000, 0), GrantStatus::OKAY);
    assert_eq!(world.counts(0x100), (1, 0));
}

#[test]
fn readers_and_writers_have_bits_of_their_own() {
    let world = world();
    let bob = world.caller(BOB);
    let reader = map(&bob, &request(ALICE, 8, HOST_RO, 0x5000)).unwrap().handle;
    assert_eq!(world.flags(ALICE, 8), PERMIT.with(EntryFlags::READING));
    // The granter changes the frame while the entry is in use: the pinned one counts.
    world.word(ALICE, 17)(0x105);
    let writer = map(&bob, &request(ALICE, 8, HOST, 0x6000)).unwrap();
    assert_eq!(writer.device_bus_address.0, 0x100 << 12);
    assert_eq!(world.flags(ALICE, 8), PERMIT.with(BOTH_BITS));
    assert_eq!(unmap(&bob, writer.handle, 0x6000, 0), GrantStatus::OKAY);
    assert_eq!(world.flags(ALICE, 8), PERMIT.with(EntryFlags::READING));
    assert_eq!(unmap(&bob, reader, 0x5000, 0), GrantStatus::OKAY);
    assert_eq!(world.flags(ALICE, 8), PERMIT);
}

#[test]
fn read_only_while_mapped_for_reading_refuses_writers() {
    let world = world();
    let bob = world.caller(BOB);
    map(&bob, &request(ALICE, 8, HOST_RO, 0x5000)).unwrap();
    world.grant(ALICE, 8, PERMIT.with(EntryFlags::READONLY).with(EntryFlags::READING), BOB, 0x100);
    assert_eq!(map(&bob, &request(ALICE, 8, HOST, 0x6000)), Err(GrantStatus::GENERAL_ERROR));
    assert_eq!(world.flags(ALICE, 8).0 & EntryFlags::WRITING.0, 0);
}

#[test]
fn the_frame_word_is_read_once() {
    let world = world();
    let change = world.word(ALICE, 17);
    *world.on_take.borrow_mut() = Some(Box::new(move || change(0x106)));
    let mapped = map(&world.caller(BOB), &request(ALICE, 8, HOST, 0x5000)).unwrap();
    assert_eq!(mapped.device_bus_address.0, 0x100 << 12);
    assert_eq!(world.counts(0x106), (1, 0));
}

#[test]
fn counts_stop_at_128_of_a_kind() {
    let world = world();
    let bob = world.caller(BOB);
    for index in 0..128 {
        map(&bob, &request(ALICE, 8, HOST, 0x10_0000 + index * 0x1000)).unwrap();
    }
    assert_eq!(map(&bob, &request(ALICE, 8, HOST, 0x5000)), Err(GrantStatus::GENERAL_ERROR));
    assert_eq!(map(&bob, &request(ALICE, 8, HOST_DEVICE, 0x5000)), Err(GrantStatus::GENERAL_ERROR));
    assert_eq!(world.pins(ALICE, 8), [0, 128, 0, 0]);
    assert!(map(&bob, &request(ALICE, 8, HOST_RO, 0x5000)).is_ok());
}

#[test]
fn replace_takes_the_donor_entry_and_refuses_entries_by_address() {
    let world = world();
    world.grant(ALICE, 10, PERMIT, BOB, 0x102);
    let bob = world.caller(BOB);
    let handle = map(&bob, &request(ALICE, 8, HOST, 0x5000)).unwrap().handle;
    map(&bob, &request(ALICE, 10, HOST, 0x7000)).unwrap();
    let replace = |handle, host_address| {
        let operation = UnmapRequest { host_address, device_bus_address: 0, new_address: 0x7000, handle };
        UnmapBatch::<_, 1>::new(&bob).unmap(&operation)
    };
    assert_eq!(replace(handle, 0x5000), GrantStatus::OKAY);
    assert_eq!(world.entries.borrow()[&(BOB, 0, 0x5000)].0.0, 0x102);
    assert!(!world.entries.borrow().contains_key(&(BOB, 0, 0x7000)));
    let by_entry = map(&bob, &request(ALICE, 8, PTE, 0x5008)).unwrap().handle;
    assert_eq!(replace(by_entry, 0x5008), GrantStatus::GENERAL_ERROR);
    assert_eq!(unmap(&bob, by_entry, 0x5008, 0), GrantStatus::OKAY);
}

#[test]
fn handles_run_out_and_come_back() {
    let world = World::new(Limits { frames: 4, maptrack_frames: 2, ..Limits::default() });
    world.grant(ALICE, 8, PERMIT, BOB, 0x100);
    for reference in 9..20 {
        world.grant(ALICE, reference, PERMIT, BOB, 0x100);
    }
    let mut bob = world.caller(BOB);
    let mut handles = Vec::new();
    for index in 0..512u64 {
        bob.vcpu = index as u32 % 2;
        let what = request(ALICE, 8 + (index / 100) as u32, HOST_RO, index * 0x1000);
        handles.push(map(&bob, &what).unwrap().handle);
    }
    let what = request(ALICE, 19, HOST_RO, 0x9999_0000);
    assert_eq!(map(&bob, &what), Err(GrantStatus::NO_SPACE));
    // Before the reference is looked at, as Xen does.
    assert_eq!(map(&bob, &request(ALICE, 4000, HOST_RO, 0)), Err(GrantStatus::NO_SPACE));
    let mut sorted: Vec<_> = handles.iter().map(|handle| handle.0).collect();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..512).collect::<Vec<_>>());
    // Freed by one vCPU, found by the other.
    bob.vcpu = 0;
    assert_eq!(unmap(&bob, handles[7], 7 * 0x1000, 0), GrantStatus::OKAY);
    bob.vcpu = 1;
    assert_eq!(map(&bob, &what).unwrap().handle, handles[7]);
    assert_eq!(world.charged.borrow()[&BOB.0], world.table(BOB).heap_bytes() as i64);
}

#[test]
fn handles_come_back_last_first_freed_first() {
    let world = world();
    let bob = world.caller(BOB);
    let next = |at| map(&bob, &request(ALICE, 8, HOST, at)).unwrap().handle.0;
    assert_eq!([next(0x1000), next(0x2000)], [0, 1]);
    // A failed operation uses a number up for now, as Xen's do.
    assert!(map(&bob, &request(ALICE, 500, HOST, 0x3000)).is_err());
    assert_eq!(unmap(&bob, GrantHandle(1), 0x2000, 0), GrantStatus::OKAY);
    for handle in 3..256 {
        // One at a time, as an entry has room for 128.
        assert_eq!(next(0x3000), handle);
        assert_eq!(unmap(&bob, GrantHandle(handle), 0x3000, 0), GrantStatus::OKAY);
    }
    assert_eq!([next(0x3000), next(0x4000), next(0x5000)], [2, 1, 3]);
}

#[test]
fn no_handles_at_all() {
    let world = World::new(Limits { frames: 1, maptrack_frames: 0, ..Limits::default() });
    world.grant(ALICE, 8, PERMIT, BOB, 0x100);
    assert_eq!(map(&world.caller(BOB), &request(ALICE, 8, HOST, 0x5000)), Err(GrantStatus::NO_SPACE));
}

#[test]
fn a_batch_looks_the_other_domain_up_once() {
    let world = world();
    let bob = world.caller(BOB);
    let mut domains = DomainCache::default();
    for index in 0..16 {
        grant_tables::map(&bob, &mut domains, &request(ALICE, 8, HOST, index * 0x1000)).unwrap();
    }
    assert_eq!(world.lookups.get(), 1);
    world.grant(BOB, 8, PERMIT, BOB, 0x200);
    grant_tables::map(&bob, &mut domains, &request(BOB, 8, HOST, 0x100_0000)).unwrap();
    assert_eq!(world.lookups.get(), 1);
}

#[test]
fn teardown_ends_pins_in_steps_and_leaves_entries_their_references() {
    let world = world();
    world.grant(BOB, 8, PERMIT, BOB, 0x200);
    let bob = world.caller(BOB);
    for index in 0..100 {
        let flags = if index % 2 == 0 { HOST_DEVICE } else { HOST_RO };
        map(&bob, &request(ALICE, 8, flags, index * 0x1000)).unwrap();
    }
    map(&bob, &request(BOB, 8, DEVICE, 0)).unwrap();
    // Somebody else cleans up, as a dead domain does not run.
    let alice = world.caller(ALICE);
    let (mut from, mut steps) = (GrantHandle(0), 0);
    while let Teardown::From(next) = release_mappings(&alice, &world.table(BOB), from, 50) {
        assert_eq!(next.0, from.0 + 50);
        from = next;
        steps += 1;
    }
    assert_eq!(steps, 5);
    assert_eq!((world.flags(ALICE, 8), world.flags(BOB, 8)), (PERMIT, PERMIT));
    assert!(world.table(ALICE).active(GrantRef(8)).unwrap().pins.is_empty());
    assert_eq!(world.counts(0x200), (1, 0));
    // The owner's and those of 100 page-table entries, which page-table teardown gives back.
    assert_eq!(world.counts(0x100), (101, 50));
    assert_eq!(release_mappings(&alice, &world.table(BOB), GrantHandle(0), 1000), Teardown::Done);
}

#[test]
fn every_host_call_may_fail_without_a_trace() {
    for (flags, warm) in [(HOST, false), (HOST_DEVICE, false), (HOST_RO, true), (HOST_DEVICE, true), (HOST, true)] {
        for fail_at in 0.. {
            let world = world();
            let bob = world.caller(BOB);
            // Grow the handle space, and have a reader there if wanted.
            let handle = map(&bob, &request(ALICE, 8, HOST_RO, 0x9000)).unwrap().handle;
            if !warm {
                unmap(&bob, handle, 0x9000, 0);
            }
            let before = world.snapshot();
            world.calls.set(0);
            world.fail_at.set(Some(fail_at));
            let result = map(&bob, &request(ALICE, 8, flags, 0x5000));
            if world.calls.get() <= fail_at {
                let handle = result.unwrap().handle;
                world.fail_at.set(Some(world.calls.get()));
                let mapped = world.snapshot();
                assert_eq!(unmap(&bob, handle, 0x5000, 0), GrantStatus::GENERAL_ERROR);
                assert_eq!(world.snapshot(), mapped);
                break;
            }
            assert!(result.is_err());
            assert_eq!(world.snapshot(), before, "call {fail_at}");
        }
    }
}
