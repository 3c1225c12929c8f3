//! memory_op without exchange: extents done instead of errors, preemption, maps, resources, refusals.
#![allow(clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use abi::memory::{
    AccessOperation, AcquireResource, AddToPhysmap, AddToPhysmapBatch, E820Entry, ForeignMemoryMap, MachphysMapping,
    MachphysMfnList, MapSpace, MemoryDomain, MemoryFlags, MemoryMap, MemoryOperation as Op, MemoryReservation,
    PodTarget, RemoveFromPhysmap, ReservedDeviceMemoryMap, ResourceType, VnumaTopology,
};
use abi::{DomainId, Errno, GuestHandle, Mfn};
use common::{BASE, Fake, at, errno, hypervisor, nowhere, preempted};
use hypercalls::op::memory::memory;
use hypercalls::outcome::Reply;
use zerocopy::{Immutable, IntoBytes};

/// Where lists lie in the fake guest's memory.
const LIST: u64 = 0x1000;

fn call<T: IntoBytes + Immutable>(host: &mut Fake, operation: Op, argument: &T) -> Reply {
    host.next_call().memory.put(BASE, argument);
    memory(host, u64::from(operation.0), at(0))
}

fn request(count: u64, order: u32) -> MemoryReservation {
    MemoryReservation {
        extent_start: at(LIST),
        extent_count: count,
        extent_order: order,
        domain: DomainId::SELF,
        ..MemoryReservation::default()
    }
}

/// Repeats a preempted call until it ends, giving it `budget` looks at the clock each time; result and rounds.
fn finish(host: &mut Fake, operation: Op, argument: &MemoryReservation, budget: u32) -> (u64, u32) {
    host.memory.put(BASE, argument);
    let (mut command, mut rounds) = (u64::from(operation.0), 1);
    loop {
        host.next_call().budget.set(Some(budget));
        match memory(host, command, at(0)) {
            Ok(result) => return (result, rounds),
            reply => command = preempted(reply)[0],
        }
        rounds += 1;
        assert!(rounds < 10_000, "no progress");
    }
}

#[test]
fn populate_and_decrease_balance() {
    for budget in [0, 1, 3, 1000] {
        let mut host = Fake::new();
        for index in 0..10 {
            host.memory.put(BASE + LIST + index * 8, &(5000 + index * 4));
        }
        let (done, rounds) = finish(&mut host, Op::POPULATE_PHYSMAP, &request(10, 2), budget);
        assert_eq!((done, rounds), (10, if budget == 1000 { 1 } else { 10u32.div_ceil(budget + 1) }));
        assert_eq!(host.frames.count(0), 1024 + 40);
        let first: u64 = host.memory.get(BASE + LIST + 8);
        assert_eq!((host.frames.places[&first], host.frames.places[&(first + 3)]), (5004, 5007));
        let (done, _) = finish(&mut host, Op::DECREASE_RESERVATION, &request(10, 2), budget);
        assert_eq!((done, host.frames.count(0)), (10, 1024));
        host.frames.audit();
    }
}

#[test]
fn a_large_release_is_preempted_within_its_extent() {
    let mut host = Fake::new();
    host.memory.put(BASE + LIST, &512u64);
    let (done, rounds) = finish(&mut host, Op::DECREASE_RESERVATION, &request(1, 9), 0);
    assert_eq!((done, rounds, host.frames.count(0)), (1, 8, 512));
    host.frames.audit();
}

#[test]
fn increase_writes_only_if_asked() {
    let mut host = Fake::new();
    assert_eq!(call(&mut host, Op::INCREASE_RESERVATION, &request(3, 1)), Ok(3));
    assert_ne!(host.memory.get::<u64>(BASE + LIST + 16), 0);
    let silent = MemoryReservation { extent_start: GuestHandle::new(0), ..request(2, 0) };
    assert_eq!(call(&mut host, Op::INCREASE_RESERVATION, &silent), Ok(2));
    assert_eq!(host.frames.count(0), 1024 + 8);
}

#[test]
fn limits_cut_short() {
    let mut host = Fake::new();
    host.frames.maximum = 1026;
    assert_eq!(call(&mut host, Op::POPULATE_PHYSMAP, &request(5, 0)), Ok(2));
    host.memory.put(BASE + LIST, &[3u64, 4, 9999, 5]);
    assert_eq!(call(&mut host, Op::DECREASE_RESERVATION, &request(4, 0)), Ok(2));
    assert_eq!(host.frames.count(0), 1024);
    host.frames.audit();
}

