//! grant_table_op as a guest sees it: arrays, errnos, statuses in place, continuations.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../../grant-tables/tests/world/mod.rs"]
mod world;

use abi::{
    DomainId, Errno, GrantRef, GuestHandle, GuestVirtual, Mfn, Result,
    grant_table::{
        CacheFlush, CacheFlushFlags, Copy, CopyFlags, CopyPointer, EntryFlags, GetStatusFrames, GetVersion,
        GrantStatus, GrantTableOperation, MapFlags, MapGrantRef, QuerySize, SetVersion, SetupTable, SwapGrantRef,
        Transfer, UnmapAndReplace, UnmapGrantRef,
    },
};
use grant_tables::{Limits, Version};
use hypercalls::{
    authority::Policy,
    guest::{self, GuestMemory, Preemption},
    op::grant::{GrantCalls, ROWS, grant_table},
    outcome::{Failure, Reply},
    table::State,
};
use world::{ALICE, BOB, Caller, Event, NOBODY, World};
use zerocopy::{FromBytes, Immutable, IntoBytes};

const ARRAY: u64 = 0x1000;
const LIST: u64 = 0x4000;
const MEMORY: usize = 0x8000;
const HYPERVISOR: u64 = 0xFFFF_8000_0000_0000;
const PERMIT: EntryFlags = EntryFlags::PERMIT_ACCESS;

impl GuestMemory for Caller<'_> {
    fn copy_in(&self, from: GuestVirtual, to: &mut [u8]) -> Result<()> {
        let memory = self.world.memory.borrow();
        let from = from.0 as usize;
        to.copy_from_slice(memory.get(from..from + to.len()).ok_or(Errno::EFAULT)?);
        Ok(())
    }
    fn copy_out(&self, to: GuestVirtual, from: &[u8]) -> Result<()> {
        let mut memory = self.world.memory.borrow_mut();
        let to = to.0 as usize;
        memory.get_mut(to..to + from.len()).ok_or(Errno::EFAULT)?.copy_from_slice(from);
        Ok(())
    }
}

impl Preemption for Caller<'_> {
    fn preempted(&self) -> bool {
        let left = self.world.budget.get();
        self.world.budget.set(left.saturating_sub(1));
        left == 0
    }
}

impl Policy for Caller<'_> {
    fn caller(&self) -> DomainId {
        self.domain
    }
    fn is_control_domain(&self) -> bool {
        self.domain == ALICE
    }
    fn is_hardware_domain(&self) -> bool {
        false
    }
    fn is_device_model_of(&self, _: DomainId) -> bool {
        false
    }
    fn domain_exists(&self, id: DomainId) -> bool {
        self.world.domains.borrow().contains_key(&id.0)
    }
}

impl GrantCalls for Caller<'_> {
    fn transfers_allowed(&self) -> bool {
        self.world.headroom.get()
    }
}

fn world() -> World {
    let world = World::new(Limits::default());
    world.memory.borrow_mut().resize(MEMORY, 0);
    world.budget.set(u32::MAX);
    world.grant(ALICE, 8, PERMIT, BOB, 0x100);
    world
}

fn put<T: IntoBytes + Immutable>(world: &World, at: u64, value: &T) {
    guest::write(&world.caller(BOB), GuestHandle::new(at), value).unwrap();
}

fn get<T: FromBytes + IntoBytes>(world: &World, at: u64) -> T {
    guest::read(&world.caller(BOB), GuestHandle::new(at)).unwrap()
}

fn call(world: &World, by: DomainId, operation: GrantTableOperation, array: u64, count: u32) -> Reply {
    grant_table(&world.caller(by), operation.0, GuestHandle::new(array), count)
}

/// A call with one element; answers the reply and what the element is afterwards.
fn one<T: FromBytes + IntoBytes + Immutable>(
    world: &World,
    by: DomainId,
    operation: GrantTableOperation,
    element: T,
) -> (Reply, T) {
    put(world, ARRAY, &element);
    (call(world, by, operation, ARRAY, 1), get(world, ARRAY))
}

fn errno(errno: Errno) -> Reply {
    Err(Failure::Errno(errno))
}

fn map_request(index: u64) -> MapGrantRef {
    MapGrantRef {
        host_address: 0x10_0000 + index * 0x1000,
        flags: MapFlags::HOST_MAP,
        reference: GrantRef(8),
        domain: ALICE,
        ..Default::default()
    }
}

