//! physinfo, getcpuinfo, availheap, topologies, cpu_hotplug, counters.

use compat_guests::buffer::Buffer;
use compat_guests::control::{make, sysctl};
use compat_guests::report::{check, result, value_at};

pub fn all() {
    physinfo();
    idle_times();
    heap();
    cpu_topology();
    nodes();
    devices();
    hotplug();
    counters();
}

pub fn physinfo() {
    let mut request = sysctl(3);
    for offset in (8..136).step_by(8) {
        request = request.u64(offset, 0x5555_5555_5555_5555);
    }
    result(format_args!("physinfo"), make(&mut request));
    for (offset, name) in [
        (0, "threads_per_core"),
        (4, "cores_per_socket"),
        (8, "cpus"),
        (12, "max_cpu_id"),
        (16, "nodes"),
        (20, "max_node_id"),
        (28, "capabilities"),
        (32, "arch_capabilities"),
        (36, "pad"),
        (80, "hw0"),
        (84, "hw1"),
        (88, "hw2"),
        (92, "hw3"),
        (96, "hw4"),
        (100, "hw5"),
        (104, "hw6"),
        (108, "hw7"),
        (112, "behind"),
    ] {
        value_at(format_args!("physinfo.{name}"), request.get_u32(8 + offset).into());
    }
    value_at(format_args!("physinfo.scrub_pages"), request.get_u64(8 + 56));
    value_at(format_args!("physinfo.outstanding_pages"), request.get_u64(8 + 64));
    value_at(format_args!("physinfo.max_mfn"), request.get_u64(8 + 72));
    let (total, free) = (request.get_u64(8 + 40), request.get_u64(8 + 48));
    check("physinfo.total", (0x3f000..=0x40000).contains(&total).into(), format_args!("{total:#x}"));
    check("physinfo.free", (free < total && free > 0x10000).into(), format_args!("{free:#x}"));
    check("physinfo.khz", (request.get_u32(8 + 24) > 100_000).into(), format_args!(""));
}

fn idle_times() {
    for max in [0u32, 1, 2, 3, 100] {
        let mut times = Buffer::<1024>::filled(0x55);
        let mut request = sysctl(8).u32(8, max).u64(16, times.address());
        result(format_args!("cpuinfo.{max}"), make(&mut request));
        value_at(format_args!("cpuinfo.{max}.count"), request.get_u32(24).into());
        let written = (0..128).filter(|index| times.get_u64(index * 8) != 0x5555_5555_5555_5555).count();
        value_at(format_args!("cpuinfo.{max}.written"), written as u64);
        if max == 2 {
            // The other CPU has had nothing to do since it came up.
            check("cpuinfo.idle", (times.get_u64(8) > 1_000_000).into(), format_args!("{}", times.get_u64(8)));
        }
    }
    result(format_args!("cpuinfo.bad"), make(&mut sysctl(8).u32(8, 2).u64(16, 0xffff_8000_0000_0000)));
    result(format_args!("cpuinfo.unmapped"), make(&mut sysctl(8).u32(8, 2).u64(16, 0x1000)));
}

fn heap() {
    let ask = |minimum: u32, maximum: u32, node: u32| {
        let mut request = sysctl(9).u32(8, minimum).u32(12, maximum).u32(16, node);
        (make(&mut request), request.get_u64(24))
    };
    let (_, all) = ask(0, 0, u32::MAX);
    check("availheap.all", (all > 256 << 20 && all < 1 << 30).into(), format_args!("{all}"));
    for (minimum, maximum, node) in [
        (0u32, 0u32, u32::MAX),
        (0, 32, u32::MAX),
        (33, 0, u32::MAX),
        (0, 0, 0),
        (0, 0, 1),
        (0, 0, 1000),
        (40, 20, u32::MAX),
        (0, 12, u32::MAX),
        (200, 300, u32::MAX),
        (0, 0, u32::MAX - 1),
    ] {
        let (outcome, bytes) = ask(minimum, maximum, node);
        result(format_args!("availheap.{minimum}.{maximum}.{node:x}"), outcome);
        value_at(format_args!("availheap.{minimum}.{maximum}.{node:x}.any"), u64::from(bytes != 0));
        value_at(format_args!("availheap.{minimum}.{maximum}.{node:x}.all"), u64::from(bytes == all));
    }
}

pub fn cpu_topology() {
    for (count, has_array) in [(0u32, false), (7, false), (0, true), (1, true), (2, true), (3, true), (10, true)] {
        let mut array = Buffer::<256>::filled(0x55);
        let address = if has_array { array.address() } else { 0 };
        let mut request = sysctl(16).u32(8, count).u64(16, address);
        result(format_args!("cputopo.{count}.{has_array}"), make(&mut request));
        value_at(format_args!("cputopo.{count}.{has_array}.count"), request.get_u32(8).into());
        if count == 10 || count == 1 {
            for offset in (0..60).step_by(4) {
                value_at(format_args!("cputopo.{count}.{offset}"), array.get_u32(offset).into());
            }
        }
    }
    result(format_args!("cputopo.bad"), make(&mut sysctl(16).u32(8, 2).u64(16, 0xffff_8000_0000_0000)));
    result(format_args!("cputopo.unmapped"), make(&mut sysctl(16).u32(8, 2).u64(16, 0x1000)));
}