#[test]
fn an_unwritable_list_costs_nothing() {
    for operation in [Op::INCREASE_RESERVATION, Op::POPULATE_PHYSMAP] {
        let mut host = Fake::new();
        host.memory.protect_from(BASE + LIST + 16);
        assert_eq!(call(&mut host, operation, &request(5, 3)), Ok(2));
        assert_eq!(host.frames.count(0), 1024 + 16, "the extent that could not be announced went back");
        host.frames.audit();
    }
}

#[test]
fn refusals_return_the_start_never_an_errno() {
    let foreign = MemoryReservation { domain: DomainId(0), ..request(1, 0) };
    let unknown = MemoryReservation { domain: DomainId(9), ..request(1, 0) };
    let narrow = MemoryReservation { flags: MemoryFlags(12), ..request(1, 0) };
    let insists = MemoryReservation { flags: MemoryFlags(1 << 8 | 1 << 17), ..request(1, 0) };
    let inside = MemoryReservation { extent_start: hypervisor(), ..request(1, 0) };
    let hole = MemoryReservation { extent_start: nowhere(), ..request(1, 0) };
    let many = request(1 << 26, 0);
    for operation in [Op::INCREASE_RESERVATION, Op::DECREASE_RESERVATION, Op::POPULATE_PHYSMAP] {
        for refused in [foreign, unknown, narrow, insists, inside, hole, many, request(1, 10), request(0, 0)] {
            let mut host = Fake::unprivileged();
            assert_eq!(call(&mut host, operation, &refused), Ok(0), "{operation:?} {refused:?}");
            assert_eq!(host.frames.count(5), 0);
            host.frames.audit();
        }
        let command = u64::from(operation.0) | 7 << 6;
        assert_eq!(memory(&mut Fake::new(), command, nowhere()), Ok(7));
        let mut host = Fake::new();
        host.memory.put(BASE, &request(7, 0));
        assert_eq!(memory(&mut host, command, at(0)), Ok(7));
    }
    let on_demand = MemoryReservation { flags: MemoryFlags::POPULATE_ON_DEMAND, ..request(1, 0) };
    assert_eq!(call(&mut Fake::new(), Op::POPULATE_PHYSMAP, &on_demand), Ok(0));
    // Another domain's are all done without a frame, for it is not translated either.
    let others = MemoryReservation { domain: DomainId(5), extent_count: 3, ..on_demand };
    let mut host = Fake::new();
    host.budget.set(Some(0));
    let arguments = preempted(call(&mut host, Op::POPULATE_PHYSMAP, &others));
    assert_eq!(arguments[..2], [6 | 1 << 6, BASE]);
    host.next_call().budget.set(None);
    assert_eq!(memory(&mut host, arguments[0], at(0)), Ok(3));
    assert_eq!(host.frames.count(5), 0);
}

#[test]
fn placement_reaches_the_host() {
    let mut host = Fake::new();
    let low = MemoryReservation { flags: MemoryFlags(32), ..request(1, 0) };
    assert_eq!(call(&mut host, Op::POPULATE_PHYSMAP, &low), Ok(1));
    assert_eq!(host.frames.last_placement.address_bits, Some(32));
    let node = |flags| MemoryReservation { flags: MemoryFlags(flags), ..request(1, 0) };
    assert_eq!(call(&mut host, Op::POPULATE_PHYSMAP, &node(1 << 8 | 1 << 17)), Ok(1), "the one node there is");
    assert_eq!(call(&mut host, Op::POPULATE_PHYSMAP, &node(2 << 8 | 1 << 17)), Ok(0));
    assert_eq!(call(&mut host, Op::POPULATE_PHYSMAP, &node(2 << 8)), Ok(1), "a wish can go unfulfilled");
    assert_eq!(call(&mut host, Op::POPULATE_PHYSMAP, &node(65 << 8)), Ok(0));
}

#[test]
fn queries_answer_about_whom_the_caller_may_ask() {
    let of = |domain| MemoryDomain { domain: DomainId(domain) };
    let mut host = Fake::new();
    assert_eq!(memory(&mut host, 2, nowhere()), Ok(0x14_0000));
    for domain in [0, 0x7FF0] {
        assert_eq!(call(&mut host, Op::CURRENT_RESERVATION, &of(domain)), Ok(1024));
        assert_eq!(call(&mut host, Op::MAXIMUM_RESERVATION, &of(domain)), Ok(2048));
        assert_eq!(call(&mut host, Op::MAXIMUM_GPFN, &of(domain)), Ok(0));
    }
    assert_eq!(call(&mut host, Op::CURRENT_RESERVATION, &of(5)), Ok(0));
    assert_eq!(errno(call(&mut host, Op::CURRENT_RESERVATION, &of(9))), Errno::ESRCH);
    assert_eq!(errno(call(&mut Fake::unprivileged(), Op::CURRENT_RESERVATION, &of(0))), Errno::EPERM);
    assert_eq!(errno(memory(&mut host, 3, nowhere())), Errno::EFAULT);
    assert_eq!(errno(memory(&mut host, 3 | 1 << 6, at(0))), Errno::EINVAL, "takes no start");
    assert_eq!(errno(memory(&mut host, 12 | 1 << 6, at(0))), Errno::ENOSYS, "takes no start");
}