#[test]
fn numbers_and_arrays_are_checked_first() {
    let world = world();
    let every = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12].map(GrantTableOperation);
    for operation in every {
        assert_eq!(call(&world, BOB, operation, HYPERVISOR, 1), errno(Errno::EFAULT), "{operation:?}");
        assert_eq!(call(&world, BOB, operation, 0x10_0000, 1), errno(Errno::EFAULT), "{operation:?}");
        assert_eq!(call(&world, BOB, operation, ARRAY, 1 << 31), errno(Errno::EINVAL), "{operation:?}");
    }
    for operation in [0, 1, 4, 5, 7, 11, 12].map(GrantTableOperation) {
        assert_eq!(call(&world, BOB, operation, ARRAY, 0), Ok(0), "{operation:?}");
        assert_eq!(call(&world, BOB, operation, HYPERVISOR, 0), errno(Errno::EFAULT), "{operation:?}");
        assert_eq!(call(&world, BOB, operation, 0x8000_0000_0000, 0), errno(Errno::EFAULT), "{operation:?}");
    }
    for operation in [2, 6, 9].map(GrantTableOperation) {
        for count in [0, 2] {
            assert_eq!(call(&world, BOB, operation, HYPERVISOR, count), errno(Errno::EINVAL), "{operation:?}");
        }
    }
    for (command, expected) in
        [(3, Errno::ENOSYS), (13, Errno::ENOSYS), (1 << 12, Errno::EINVAL), (3 | 1 << 12, Errno::EINVAL)]
    {
        let operation = GrantTableOperation(command);
        assert_eq!(call(&world, BOB, operation, ARRAY, 1), errno(expected), "{command:#x}");
    }
    // An unknown operation does not look at the array, a bad count comes before all.
    assert_eq!(call(&world, BOB, GrantTableOperation(99), HYPERVISOR, 1 << 31), errno(Errno::EINVAL));
}

#[test]
fn rows_tell_the_truth() {
    let world = world();
    for row in ROWS {
        let reply = call(&world, BOB, GrantTableOperation(row.number), ARRAY, 0);
        assert_eq!(reply == errno(Errno::ENOSYS), !matches!(row.state, State::Works(_)), "{}", row.name);
    }
    assert_eq!(ROWS.len(), GrantTableOperation::NAMED.len());
}

#[test]
fn map_and_unmap_write_their_outputs() {
    let world = world();
    let (reply, mapped) = one(&world, BOB, GrantTableOperation::MAP_GRANT_REF, map_request(0));
    assert_eq!((reply, mapped.status, mapped.device_bus_address), (Ok(0), GrantStatus::OKAY, 0x10_0000));
    let refused = MapGrantRef { reference: GrantRef(9), ..map_request(1) };
    let (reply, refused_after) = one(&world, BOB, GrantTableOperation::MAP_GRANT_REF, refused);
    assert_eq!(reply, Ok(0));
    assert_eq!(refused_after, MapGrantRef { status: GrantStatus::GENERAL_ERROR, ..refused });
    let request = UnmapGrantRef { host_address: 0x10_0000, handle: mapped.handle, ..Default::default() };
    assert_eq!(one(&world, BOB, GrantTableOperation::UNMAP_GRANT_REF, request), (Ok(0), request));
    let (_, again) = one(&world, BOB, GrantTableOperation::UNMAP_GRANT_REF, request);
    assert_eq!(again.status, GrantStatus::BAD_HANDLE);
}

#[test]
fn a_preempted_map_goes_on_where_it_stopped_and_does_nothing_twice() {
    let world = world();
    for index in 0..10 {
        put(&world, ARRAY + 32 * index, &map_request(index));
    }
    let (mut array, mut count, mut turns) = (ARRAY, 10, 0);
    loop {
        world.budget.set(2);
        match call(&world, BOB, GrantTableOperation::MAP_GRANT_REF, array, count) {
            Err(Failure::Preempted([0, next, left, 0, 0, 0])) => {
                assert_eq!((next - array, u64::from(count) - left), (96, 3));
                (array, count) = (next, left as u32);
            }
            reply => break assert_eq!(reply, Ok(0)),
        }
        turns += 1;
    }
    assert_eq!((turns, count), (3, 1));
    assert_eq!(world.pins(ALICE, 8), [0, 10, 0, 0]);
}

