//! Where memory for a domain may come from, and what else names nodes or kinds of memory: flags of a reservation,
//! kinds of resources, maps of nodes without room.

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::call2;
use compat_guests::number::{self, memory as op};
use compat_guests::report::{result, value_at};

use crate::toolstack::{self, DESTROY, MAX_VCPUS, creation, domctl, request, simple};

const ACQUIRE_RESOURCE: u64 = 28;
const GET_AFFINITY: u32 = 25;
const SET_NODES: u32 = 68;
const GET_NODES: u32 = 69;
const POPULATE_ON_DEMAND: u32 = 1 << 16;
const EXACT_NODE: u32 = 1 << 17;

/// All of it, with a domain of its own.
pub fn placement() {
    let mut made = creation();
    result(format_args!("placement.create"), domctl(&mut made));
    let id = made.get_u16(8);
    result(format_args!("placement.vcpus"), domctl(&mut request(MAX_VCPUS, id).u32(16, 2)));
    result(format_args!("placement.memory"), domctl(&mut request(toolstack::MAX_MEM, id).u64(16, 4096)));
    node_map("fresh", id, 64);
    reservations(id);
    random_flags(id);
    on_demand(id);
    exchanges(id);
    resources(id);
    node_maps(id);
    result(format_args!("placement.destroy"), simple(DESTROY, id));
    result(format_args!("placement.gone"), crate::guest::until_gone(id));
}

/// Flags of all three calls for a domain of ours, each for one extent, and twice for three.
fn reservations(id: u16) {
    let node = |node: u32| node.wrapping_add(1) << 8 & 0xff00;
    for (name, flags) in [
        ("none", 0),
        ("on-demand", POPULATE_ON_DEMAND),
        ("on-demand-node-0", POPULATE_ON_DEMAND | node(0)),
        ("node-0", node(0)),
        ("node-1", node(1)),
        ("node-62", node(62)),
        ("node-63", node(63)),
        ("node-64", node(64)),
        ("node-65", node(65)),
        ("node-128", node(128)),
        ("node-253", node(253)),
        ("node-254", node(254)),
        ("exact-any", EXACT_NODE),
        ("exact-0", EXACT_NODE | node(0)),
        ("exact-1", EXACT_NODE | node(1)),
        ("exact-63", EXACT_NODE | node(63)),
        ("exact-64", EXACT_NODE | node(64)),
        ("exact-254", EXACT_NODE | node(254)),
        ("exact-1-on-demand", EXACT_NODE | POPULATE_ON_DEMAND | node(1)),
        ("bits-1-on-demand", POPULATE_ON_DEMAND | 1),
        ("bits-12-on-demand", POPULATE_ON_DEMAND | 12),
        ("bits-13-on-demand", POPULATE_ON_DEMAND | 13),
        ("exact-on-demand", EXACT_NODE | POPULATE_ON_DEMAND | node(0)),
        ("bits-1", 1),
        ("bits-12", 12),
        ("bits-13", 13),
        ("bits-20", 20),
        ("bits-64", 64),
        ("bits-255", 255),
        ("bit-19", 1 << 19),
        ("bit-31", 1 << 31),
    ] {
        for (call, command) in [("increase", op::INCREASE_RESERVATION), ("populate", op::POPULATE_PHYSMAP)] {
            for start in [0u64, 2] {
                let mut extents = Buffer::<24>::new().u64(0, 100).u64(8, 101).u64(16, 102);
                let mut asked = Buffer::<32>::new().u64(0, extents.address()).u64(8, 3).u32(20, flags).u16(24, id);
                let before = pages(id);
                let done = call2(number::MEMORY_OP, command | start << 6, asked.address());
                result(format_args!("placement.{call}.{name}.{start}"), done);
                value_at(format_args!("placement.{call}.{name}.{start}.pages"), pages(id) - before);
            }
        }
        // A frame that nobody has.
        let mut extents = Buffer::<8>::new().u64(0, 0xff_ffff_ffff);
        let mut asked = Buffer::<32>::new().u64(0, extents.address()).u64(8, 1).u32(20, flags).u16(24, id);
        let done = call2(number::MEMORY_OP, op::DECREASE_RESERVATION, asked.address());
        result(format_args!("placement.decrease.{name}"), done);
        // And one of the domain's.
        let (given, frames) = toolstack::populate::<1>(id, 100);
        result(format_args!("placement.give.{name}"), given);
        let mut extents = Buffer::<8>::new().u64(0, frames[0]);
        let mut asked = Buffer::<32>::new().u64(0, extents.address()).u64(8, 1).u32(20, flags).u16(24, id);
        let done = call2(number::MEMORY_OP, op::DECREASE_RESERVATION, asked.address());
        result(format_args!("placement.take.{name}"), done);
    }
}

