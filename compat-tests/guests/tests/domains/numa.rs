//! Virtual NUMA: setvnumainfo for another domain and for oneself, and what get_vnumainfo then says.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::call2;
use compat_guests::memory::{self, write};
use compat_guests::number;
use compat_guests::report::{result, value_at};

use crate::toolstack::{self, DESTROY, MAX_VCPUS, creation, domctl, request, simple};

const SET: u32 = 74;
const GET: u64 = 26;

/// Two nodes, two vCPUs, three ranges; zeros follow, enough for any count that is taken.
struct Arrays {
    distances: u64,
    vcpus: u64,
    places: u64,
    ranges: u64,
}

fn fill(address: u64, words: &[u32]) -> u64 {
    for (index, pair) in words.chunks(2).enumerate() {
        let high = pair.get(1).copied().unwrap_or(0);
        write(address + 8 * index as u64, u64::from(pair[0]) | u64::from(high) << 32);
    }
    address
}

fn arrays() -> Arrays {
    static AREA: AtomicU64 = AtomicU64::new(0);
    if AREA.load(Relaxed) == 0 {
        AREA.store(memory::pages(10), Relaxed);
    }
    let area = AREA.load(Relaxed);
    let range = |index: u64, start: u64, end: u64, node: u32| {
        let at = area + 0x6000 + 24 * index;
        write(at, start);
        write(at + 8, end);
        fill(at + 16, &[0, node]);
    };
    range(0, 0, 1 << 20, 0);
    range(1, 1 << 20, 3 << 20, 0);
    range(2, 3 << 20, 4 << 20, 1);
    Arrays {
        distances: fill(area, &[10, 20, 21, 11]),
        vcpus: fill(area + 0x4000, &[1, 0]),
        places: fill(area + 0x5000, &[0, 0]),
        ranges: area + 0x6000,
    }
}

/// setvnumainfo with these arrays.
fn set(id: u16, arrays: &Arrays, change: impl FnOnce(toolstack::Request) -> toolstack::Request) -> i64 {
    let asked = request(SET, id)
        .u32(16, 2)
        .u32(20, 3)
        .u32(24, 2)
        .u64(32, arrays.distances)
        .u64(40, arrays.vcpus)
        .u64(48, arrays.places)
        .u64(56, arrays.ranges);
    domctl(&mut change(asked))
}

/// get_vnumainfo into arrays of our own, with room for as many as given; prints all there is.
fn get(label: &str, id: u16, room: [u32; 3], change: impl FnOnce(Buffer<40>) -> Buffer<40>) {
    let (mut distances, mut vcpus, mut ranges) = (Buffer::<16>::new(), Buffer::<8>::new(), Buffer::<72>::new());
    let [nodes, count, spans] = room;
    let asked = Buffer::<40>::new().u16(0, id).u32(4, nodes).u32(8, count).u32(12, spans);
    let asked = asked.u64(16, distances.address()).u64(24, vcpus.address()).u64(32, ranges.address());
    let mut asked = change(asked);
    result(format_args!("numa.get.{label}"), call2(number::MEMORY_OP, GET, asked.address()));
    for (name, at) in [("nodes", 4), ("vcpus", 8), ("ranges", 12)] {
        value_at(format_args!("numa.get.{label}.{name}"), asked.get_u32(at).into());
    }
    for index in 0..4 {
        value_at(format_args!("numa.get.{label}.distance-{index}"), distances.get_u32(4 * index).into());
    }
    for index in 0..2 {
        value_at(format_args!("numa.get.{label}.vcpu-{index}"), vcpus.get_u32(4 * index).into());
    }
    for index in 0..9 {
        value_at(format_args!("numa.get.{label}.range-{index}"), ranges.get_u64(8 * index));
    }
}

/// All of it, with a domain of its own.
pub fn virtual_numa() {
    let mut made = creation();
    result(format_args!("numa.create"), domctl(&mut made));
    let id = made.get_u16(8);
    result(format_args!("numa.vcpus"), domctl(&mut request(MAX_VCPUS, id).u32(16, 2)));
    result(format_args!("numa.memory"), domctl(&mut request(toolstack::MAX_MEM, id).u64(16, 4096)));
    by_node("before", id);
    get("nothing", id, [2, 2, 3], |asked| asked);
    refusals(id);
    result(format_args!("numa.set"), set(id, &arrays(), |asked| asked));
    readings(id);
    by_node("after", id);
    let one = arrays();
    fill(one.distances, &[7]);
    fill(one.vcpus, &[0, 0]);
    result(format_args!("numa.set-again"), set(id, &one, |asked| asked.u32(16, 1).u32(20, 1)));
    get("again", id, [2, 2, 3], |asked| asked);
    result(format_args!("numa.failed-again"), set(id, &arrays(), |asked| asked.u64(56, 8)));
    get("kept", id, [2, 2, 3], |asked| asked);
    result(format_args!("numa.no-ranges"), set(id, &arrays(), |asked| asked.u32(20, 0)));
    get("without-ranges", id, [2, 2, 3], |asked| asked);
    result(format_args!("numa.destroy"), simple(DESTROY, id));
    get("gone", id, [2, 2, 3], |asked| asked);
    get("own", number::DOMID_SELF as u16, [2, 2, 3], |asked| asked);
}