#[test]
fn unmap_settles_before_it_is_preempted_and_when_the_array_faults() {
    let world = world();
    let mut handles = Vec::new();
    for index in 0..70 {
        let (_, mapped) = one(&world, BOB, GrantTableOperation::MAP_GRANT_REF, map_request(index));
        handles.push(mapped.handle);
    }
    // 40 elements fit in front of the end of memory.
    let array = MEMORY as u64 - 24 * 40;
    for (index, handle) in handles.iter().take(40).enumerate() {
        let host_address = map_request(index as u64).host_address;
        put(&world, array + 24 * index as u64, &UnmapGrantRef { host_address, handle: *handle, ..Default::default() });
    }
    world.events.borrow_mut().clear();
    world.budget.set(0);
    let reply = call(&world, BOB, GrantTableOperation::UNMAP_GRANT_REF, array, 70);
    assert_eq!(reply, Err(Failure::Preempted([1, array + 32 * 24, 38, 0, 0, 0])));
    let flushes = || world.events.borrow().iter().filter(|event| **event == Event::Flush).count();
    assert_eq!((flushes(), world.pins(ALICE, 8)), (1, [0, 38, 0, 0]));
    let reply = call(&world, BOB, GrantTableOperation::UNMAP_GRANT_REF, array + 32 * 24, 38);
    assert_eq!(reply, errno(Errno::EFAULT));
    assert_eq!((flushes(), world.pins(ALICE, 8)), (2, [0, 30, 0, 0]));
}

#[test]
fn replace_reads_its_own_struct() {
    let world = world();
    let (_, mapped) = one(&world, BOB, GrantTableOperation::MAP_GRANT_REF, map_request(0));
    let (_, donor) = one(&world, BOB, GrantTableOperation::MAP_GRANT_REF, map_request(1));
    assert_eq!(donor.status, GrantStatus::OKAY);
    let request = UnmapAndReplace {
        host_address: 0x10_0000,
        new_address: 0x10_1000,
        handle: mapped.handle,
        ..Default::default()
    };
    assert_eq!(one(&world, BOB, GrantTableOperation::UNMAP_AND_REPLACE, request), (Ok(0), request));
    assert!(!world.entries.borrow().contains_key(&(BOB, 0, 0x10_1000)));
    assert_eq!(world.pins(ALICE, 8), [0, 1, 0, 0]);
}

#[test]
fn copy_batches_continue_with_what_is_left() {
    let world = world();
    let operation = Copy {
        source: CopyPointer { target: 8, domain: ALICE, ..Default::default() },
        destination: CopyPointer { target: 0x201, domain: DomainId::SELF, ..Default::default() },
        length: 64,
        flags: CopyFlags::SOURCE_GREF,
        status: GrantStatus(7),
        ..Default::default()
    };
    for index in 0..4 {
        put(&world, ARRAY + 40 * index, &operation);
    }
    put(&world, ARRAY + 40, &Copy { length: 5000, ..operation });
    world.budget.set(2);
    let reply = call(&world, BOB, GrantTableOperation::COPY, ARRAY, 4);
    assert_eq!(reply, Err(Failure::Preempted([5, ARRAY + 120, 1, 0, 0, 0])));
    let statuses: Vec<_> = (0..4).map(|index| get::<Copy>(&world, ARRAY + 40 * index).status.0).collect();
    assert_eq!(statuses, [0, -10, 0, 7]);
    assert_eq!((world.pins(ALICE, 8), world.counts(0x201)), ([0; 4], (1, 0)));
}