/// Any flags at all: what the three calls answer for one extent and for one of order 1.
fn random_flags(id: u16) {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    for round in 0..120 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The undefined bits above the flags only sometimes.
        let flags = (state >> 33) as u32 & if round % 4 == 0 { u32::MAX } else { 0x7_ffff };
        for domain in [id, number::DOMID_SELF as u16, 999] {
            for (call, command) in [
                ("increase", op::INCREASE_RESERVATION),
                ("populate", op::POPULATE_PHYSMAP),
                ("decrease", op::DECREASE_RESERVATION),
            ] {
                // Ourselves get nothing: the frame is none, the number is no page's.
                let mut extents = Buffer::<8>::new().u64(0, 0xff_ffff_ffff);
                let asked = Buffer::<32>::new().u64(0, extents.address()).u64(8, 1).u32(16, round % 2);
                let mut asked = asked.u32(20, flags).u16(24, domain);
                if domain == number::DOMID_SELF as u16 && command != op::DECREASE_RESERVATION {
                    continue;
                }
                let done = call2(number::MEMORY_OP, command, asked.address());
                result(format_args!("placement.random.{call}.{domain:x}.{flags:x}"), done);
            }
        }
    }
}

/// Populating on demand is for translated domains; what becomes of the other arguments.
fn on_demand(id: u16) {
    let nowhere = 0xffff_8000_0000_0000u64;
    for domain in [id, number::DOMID_SELF as u16, 0, 999] {
        for (name, list, count, order) in [
            ("one", true, 1u64, 0u32),
            ("large", true, 1, 9),
            ("larger", true, 1, 18),
            ("too-large", true, 1, 64),
            ("many", true, 1 << 25, 0),
            ("too-many", true, 1 << 58, 0),
            ("none", true, 0, 0),
            ("null", false, 1, 0),
        ] {
            let mut extents = Buffer::<8>::new().u64(0, 0xff_ffff_ffff);
            let address = if list { extents.address() } else { 0 };
            // Many numbers do not lie in our memory.
            let address = if name == "many" { 0x1000 } else { address };
            let mut asked = Buffer::<32>::new()
                .u64(0, address)
                .u64(8, count)
                .u32(16, order)
                .u32(20, POPULATE_ON_DEMAND)
                .u16(24, domain);
            let done = call2(number::MEMORY_OP, op::POPULATE_PHYSMAP, asked.address());
            result(format_args!("placement.on-demand.{domain:x}.{name}"), done);
            value_at(format_args!("placement.on-demand.{domain:x}.{name}.extent"), extents.get_u64(0));
        }
        for (name, address) in [("unmapped", 0x1000), ("forbidden", nowhere)] {
            let mut asked = Buffer::<32>::new().u64(0, address).u64(8, 1).u32(20, POPULATE_ON_DEMAND).u16(24, domain);
            let done = call2(number::MEMORY_OP, op::POPULATE_PHYSMAP, asked.address());
            result(format_args!("placement.on-demand.{domain:x}.{name}"), done);
        }
    }
}

/// The exchange's output has the same flags; its input is a frame of nobody.
fn exchanges(id: u16) {
    for (name, flags) in [
        ("none", 0u32),
        ("on-demand", POPULATE_ON_DEMAND),
        ("node-1", 2 << 8),
        ("node-64", 65 << 8),
        ("exact-1", EXACT_NODE | 2 << 8),
        ("bits-12", 12),
        ("bits-13", 13),
    ] {
        for (input_flags, own) in [(0u32, false), (flags, false), (0, true), (flags, true)] {
            let frame = if own { toolstack::populate::<1>(id, 100).1[0] } else { 0xff_ffff_ffff };
            let (mut input, mut output) = (Buffer::<8>::new().u64(0, frame), Buffer::<8>::new().u64(0, 100));
            let mut asked = Buffer::<72>::new()
                .u64(0, input.address())
                .u64(8, 1)
                .u32(20, input_flags)
                .u16(24, id)
                .u64(32, output.address())
                .u64(40, 1)
                .u32(52, flags)
                .u16(56, id);
            let done = call2(number::MEMORY_OP, op::EXCHANGE, asked.address());
            result(format_args!("placement.exchange.{name}.{input_flags:x}.{own}"), done);
            value_at(format_args!("placement.exchange.{name}.{input_flags:x}.{own}.done"), asked.get_u64(64));
            value_at(format_args!("placement.exchange.{name}.{input_flags:x}.{own}.pages"), pages(id));
        }
    }
}

fn pages(id: u16) -> u64 {
    toolstack::info(id).map_or(0, |told| told.get_u64(16 + 8))
}

