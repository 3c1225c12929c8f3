//! Virtual NUMA: what a topology may be, what is told of it, and where it puts memory.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use abi::domctl::{Domctl, DomctlOperation};
use abi::domctl_domain::VirtualNuma;
use abi::memory::{MemoryFlags, MemoryOperation, MemoryReservation, VirtualMemoryRange, VnumaTopology};
use abi::{DomainId, Errno};
use common::{BASE, Fake, at, errno, nowhere};
use hypercalls::op::domctl::domctl;
use hypercalls::op::memory::memory;
use hypercalls::outcome::Reply;
use zerocopy::{FromZeros, IntoBytes};

const DOMAIN: u16 = 5;
const DISTANCES: u64 = 0x400;
const VCPUS: u64 = 0x1400;
const PLACES: u64 = 0x1800;
const RANGES: u64 = 0x1c00;
/// Where what is read goes.
const OUT: u64 = 0x3000;

fn range(start: u64, end: u64, flags: u32, node: u32) -> VirtualMemoryRange {
    VirtualMemoryRange { start, end, flags, node }
}

/// Two nodes, three vCPUs, two ranges, in the guest's memory.
fn wanted(host: &mut Fake) -> VirtualNuma {
    host.memory.put(BASE + DISTANCES, &[10u32, 20, 21, 11]);
    host.memory.put(BASE + VCPUS, &[1u32, 0, 1]);
    host.memory.put(BASE + PLACES, &[0u32, 7]);
    host.memory.put(BASE + RANGES, &[range(0, 4096, 0, 0), range(4096, 8192, 0, 1)]);
    VirtualNuma {
        nodes: 2,
        ranges: 2,
        vcpus: 3,
        reserved: 0,
        distances: at(DISTANCES),
        vcpu_nodes: at(VCPUS),
        physical_nodes: at(PLACES),
        memory: at(RANGES),
    }
}

fn set(host: &mut Fake, topology: &VirtualNuma) -> Reply {
    let mut request = Domctl {
        command: DomctlOperation::SETVNUMAINFO,
        interface_version: 0x15,
        domain: DomainId(DOMAIN),
        ..Domctl::default()
    };
    request.argument.as_mut_bytes()[..size_of::<VirtualNuma>()].copy_from_slice(topology.as_bytes());
    host.next_call().memory.put(BASE, &request);
    domctl(host, at(0))
}

fn get(host: &mut Fake, room: [u32; 3]) -> (Reply, VnumaTopology) {
    let [vnode_count, vcpu_count, range_count] = room;
    let request = VnumaTopology {
        domain: DomainId(DOMAIN),
        vnode_count,
        vcpu_count,
        range_count,
        distance: at(OUT),
        vcpu_to_vnode: at(OUT + 0x100),
        ranges: at(OUT + 0x200),
        ..VnumaTopology::default()
    };
    host.next_call().memory.put(BASE, &request);
    let reply = memory(host, u64::from(MemoryOperation::GET_VNUMAINFO.0), at(0));
    (reply, host.memory.get(BASE))
}

#[test]
fn what_was_set_is_told() {
    let mut host = Fake::new();
    assert_eq!(errno(get(&mut host, [9; 3]).0), Errno::EOPNOTSUPP);
    let topology = wanted(&mut host);
    assert_eq!(set(&mut host, &topology), Ok(0));
    let (reply, told) = get(&mut host, [2, 3, 2]);
    assert_eq!(reply, Ok(0));
    assert_eq!((told.vnode_count, told.vcpu_count, told.range_count), (2, 3, 2));
    assert_eq!(host.memory.get::<[u32; 4]>(BASE + OUT), [10, 20, 21, 11]);
    assert_eq!(host.memory.get::<[u32; 3]>(BASE + OUT + 0x100), [1, 0, 1]);
    let ranges: [VirtualMemoryRange; 2] = host.memory.get(BASE + OUT + 0x200);
    assert_eq!(ranges.map(|range| (range.start, range.end, range.node)), [(0, 4096, 0), (4096, 8192, 1)]);
}