#[test]
fn setup_and_query_tables() {
    let world = world();
    let request = |domain, frames| SetupTable {
        domain,
        frames,
        status: GrantStatus(7),
        frame_list: GuestHandle::new(LIST),
        ..Default::default()
    };
    let setup = |by, request| {
        let (reply, after) = one::<SetupTable>(&world, by, GrantTableOperation::SETUP_TABLE, request);
        (reply, after.status)
    };
    let okay = (Ok(0), GrantStatus::OKAY);
    assert_eq!(setup(BOB, request(DomainId::SELF, 5)), okay);
    for index in 0..5 {
        assert_eq!(get::<Mfn>(&world, LIST + 8 * index), world.table(BOB).shared_frame(index as u32).unwrap());
    }
    assert_eq!(get::<u64>(&world, LIST + 40), 0);
    assert_eq!(setup(BOB, request(BOB, 0)), okay);
    assert_eq!(setup(BOB, request(DomainId::SELF, 65)), (Ok(0), GrantStatus::GENERAL_ERROR));
    assert_eq!(setup(BOB, request(NOBODY, 1)), (Ok(0), GrantStatus::BAD_DOMAIN));
    assert_eq!(setup(BOB, request(ALICE, 1)), (Ok(0), GrantStatus::PERMISSION_DENIED));
    assert_eq!(setup(ALICE, request(BOB, 6)), okay);
    let nowhere = SetupTable { frame_list: GuestHandle::new(MEMORY as u64 - 8), ..request(BOB, 2) };
    assert_eq!(setup(BOB, nowhere), (Ok(0), GrantStatus::BAD_VIRT_ADDR));
    let forbidden = SetupTable { frame_list: GuestHandle::new(HYPERVISOR), ..request(BOB, 2) };
    assert_eq!(setup(BOB, forbidden), (errno(Errno::EFAULT), GrantStatus(7)));
    // Growth is preempted between pages and keeps what it has.
    world.budget.set(3);
    let (reply, status) = setup(BOB, request(BOB, 20));
    assert_eq!((reply, status), (Err(Failure::Preempted([2, ARRAY, 1, 0, 0, 0])), GrantStatus(7)));
    assert_eq!(world.table(BOB).frame_count(), 10);
    world.budget.set(u32::MAX);
    assert_eq!(call(&world, BOB, GrantTableOperation::SETUP_TABLE, ARRAY, 1), Ok(0));

    let query = |by, domain| {
        let request = QuerySize { domain, frames: 77, status: GrantStatus(7), ..Default::default() };
        let (reply, after) = one(&world, by, GrantTableOperation::QUERY_SIZE, request);
        assert_eq!(reply, Ok(0));
        (after.status, after.frames, after.max_frames)
    };
    assert_eq!(query(BOB, DomainId::SELF), (GrantStatus::OKAY, 20, 64));
    assert_eq!(query(ALICE, BOB), (GrantStatus::OKAY, 20, 64));
    assert_eq!(query(BOB, ALICE), (GrantStatus::PERMISSION_DENIED, 77, 0));
    assert_eq!(query(BOB, NOBODY), (GrantStatus::BAD_DOMAIN, 77, 0));
}