/// Every kind of resource with ids and counts around those that are there; a null list asks for the size.
fn resources(id: u16) {
    for kind in [0u16, 1, 2, 3, 4, 255, 0xffff] {
        for which in [0u32, 1, 2, u32::MAX] {
            for (name, count, has_list) in
                [("size", 0u32, false), ("null", 1, false), ("none", 0, true), ("one", 1, true)]
            {
                let mut frames = Buffer::<16>::filled(0x55);
                let list = if has_list { frames.address() } else { 0 };
                let mut asked = Buffer::<32>::new().u16(0, id).u16(2, kind).u32(4, which).u32(8, count).u64(24, list);
                let label = format_args!("placement.resource.{kind}.{which}.{name}");
                let done = call2(number::MEMORY_OP, ACQUIRE_RESOURCE, asked.address());
                result(label, done);
                value_at(format_args!("placement.resource.{kind}.{which}.{name}.count"), asked.get_u32(8).into());
            }
        }
    }
    for (kind, name, change) in [
        (1u16, "padding", (12usize, 1u32)),
        (9, "padding", (12, 1)),
        (1, "high-frame", (20, 1)),
        (9, "high-frame", (20, 1)),
        (1, "far", (16, 4)),
        (9, "far", (16, 4)),
        (1, "wraps", (16, u32::MAX)),
        (1, "many", (8, 1 << 26)),
        (9, "many", (8, 1 << 26)),
    ] {
        let mut frames = Buffer::<16>::filled(0x55);
        let asked = Buffer::<32>::new().u16(0, id).u16(2, kind).u32(8, 1).u64(24, frames.address());
        let mut asked = asked.u32(change.0, change.1);
        result(
            format_args!("placement.resource.{kind}.{name}"),
            call2(number::MEMORY_OP, ACQUIRE_RESOURCE, asked.address()),
        );
    }
    for kind in [1u16, 9] {
        for shift in [1u32, 2, 5, 10, 16, 20, 24, 25, 26, 27, 30, 31, 32] {
            for below in [0u32, 1] {
                let count = ((1u64 << shift) - u64::from(below)) as u32;
                let mut frames = Buffer::<512>::filled(0x55);
                let asked = Buffer::<32>::new().u16(0, id).u16(2, kind).u32(8, count).u64(24, frames.address());
                let done = call2(number::MEMORY_OP, ACQUIRE_RESOURCE, { asked }.address());
                result(format_args!("placement.resource.{kind}.count.{count}"), done);
            }
        }
    }
    for (name, domain) in [("none", 999u16), ("own", 0)] {
        for (fault, offset, value) in
            [("padding", 12usize, 1u32), ("high-frame", 20, 1), ("null", 8, 1), ("many", 8, 1 << 26)]
        {
            let mut asked = Buffer::<32>::new().u16(0, domain).u16(2, 9).u32(offset, value);
            let done = call2(number::MEMORY_OP, ACQUIRE_RESOURCE, asked.address());
            result(format_args!("placement.resource.{name}.{fault}"), done);
        }
    }
    for (name, domain) in [("self", 0x7ff0u16), ("nobody", 999)] {
        for kind in [1u16, 9] {
            let mut asked = Buffer::<32>::new().u16(0, domain).u16(2, kind);
            let done = call2(number::MEMORY_OP, ACQUIRE_RESOURCE, asked.address());
            result(format_args!("placement.resource.{kind}.{name}"), done);
        }
    }
}

/// The nodes of a domain in a map of so many bits.
fn node_map(when: &str, id: u16, bits: u32) {
    let mut map = Buffer::<24>::filled(0x55);
    let told = domctl(&mut request(GET_NODES, id).u64(16, map.address()).u32(24, bits));
    result(format_args!("placement.nodes.get.{when}.{bits}"), told);
    for offset in [0, 8, 16] {
        value_at(format_args!("placement.nodes.get.{when}.{bits}.{offset}"), map.get_u64(offset));
    }
}

/// Maps of nodes: from none to more bits than there are nodes, and no memory where it should be.
fn node_maps(id: u16) {
    for bits in [0u32, 1, 7, 8, 63, 64, 65, 128] {
        for (name, content) in [("none", 0u64), ("first", 1), ("second", 2), ("all", u64::MAX)] {
            let mut map = Buffer::<24>::filled(0x55).u64(0, content).u64(8, 0);
            let set = domctl(&mut request(SET_NODES, id).u64(16, map.address()).u32(24, bits));
            result(format_args!("placement.nodes.set.{bits}.{name}"), set);
            node_map(name, id, bits.max(8));
        }
        node_map("then", id, bits);
        for (name, address) in [("null", 0u64), ("bad", 0xffff_8000_0000_0000)] {
            let set = domctl(&mut request(SET_NODES, id).u64(16, address).u32(24, bits));
            result(format_args!("placement.nodes.set.{bits}.{name}"), set);
            let told = domctl(&mut request(GET_NODES, id).u64(16, address).u32(24, bits));
            result(format_args!("placement.nodes.get.{bits}.{name}"), told);
            for flags in [1, 2] {
                let asked = request(GET_AFFINITY, id).u32(20, flags).u64(24, address).u32(32, bits);
                let told = domctl(&mut asked.u64(40, address).u32(48, bits));
                result(format_args!("placement.cpus.get.{bits}.{name}.{flags}"), told);
            }
        }
    }
}
