//! page_offline_op: what is asked of frames that are free, ours, somebody's and nobody's; bad input.

use compat_guests::buffer::Buffer;
use compat_guests::control::{make, sysctl};
use compat_guests::hypercall::{call2, update_va_mapping};
use compat_guests::memory::{self, INVLPG, mfn_of, page, pfn_of, write};
use compat_guests::number::{self, DOMID_SELF, memory as op};
use compat_guests::report::{check, result, value_at};
use compat_guests::start;

const OFFLINE: u32 = 1;
const ONLINE: u32 = 2;
const QUERY: u32 = 3;

pub fn all() {
    heads();
    others();
    free_frame();
    own_frame();
    range();
}

/// Asks for one frame, and prints what came of it.
fn ask(label: &str, what: &str, command: u32, frame: u64) {
    let mut status = Buffer::<8>::filled(0x55);
    let frame = frame as u32;
    let mut request = sysctl(14).u32(8, command).u32(12, frame).u32(16, frame).u64(24, status.address());
    result(format_args!("offline.{label}.{what}"), make(&mut request));
    value_at(format_args!("offline.{label}.{what}.status"), status.get_u32(0).into());
}

fn reservation(command: u64, extent: &u64) -> i64 {
    let mut argument = Buffer::<32>::new().u64(0, extent as *const u64 as u64).u64(8, 1).u16(24, DOMID_SELF as u16);
    call2(number::MEMORY_OP, command, argument.address())
}

fn free_memory() -> u64 {
    let mut request = sysctl(9).u32(16, u32::MAX);
    make(&mut request);
    request.get_u64(24)
}

/// Commands, ranges, lists.
fn heads() {
    for (command, start, end) in [
        (0u32, 0u32, 0u32),
        (ONLINE, 0, 0),
        (QUERY, 0, 0),
        (4, 0, 0),
        (QUERY, 5, 4),
        (QUERY, 0x7fff_0000, 0x7fff_0000),
        (OFFLINE, 0x7fff_0000, 0x7fff_0000),
        (ONLINE, 0x7fff_0000, 0x7fff_0000),
        (QUERY, 0x200, 0x202),
        (77, 0x200, 0x202),
        (ONLINE, 0x200, 0x202),
    ] {
        let mut status = Buffer::<64>::filled(0x55);
        let mut request = sysctl(14).u32(8, command).u32(12, start).u32(16, end).u64(24, status.address());
        result(format_args!("offline.{command}.{start:x}.{end:x}"), make(&mut request));
        for offset in [0, 4, 8, 12] {
            value_at(format_args!("offline.{command}.{start:x}.{end:x}.{offset}"), status.get_u32(offset).into());
        }
    }
    for (name, list) in [("null", 0u64), ("unmapped", 0x1000), ("forbidden", 0xffff_8000_0000_0000)] {
        for (command, start, end) in [(QUERY, 0x200u32, 0x200u32), (QUERY, 5, 4), (77, 0x200, 0x200)] {
            let mut request = sysctl(14).u32(8, command).u32(12, start).u32(16, end).u64(24, list);
            result(format_args!("offline.{name}.{command}.{start:x}"), make(&mut request));
        }
    }
}

/// Frames that are the hypervisor's, a device's, or nothing.
fn others() {
    let list = page();
    let mut argument = Buffer::<24>::new().u32(0, 1).u64(8, list);
    call2(number::MEMORY_OP, op::MACHPHYS_MFN_LIST, argument.address());
    for (name, frame) in [
        ("table", memory::read(list)),
        ("shared", start::info_u64(40) >> 12),
        ("vga", 0xa0),
        ("rom", 0xf0),
        ("apic", 0xfee00),
        ("hole", 0x4_1000),
        ("first", 0),
        ("low", 0x10),
    ] {
        ask(name, "query", QUERY, frame);
        ask(name, "online", ONLINE, frame);
        // What is the machine's own is left alone.
        if frame > 0x10 {
            ask(name, "offline", OFFLINE, frame);
            ask(name, "then", QUERY, frame);
            ask(name, "online-again", ONLINE, frame);
            ask(name, "at-last", QUERY, frame);
        }
    }
}