#[test]
fn machine_to_physical_table_is_described() {
    let mut host = Fake::new();
    let list = MachphysMfnList { max_extents: 10, extent_start: at(LIST), ..MachphysMfnList::default() };
    assert_eq!(call(&mut host, Op::MACHPHYS_MFN_LIST, &list), Ok(0));
    assert_eq!(host.memory.get::<MachphysMfnList>(BASE).extent_count, 5, "a piece per GiB of 5 GiB");
    let pieces: [Mfn; 6] = host.memory.get(BASE + LIST);
    assert_eq!(pieces.map(|piece| piece.0), [0x1000, 0x1200, 0x1400, 0x1400, 0x1800, 0], "a hole repeats");
    let fault = MachphysMfnList { extent_start: nowhere(), ..list };
    assert_eq!(errno(call(&mut host, Op::MACHPHYS_MFN_LIST, &fault)), Errno::EFAULT);
    for (mut host, last) in [(Fake::new(), 0x13_FFFF), (Fake::unprivileged(), (1 << 35) - 1)] {
        assert_eq!(call(&mut host, Op::MACHPHYS_MAPPING, &0u8), Ok(0));
        let mapping: MachphysMapping = host.memory.get(BASE);
        assert_eq!((mapping.start, mapping.end), (0xFFFF_8000_0000_0000, 0xFFFF_8040_0000_0000));
        assert_eq!(mapping.max_mfn, Mfn(last));
    }
}

#[test]
fn machine_map_is_whole_or_refused() {
    let map = |entry_count, buffer| MemoryMap { entry_count, buffer, ..MemoryMap::default() };
    let mut host = Fake::new();
    assert_eq!(call(&mut host, Op::MACHINE_MEMORY_MAP, &map(0, GuestHandle::new(0))), Ok(0));
    assert_eq!(host.memory.get::<MemoryMap>(BASE).entry_count, 2);
    assert_eq!(call(&mut host, Op::MACHINE_MEMORY_MAP, &map(128, at(LIST))), Ok(0));
    assert_eq!(host.memory.get::<MemoryMap>(BASE).entry_count, 2);
    assert_eq!(host.memory.get::<[E820Entry; 2]>(BASE + LIST).as_slice(), host.machine_map.as_slice());
    for little in [0, 1, 2] {
        assert_eq!(errno(call(&mut host, Op::MACHINE_MEMORY_MAP, &map(little, hypervisor()))), Errno::EINVAL);
    }
    assert_eq!(errno(call(&mut host, Op::MACHINE_MEMORY_MAP, &map(9, hypervisor()))), Errno::EFAULT);
    assert_eq!(errno(memory(&mut Fake::unprivileged(), 10, nowhere())), Errno::EPERM);
}

#[test]
fn a_domain_sees_the_map_it_was_given() {
    let mut host = Fake::new();
    assert_eq!(errno(memory(&mut host, 9, nowhere())), Errno::EFAULT, "the pointer comes first");
    assert_eq!(errno(call(&mut host, Op::MEMORY_MAP, &MemoryMap::default())), Errno::ENOSYS, "none yet");
    host.next_call();
    let entries = [E820Entry::new(0, 4096, 1), E820Entry::new(1 << 32, 1 << 30, 1), E820Entry::new(8192, 1, 2)];
    host.memory.put(BASE + LIST, &entries);
    let set = |entry_count, domain| ForeignMemoryMap {
        domain: DomainId(domain),
        map: MemoryMap { entry_count, buffer: at(LIST), ..MemoryMap::default() },
        ..ForeignMemoryMap::default()
    };
    assert_eq!(errno(call(&mut host, Op::SET_MEMORY_MAP, &set(1025, 0))), Errno::EINVAL);
    assert_eq!(errno(call(&mut host, Op::SET_MEMORY_MAP, &set(3, 9))), Errno::ESRCH);
    assert_eq!(errno(call(&mut Fake::unprivileged(), Op::SET_MEMORY_MAP, &set(3, 0))), Errno::EPERM);
    assert_eq!(call(&mut host, Op::SET_MEMORY_MAP, &set(3, 0x7FF0)), Ok(0));
    let get = MemoryMap { entry_count: 2, buffer: at(0x2000), ..MemoryMap::default() };
    assert_eq!(call(&mut host, Op::MEMORY_MAP, &get), Ok(0));
    assert_eq!(host.memory.get::<MemoryMap>(BASE).entry_count, 2, "cut silently");
    assert_eq!(host.memory.get::<[E820Entry; 2]>(BASE + 0x2000).as_slice(), &entries[..2]);
}