#[test]
fn version_2_where_it_is_offered() {
    let world = World::new(Limits { version: Version::Two, ..Limits::default() });
    world.memory.borrow_mut().resize(MEMORY, 0);
    world.budget.set(u32::MAX);
    let set = |version| one(&world, BOB, GrantTableOperation::SET_VERSION, SetVersion { version });
    let list = |frames, frame_list| {
        let request = GetStatusFrames { frames, domain: DomainId::SELF, frame_list, ..Default::default() };
        one(&world, BOB, GrantTableOperation::GET_STATUS_FRAMES, request).1.status
    };
    assert_eq!(set(2), (Ok(0), SetVersion { version: 2 }));
    let request = GetVersion { domain: BOB, ..Default::default() };
    assert_eq!(one(&world, ALICE, GrantTableOperation::GET_VERSION, request).1.version, 2);
    assert_eq!(list(1, GuestHandle::new(LIST)), GrantStatus::OKAY);
    let listed = u64::from_le_bytes(world.memory.borrow()[LIST as usize..LIST as usize + 8].try_into().unwrap());
    assert_eq!(Some(Mfn(listed)), world.table(BOB).status_frame(0));
    assert_eq!(list(2, GuestHandle::new(LIST)), GrantStatus::GENERAL_ERROR);
    assert_eq!(list(1, GuestHandle::new(MEMORY as u64)), GrantStatus::BAD_VIRT_ADDR);
    // An entry that version 1 cannot hold, then a page that is still mapped.
    world.grant(BOB, 3, EntryFlags::TRANSITIVE, ALICE, 0);
    assert_eq!(set(1), (errno(Errno::ERANGE), SetVersion { version: 2 }));
    world.grant(BOB, 3, EntryFlags::INVALID, ALICE, 0);
    world.mapped.borrow()[&BOB.0].store(1, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(set(1), (errno(Errno::EBUSY), SetVersion { version: 2 }));
    world.mapped.borrow()[&BOB.0].store(0, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(set(1), (Ok(0), SetVersion { version: 1 }));
    assert_eq!(list(1, GuestHandle::new(LIST)), GrantStatus::GENERAL_ERROR);
}

#[test]
fn only_version_1_is_offered() {
    let world = world();
    for (version, reply) in
        [(1, Ok(0)), (2, errno(Errno::ENOSYS)), (0, errno(Errno::EINVAL)), (3, errno(Errno::EINVAL))]
    {
        let request = SetVersion { version };
        assert_eq!(one(&world, BOB, GrantTableOperation::SET_VERSION, request), (reply, SetVersion { version: 1 }));
    }
    for (by, domain, reply) in [
        (BOB, DomainId::SELF, Ok(0)),
        (ALICE, BOB, Ok(0)),
        (BOB, ALICE, errno(Errno::EPERM)),
        (BOB, NOBODY, errno(Errno::ESRCH)),
    ] {
        let request = GetVersion { domain, ..Default::default() };
        let (answer, after) = one(&world, by, GrantTableOperation::GET_VERSION, request);
        assert_eq!((answer, after.version), (reply, u32::from(reply == Ok(0))));
    }
    for (domain, frames, status) in [
        (DomainId::SELF, 0, GrantStatus::OKAY),
        (DomainId::SELF, 1, GrantStatus::GENERAL_ERROR),
        (ALICE, 0, GrantStatus::PERMISSION_DENIED),
        (NOBODY, 0, GrantStatus::BAD_DOMAIN),
    ] {
        let frame_list = GuestHandle::new(LIST);
        let request = GetStatusFrames { frames, domain, status: GrantStatus(7), frame_list };
        let (reply, after) = one(&world, BOB, GrantTableOperation::GET_STATUS_FRAMES, request);
        assert_eq!((reply, after.status), (Ok(0), status));
    }
}

#[test]
fn swap_transfer_and_cache_flush() {
    let world = world();
    world.grant(BOB, 8, PERMIT, ALICE, 0x200);
    let swap = SwapGrantRef { reference_a: GrantRef(8), reference_b: GrantRef(9), ..Default::default() };
    assert_eq!(one(&world, BOB, GrantTableOperation::SWAP_GRANT_REF, swap), (Ok(0), swap));
    assert_eq!((world.flags(BOB, 8), world.flags(BOB, 9)), (EntryFlags::INVALID, PERMIT));

    world.grant(ALICE, 20, EntryFlags::ACCEPT_TRANSFER, BOB, 0x77);
    let transfer = Transfer { mfn: Mfn(0x205), domain: ALICE, reference: GrantRef(20), ..Default::default() };
    assert_eq!(one(&world, BOB, GrantTableOperation::TRANSFER, transfer), (Ok(0), transfer));
    let (_, again) = one(&world, BOB, GrantTableOperation::TRANSFER, transfer);
    assert_eq!(again.status, GrantStatus::BAD_PAGE);
    world.headroom.set(false);
    assert_eq!(call(&world, BOB, GrantTableOperation::TRANSFER, ARRAY, 1), errno(Errno::EOPNOTSUPP));

    world.cache_rights.set(true);
    world.grant(ALICE, 1000, PERMIT, BOB, 0x103);
    let request = MapGrantRef { reference: GrantRef(1000), ..map_request(0) };
    assert_eq!(one(&world, BOB, GrantTableOperation::MAP_GRANT_REF, request).0, Ok(0));
    let flush = CacheFlush { target: 0x103 << 12, offset: 0, length: 64, operation: CacheFlushFlags::CLEAN };
    put(&world, ARRAY, &flush);
    put(&world, ARRAY + 16, &CacheFlush { offset: 4096, ..flush });
    world.budget.set(0);
    let reply = call(&world, BOB, GrantTableOperation::CACHE_FLUSH, ARRAY, 2);
    assert_eq!(reply, Err(Failure::Preempted([12 | 256 << 12, ARRAY, 2, 0, 0, 0])));
    world.budget.set(u32::MAX);
    let resumed = GrantTableOperation(12 | 256 << 12);
    assert_eq!(call(&world, BOB, resumed, ARRAY, 1), Ok(0));
    assert_eq!(call(&world, BOB, resumed, ARRAY, 2), errno(Errno::EINVAL), "the second element ends the batch");
}