fn refusals(id: u16) {
    let none = |asked: toolstack::Request| asked;
    result(format_args!("numa.set.nobody"), set(999, &arrays(), none));
    for (name, at, value) in [("no-nodes", 16, 0), ("vcpus-1", 24, 1), ("vcpus-3", 24, 3), ("padding", 28, 1)] {
        result(format_args!("numa.set.{name}"), set(id, &arrays(), |asked| asked.u32(at, value)));
    }
    for nodes in [3, 31, 32, 33, 64, 1 << 16, u32::MAX] {
        result(format_args!("numa.set.nodes-{nodes}"), set(id, &arrays(), |asked| asked.u32(16, nodes)));
    }
    for ranges in [4, 169, 170, 171, 1 << 16, u32::MAX] {
        result(format_args!("numa.set.ranges-{ranges}"), set(id, &arrays(), |asked| asked.u32(20, ranges)));
    }
    for (name, values) in [("vcpu-2", [2, 0]), ("vcpu-huge", [0, u32::MAX])] {
        let arrays = arrays();
        fill(arrays.vcpus, &values);
        result(format_args!("numa.set.{name}"), set(id, &arrays, none));
    }
    for (name, words) in [
        ("range-node-2", [0, 0, 4096, 0, 0, 2]),
        ("range-flags", [0, 0, 4096, 0, 1, 0]),
        ("range-empty", [4096, 0, 4096, 0, 0, 0]),
        ("range-backward", [8192, 0, 4096, 0, 0, 0]),
        ("range-unaligned", [1, 0, 77, 0, 0, 0]),
    ] {
        let arrays = arrays();
        fill(arrays.ranges, &words);
        result(format_args!("numa.set.{name}"), set(id, &arrays, none));
    }
    for (name, at) in [("distances", 32), ("vcpus", 40), ("places", 48), ("ranges", 56)] {
        result(format_args!("numa.set.null-{name}"), set(id, &arrays(), |asked| asked.u64(at, 0)));
        result(format_args!("numa.set.bad-{name}"), set(id, &arrays(), |asked| asked.u64(at, 8)));
    }
    for place in [1u32, 5, 63, 64, 254, 255, 256, u32::MAX - 1] {
        let arrays = arrays();
        fill(arrays.places, &[0, place]);
        result(format_args!("numa.set.place-{place}"), set(id, &arrays, none));
    }
}

fn readings(id: u16) {
    get("all", id, [2, 2, 3], |asked| asked);
    get("roomy", id, [200, 100, 300], |asked| asked);
    get("few-nodes", id, [1, 2, 3], |asked| asked);
    get("few-vcpus", id, [2, 1, 3], |asked| asked);
    get("few-ranges", id, [2, 2, 2], |asked| asked);
    get("count", id, [0, 0, 0], |asked| asked);
    get("padding", id, [2, 2, 3], |asked| asked.u16(2, 1));
    for (name, at) in [("distances", 16), ("vcpus", 24), ("ranges", 32)] {
        get(name, id, [2, 2, 3], |asked| asked.u64(at, 8));
    }
}

/// populate_physmap with a node in the flags: a virtual one (bit 18), or also no other than it (bit 17).
fn by_node(when: &str, id: u16) {
    for kind in [1u32 << 18, 1 << 18 | 1 << 17] {
        for node in [0u32, 1, 2, 31, 32, 254, u32::MAX] {
            let mut extents = Buffer::<8>::new().u64(0, 500);
            let flags = kind | node.wrapping_add(1) << 8;
            let asked = Buffer::<32>::new().u64(0, extents.address()).u64(8, 1).u32(20, flags).u16(24, id);
            let mut asked = asked;
            let done = call2(number::MEMORY_OP, number::memory::POPULATE_PHYSMAP, asked.address());
            result(format_args!("numa.populate.{when}.{kind:x}.{node}"), done);
        }
    }
}