#[test]
fn resources_of_others_can_be_acquired() {
    let ask = AcquireResource {
        domain: DomainId(5),
        kind: ResourceType::GRANT_TABLE,
        frame_count: 40,
        frame: 2,
        frame_list: GuestHandle::new(BASE + LIST),
        ..AcquireResource::default()
    };
    let mut host = Fake::new();
    host.memory.put(BASE, &ask);
    host.budget.set(Some(0));
    let arguments = preempted(memory(&mut host, 28, at(0)));
    assert_eq!(arguments[..2], [28 | 32 << 6, BASE]);
    host.next_call().budget.set(None);
    assert_eq!(memory(&mut host, arguments[0], at(0)), Ok(0));
    let frames: [u64; 41] = host.memory.get(BASE + LIST);
    assert!((0..40).all(|index| frames[index] == 0x9002 + index as u64) && frames[40] == 0);
    let size = AcquireResource { frame_count: 0, frame_list: GuestHandle::new(0), ..ask };
    assert_eq!(call(&mut host, Op::ACQUIRE_RESOURCE, &size), Ok(0));
    assert_eq!(host.memory.get::<AcquireResource>(BASE).frame_count, 64);
    let unknown = AcquireResource { kind: ResourceType(3), ..size };
    assert_eq!(call(&mut host, Op::ACQUIRE_RESOURCE, &unknown), Ok(0));
    assert_eq!(host.memory.get::<AcquireResource>(BASE).frame_count, 95_u32.wrapping_neg());
    for (wrong, expected) in [
        (AcquireResource { reserved: 1, ..ask }, Errno::EINVAL),
        (AcquireResource { frame: 1 << 32, ..ask }, Errno::EINVAL),
        (AcquireResource { domain: DomainId(0), ..ask }, Errno::EPERM),
        (AcquireResource { domain: DomainId(9), ..ask }, Errno::ESRCH),
        (AcquireResource { kind: ResourceType(0), ..ask }, Errno::EINVAL),
        (AcquireResource { kind: ResourceType(9), ..ask }, Errno::EOPNOTSUPP),
        (AcquireResource { frame_count: 0, ..ask }, Errno::EINVAL),
        (AcquireResource { id: 1, ..ask }, Errno::EINVAL),
        (AcquireResource { id: 2, ..ask }, Errno::EINVAL),
        (AcquireResource { frame_list: GuestHandle::new(0), ..ask }, Errno::EINVAL),
        (AcquireResource { frame: 30, ..ask }, Errno::EINVAL),
        (AcquireResource { frame: 0xFFFF_FFFF, ..ask }, Errno::EINVAL),
        (AcquireResource { frame_count: 1 << 26, ..ask }, Errno::EINVAL),
        (AcquireResource { frame_list: hypervisor(), ..ask }, Errno::EFAULT),
    ] {
        assert_eq!(errno(call(&mut host, Op::ACQUIRE_RESOURCE, &wrong)), expected, "{wrong:?}");
    }
    let of_dom0 = AcquireResource { domain: DomainId(0), ..ask };
    assert_eq!(errno(call(&mut Fake::unprivileged(), Op::ACQUIRE_RESOURCE, &of_dom0)), Errno::EPERM);
}