/// A frame given back: it leaves, is not given out, and comes back.
fn free_frame() {
    let address = page();
    let frame = mfn_of(address);
    let pfn = pfn_of(frame);
    update_va_mapping(address, 0, INVLPG);
    result(format_args!("offline.free.decrease"), reservation(op::DECREASE_RESERVATION, &frame));
    let before = free_memory();
    ask("free", "query", QUERY, frame);
    ask("free", "online", ONLINE, frame);
    ask("free", "offline", OFFLINE, frame);
    let gone = before.wrapping_sub(free_memory());
    value_at(format_args!("offline.free.gone"), gone);
    ask("free", "then", QUERY, frame);
    ask("free", "offline-again", OFFLINE, frame);
    ask("free", "back", ONLINE, frame);
    value_at(format_args!("offline.free.back"), before.wrapping_sub(free_memory()));
    ask("free", "at-last", QUERY, frame);
    ask("free", "online-again", ONLINE, frame);
    result(format_args!("offline.free.populate"), reservation(op::POPULATE_PHYSMAP, &pfn));
}

/// A frame of ours: it leaves when it is given back.
fn own_frame() {
    for name in ["kept", "given", "changed"] {
        let address = page();
        let frame = mfn_of(address);
        let pfn = pfn_of(frame);
        write(address, 1);
        ask(name, "query", QUERY, frame);
        ask(name, "offline", OFFLINE, frame);
        ask(name, "then", QUERY, frame);
        ask(name, "offline-again", OFFLINE, frame);
        if name == "changed" {
            ask(name, "online", ONLINE, frame);
            ask(name, "onlined", QUERY, frame);
        }
        // It is ours as before.
        write(address + 8, 2);
        value_at(format_args!("offline.{name}.word"), memory::read(address) + memory::read(address + 8));
        if name == "kept" {
            ask(name, "online", ONLINE, frame);
            continue;
        }
        update_va_mapping(address, 0, INVLPG);
        let before = free_memory();
        result(format_args!("offline.{name}.decrease"), reservation(op::DECREASE_RESERVATION, &frame));
        ask(name, "given-back", QUERY, frame);
        value_at(format_args!("offline.{name}.more"), free_memory().wrapping_sub(before));
        let given = pfn;
        result(format_args!("offline.{name}.populate"), reservation(op::POPULATE_PHYSMAP, &given));
        // SAFETY: the call replaced the number by the frame it gave.
        let another = unsafe { core::ptr::read_volatile(&given) };
        if name == "given" {
            check("offline.not-given-out", (another != frame).into(), format_args!("{another:x} after {frame:x}"));
        }
        ask(name, "online-at-last", ONLINE, frame);
        // The machine has it again, or we do.
        ask(name, "at-last", QUERY, frame);
    }
}

/// Three frames of ours in a row, the second already on its way out; and a range that leaves memory.
fn range() {
    let first = mfn_of(memory::pages(4));
    ask("range", "second", OFFLINE, first + 1);
    for (name, command, from, to) in [
        ("query", QUERY, first, first + 2),
        ("offline", OFFLINE, first, first + 2),
        ("query-then", QUERY, first, first + 2),
        ("online", ONLINE, first, first + 2),
        ("query-at-last", QUERY, first, first + 2),
        ("end-query", QUERY, 0x3_ffdf, 0x3_ffe2),
        ("end-online", ONLINE, 0x3_fffe, 0x4_0001),
        ("end-far", QUERY, 0x3_fffe, 0x4_0001),
    ] {
        let mut status = Buffer::<24>::filled(0x55);
        let request = sysctl(14).u32(8, command).u32(12, from as u32).u32(16, to as u32);
        let mut request = request.u64(24, status.address());
        result(format_args!("offline.range.{name}"), make(&mut request));
        for offset in [0, 4, 8, 12, 16] {
            value_at(format_args!("offline.range.{name}.{offset}"), status.get_u32(offset).into());
        }
    }
}