#[test]
fn too_little_room_tells_how_much_and_writes_nothing_else() {
    let mut host = Fake::new();
    let topology = wanted(&mut host);
    assert_eq!(set(&mut host, &topology), Ok(0));
    for room in [[0; 3], [1, 3, 2], [2, 2, 2], [2, 3, 1]] {
        let (reply, told) = get(&mut host, room);
        assert_eq!(errno(reply), Errno::ENOBUFS);
        assert_eq!((told.vnode_count, told.vcpu_count, told.range_count), (2, 3, 2));
        assert_eq!(host.memory.get::<[u32; 4]>(BASE + OUT), [0; 4]);
    }
}

#[test]
fn a_topology_that_cannot_be_is_refused_and_the_former_stays() {
    let mut host = Fake::new();
    let good = wanted(&mut host);
    assert_eq!(set(&mut host, &good), Ok(0));
    type Change = fn(&mut VirtualNuma);
    let changes: [(Errno, Change); 10] = [
        (Errno::EINVAL, |topology| topology.nodes = 0),
        (Errno::EINVAL, |topology| topology.nodes = 33),
        (Errno::EINVAL, |topology| topology.nodes = u32::MAX),
        (Errno::EINVAL, |topology| topology.vcpus -= 1),
        (Errno::EINVAL, |topology| topology.reserved = 1),
        (Errno::EINVAL, |topology| topology.ranges = 171),
        (Errno::EINVAL, |topology| topology.ranges = u32::MAX),
        (Errno::EFAULT, |topology| topology.distances = nowhere()),
        (Errno::EFAULT, |topology| topology.physical_nodes = nowhere()),
        (Errno::E2BIG, |topology| topology.nodes = 1),
    ];
    for (expected, change) in changes {
        let mut topology = wanted(&mut host);
        change(&mut topology);
        assert_eq!(errno(set(&mut host, &topology)), expected);
    }
    let topology = wanted(&mut host);
    host.memory.put(BASE + PLACES, &[0u32, 64]);
    assert_eq!(errno(set(&mut host, &topology)), Errno::E2BIG);
    let topology = wanted(&mut host);
    host.memory.put(BASE + RANGES, &[range(0, 4096, 1, 0)]);
    assert_eq!(errno(set(&mut host, &topology)), Errno::EINVAL);
    assert_eq!(get(&mut host, [2, 3, 2]).0, Ok(0));
}

#[test]
fn as_many_as_fit_a_page_are_taken() {
    let mut host = Fake::new();
    let mut topology = wanted(&mut host);
    (topology.nodes, topology.ranges) = (32, 170);
    assert_eq!(set(&mut host, &topology), Ok(0));
    assert_eq!(errno(get(&mut host, [2, 3, 2]).0), Errno::ENOBUFS);
}

#[test]
fn virtual_nodes_place_memory() {
    let populate = |host: &mut Fake, node: u32, exact: MemoryFlags| {
        host.next_call().memory.put(BASE + OUT, &0x70_u64);
        let request = MemoryReservation {
            extent_start: at(OUT),
            extent_count: 1,
            flags: MemoryFlags((node + 1) << 8 | MemoryFlags::VNODE.0 | exact.0),
            domain: DomainId(DOMAIN),
            ..MemoryReservation::new_zeroed()
        };
        host.memory.put(BASE, &request);
        memory(host, u64::from(MemoryOperation::POPULATE_PHYSMAP.0), at(0))
    };
    let mut host = Fake::new();
    assert_eq!(populate(&mut host, 9, MemoryFlags::EXACT_NODE_REQUEST), Ok(1), "without a topology any will do");
    let topology = wanted(&mut host);
    assert_eq!(set(&mut host, &topology), Ok(0));
    assert_eq!(populate(&mut host, 0, MemoryFlags::EXACT_NODE_REQUEST), Ok(1));
    assert_eq!(populate(&mut host, 1, MemoryFlags(0)), Ok(1), "a node that is not there is a preference");
    assert_eq!(populate(&mut host, 1, MemoryFlags::EXACT_NODE_REQUEST), Ok(0), "and no place to insist on");
    assert_eq!(populate(&mut host, 2, MemoryFlags(0)), Ok(0), "no such node");
}