fn nodes() {
    for (count, has_memory, has_distances) in [
        (0u32, false, false),
        (9, false, false),
        (0, true, true),
        (1, true, true),
        (1, true, false),
        (1, false, true),
        (3, true, true),
        (100, true, true),
    ] {
        let label = (count, has_memory, has_distances);
        let (mut memory, mut distances) = (Buffer::<2048>::filled(0x55), Buffer::<512>::filled(0x55));
        let memory_at = if has_memory { memory.address() } else { 0 };
        let distances_at = if has_distances { distances.address() } else { 0 };
        let count = if label.0 == 100 { 8 } else { count };
        let mut request = sysctl(17).u32(8, count).u64(16, memory_at).u64(24, distances_at);
        result(format_args!("numa.{label:?}"), make(&mut request));
        value_at(format_args!("numa.{label:?}.count"), request.get_u32(8).into());
        let (size, free) = (memory.get_u64(0), memory.get_u64(8));
        value_at(format_args!("numa.{label:?}.written"), u64::from(size != 0x5555_5555_5555_5555));
        if has_memory && count != 0 {
            value_at(format_args!("numa.{label:?}.size"), size);
            check("numa.free", (free > 256 << 20 && free < size).into(), format_args!("{free}"));
            value_at(format_args!("numa.{label:?}.second"), memory.get_u64(16));
            value_at(format_args!("numa.{label:?}.second_free"), memory.get_u64(24));
        }
        for offset in (0..16).step_by(4) {
            value_at(format_args!("numa.{label:?}.distance.{offset}"), distances.get_u32(offset).into());
        }
    }
    let unmapped = 0xffff_8000_0000_0000;
    result(format_args!("numa.bad_memory"), make(&mut sysctl(17).u32(8, 1).u64(16, unmapped)));
    result(format_args!("numa.bad_distances"), make(&mut sysctl(17).u32(8, 1).u64(24, unmapped)));
}

fn devices() {
    let mut list = Buffer::<32>::new().u32(0, 0).u32(4, 0x00ff).u32(8, 7 << 8);
    // struct physdev_pci_device: u16 segment, u8 bus, u8 devfn, here at 4-byte steps.
    let mut list2 = Buffer::<32>::new().u32(0, 0).u32(4, 0xff00_0000).u32(8, 0x0500_0000);
    for (label, list) in [("some", &mut list), ("more", &mut list2)] {
        let mut nodes = Buffer::<32>::filled(0x55);
        let mut request = sysctl(22).u32(8, 3).u64(16, list.address()).u64(24, nodes.address());
        result(format_args!("pcitopo.{label}"), make(&mut request));
        value_at(format_args!("pcitopo.{label}.count"), request.get_u32(8).into());
        for offset in (0..12).step_by(4) {
            value_at(format_args!("pcitopo.{label}.{offset}"), nodes.get_u32(offset).into());
        }
    }
    result(format_args!("pcitopo.none"), make(&mut sysctl(22)));
    let mut nodes = Buffer::<32>::filled(0x55);
    result(format_args!("pcitopo.no_devices"), make(&mut sysctl(22).u32(8, 1).u64(24, nodes.address())));
    result(format_args!("pcitopo.no_nodes"), make(&mut sysctl(22).u32(8, 1).u64(16, nodes.address())));
}

fn hotplug() {
    for (cpu, operation) in [
        (1u32, 4u32),
        (1, u32::MAX),
        (0, 1),
        (0, 0),
        (1, 0),
        (2, 0),
        (2, 1),
        (100, 0),
        (100, 1),
        (100_000, 0),
        (u32::MAX, 1),
        (0, 2),
        (1, 2),
        (1, 3),
    ] {
        result(format_args!("hotplug.{cpu}.{operation}"), make(&mut sysctl(11).u32(8, cpu).u32(12, operation)));
    }
}

fn counters() {
    for operation in [0u32, 1, 2, 3] {
        result(format_args!("perfc.{operation}"), make(&mut sysctl(5).u32(8, operation)));
        result(format_args!("lockprof.{operation}"), make(&mut sysctl(15).u32(8, operation)));
        result(format_args!("coverage.{operation}"), make(&mut sysctl(20).u32(8, operation)));
        result(format_args!("livepatch.{operation}"), make(&mut sysctl(27).u32(8, operation)));
        result(format_args!("psr_cmt.{operation}"), make(&mut sysctl(21).u32(8, operation)));
        result(format_args!("psr_alloc.{operation}"), make(&mut sysctl(23).u32(8, operation)));
    }
    result(format_args!("livepatch.padded"), make(&mut sysctl(27).u32(8, 2).u32(12, 1)));
    for operation in 0u32..8 {
        let mut request = sysctl(2).u32(8, operation);
        result(format_args!("tbuf.{operation}"), make(&mut request));
        for offset in (12..40).step_by(4) {
            value_at(format_args!("tbuf.{operation}.{offset}"), request.get_u32(offset).into());
        }
    }
}