#[test]
fn translated_domains_do_not_exist() {
    let mut host = Fake::new();
    let add = |space, domain| AddToPhysmap { space, domain: DomainId(domain), ..AddToPhysmap::default() };
    assert_eq!(errno(call(&mut host, Op::ADD_TO_PHYSMAP, &add(MapSpace::GMFN_FOREIGN, 9))), Errno::ENOSYS);
    assert_eq!(errno(call(&mut host, Op::ADD_TO_PHYSMAP, &add(MapSpace::SHARED_INFO, 9))), Errno::ESRCH);
    assert_eq!(errno(call(&mut host, Op::ADD_TO_PHYSMAP, &add(MapSpace::SHARED_INFO, 0))), Errno::EACCES);
    assert_eq!(errno(memory(&mut host, 7 | 0x10000 << 6, nowhere())), Errno::EDOM);
    let batch = |space, domain| AddToPhysmapBatch { space, domain: DomainId(domain), ..AddToPhysmapBatch::default() };
    assert_eq!(errno(call(&mut host, Op::ADD_TO_PHYSMAP_BATCH, &batch(3, 9))), Errno::EOPNOTSUPP);
    assert_eq!(errno(call(&mut host, Op::ADD_TO_PHYSMAP_BATCH, &batch(4, 9))), Errno::ESRCH);
    assert_eq!(errno(call(&mut host, Op::ADD_TO_PHYSMAP_BATCH, &batch(4, 0))), Errno::EACCES);
    assert_eq!(errno(memory(&mut host, 23 | 0x10000 << 6, nowhere())), Errno::EDOM);
    let remove = RemoveFromPhysmap { domain: DomainId(5), ..RemoveFromPhysmap::default() };
    assert_eq!(errno(call(&mut host, Op::REMOVE_FROM_PHYSMAP, &remove)), Errno::EACCES);
    let pod = PodTarget { domain: DomainId(5), ..PodTarget::default() };
    assert_eq!(errno(call(&mut host, Op::GET_POD_TARGET, &pod)), Errno::EINVAL);
    assert_eq!(errno(call(&mut Fake::unprivileged(), Op::GET_POD_TARGET, &pod)), Errno::EPERM);
}

#[test]
fn claims_are_the_control_domains() {
    let claim =
        |domain| MemoryReservation { extent_start: GuestHandle::new(0), domain: DomainId(domain), ..request(100, 0) };
    let mut host = Fake::new();
    assert_eq!(call(&mut host, Op::CLAIM_PAGES, &claim(5)), Ok(0));
    assert_eq!(host.take_effects(), ["claim (5, 100)"]);
    assert_eq!(errno(call(&mut host, Op::CLAIM_PAGES, &claim(9))), Errno::EINVAL);
    assert_eq!(errno(call(&mut host, Op::CLAIM_PAGES, &claim(0x7FF0))), Errno::EINVAL);
    assert_eq!(errno(call(&mut host, Op::CLAIM_PAGES, &request(1, 0))), Errno::EINVAL);
    assert_eq!(errno(call(&mut Fake::unprivileged(), Op::CLAIM_PAGES, &claim(5))), Errno::EPERM);
}

#[test]
fn what_is_not_there_says_so() {
    let mut host = Fake::new();
    let numa = |reserved, domain| VnumaTopology { reserved, domain: DomainId(domain), ..VnumaTopology::default() };
    assert_eq!(errno(call(&mut host, Op::GET_VNUMAINFO, &numa(0, 0x7FF0))), Errno::EOPNOTSUPP);
    assert_eq!(errno(call(&mut host, Op::GET_VNUMAINFO, &numa(1, 0x7FF0))), Errno::EINVAL);
    assert_eq!(errno(call(&mut host, Op::GET_VNUMAINFO, &numa(0, 9))), Errno::ESRCH);
    let devices = |flags| ReservedDeviceMemoryMap { flags, entry_count: 9, ..ReservedDeviceMemoryMap::default() };
    assert_eq!(call(&mut host, Op::RESERVED_DEVICE_MEMORY_MAP, &devices(1)), Ok(0));
    assert_eq!(host.memory.get::<ReservedDeviceMemoryMap>(BASE).entry_count, 0);
    assert_eq!(errno(call(&mut host, Op::RESERVED_DEVICE_MEMORY_MAP, &devices(2))), Errno::EINVAL);
    assert_eq!((memory(&mut host, 18, at(0)), memory(&mut host, 19, at(0))), (Ok(0), Ok(0)));
    assert_eq!(errno(memory(&mut host, 25, at(0))), Errno::EOPNOTSUPP);
    let access = |domain| AccessOperation { domain: DomainId(domain), ..AccessOperation::default() };
    assert_eq!(errno(memory(&mut host, 21, nowhere())), Errno::EFAULT);
    for (domain, expected) in [(9, Errno::ESRCH), (0, Errno::EPERM), (5, Errno::EINVAL)] {
        assert_eq!(errno(call(&mut host, Op::ACCESS_OP, &access(domain))), expected, "{domain}");
    }
    for number in [8, 20, 22, 29, 30, 63] {
        assert_eq!(errno(memory(&mut host, number, at(0))), Errno::ENOSYS, "{number}");
    }
}
