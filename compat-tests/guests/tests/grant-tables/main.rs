//! Grants of a domain to itself: what each operation answers and what it does to the entry and the mapping.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::{call3, update_va_mapping};
use compat_guests::memory::{self, DATA, INVLPG, entry, mfn_of, page};
use compat_guests::number;
use compat_guests::report::{result, value_at};

compat_guests::guest!(main);

const MAP: u64 = 0;
const UNMAP: u64 = 1;
const SETUP: u64 = 2;
const COPY: u64 = 5;
const QUERY: u64 = 6;
const REPLACE: u64 = 7;
const SET_VERSION: u64 = 8;
const GET_VERSION: u64 = 10;
const SWAP: u64 = 11;
const FLUSH: u64 = 12;
const SELF: u16 = number::DOMID_SELF as u16;

const DEVICE: u32 = 1;
const HOST: u32 = 2;
const READ_ONLY: u32 = 4;
const CONTAINS_PTE: u32 = 16;

const PERMIT: u16 = 1;
const ENTRY_READ_ONLY: u16 = 4;

fn main() {
    versions();
    let Some(table) = setup() else { return };
    maps(table);
    read_only(table);
    bad_maps(table);
    unmaps(table);
    pte_maps(table);
    replace(table);
    copies(table);
    swaps(table);
    flushes();
    many_handles(table);
}

fn operation<const N: usize>(command: u64, argument: &mut Buffer<N>) -> i64 {
    call3(number::GRANT_TABLE_OP, command, argument.address(), 1)
}

fn status(value: u16) -> u64 {
    u64::from(value)
}

fn versions() {
    for domain in [SELF, 0, 1, 0x7ff1] {
        let mut query = Buffer::<16>::new().u16(0, domain);
        result(format_args!("query.{domain:x}"), operation(QUERY, &mut query));
        value_at(format_args!("query.{domain:x}.frames"), query.get_u32(4).into());
        value_at(format_args!("query.{domain:x}.most"), query.get_u32(8).into());
        value_at(format_args!("query.{domain:x}.status"), status(query.get_u16(12)));
        let mut get = Buffer::<8>::new().u16(0, domain);
        result(format_args!("get-version.{domain:x}"), operation(GET_VERSION, &mut get));
        value_at(format_args!("get-version.{domain:x}.value"), get.get_u32(4).into());
    }
    // Version 2 is left out: whether it exists is a matter of configuration.
    for version in [0u32, 3, 1] {
        let mut set = Buffer::<4>::new().u32(0, version);
        result(format_args!("set-version{version}"), operation(SET_VERSION, &mut set));
        value_at(format_args!("set-version{version}.value"), set.get_u32(0).into());
    }
}

/// Sets the table up and maps its first frame.
fn setup() -> Option<u64> {
    let frames = page();
    for (label, domain, count, list) in [
        ("no-domain", 1u16, 1u32, frames),
        ("io", 0x7ff1, 1, frames),
        ("too-many", SELF, 65, frames),
        ("bad-list", SELF, 1, 0x8000_0000_0000),
        ("none", SELF, 0, frames),
        ("four", SELF, 4, frames),
        ("one", SELF, 1, frames),
    ] {
        let mut setup = Buffer::<24>::new().u16(0, domain).u32(4, count).u64(16, list);
        result(format_args!("setup.{label}"), operation(SETUP, &mut setup));
        value_at(format_args!("setup.{label}.status"), status(setup.get_u16(8)));
    }
    let mut setup = Buffer::<24>::new().u16(0, SELF).u32(4, 1).u64(16, frames);
    result(format_args!("setup.count2"), call3(number::GRANT_TABLE_OP, SETUP, setup.address(), 2));
    for flags in [DATA | 0x18, DATA] {
        let table = page();
        let mapped = update_va_mapping(table, entry(memory::read(frames), flags), INVLPG);
        result(format_args!("table.map{flags:x}"), mapped);
        if mapped == 0 {
            return Some(table);
        }
    }
    None
}

/// Makes entry `reference` grant a page to this domain.
fn grant(table: u64, reference: u64, mfn: u64, flags: u16) {
    memory::write(table + reference * 8, 0);
    memory::write(table + reference * 8, mfn << 32 | u64::from(flags));
}

fn entry_flags(table: u64, reference: u64) -> u64 {
    memory::read(table + reference * 8) & 0xffff
}

/// map_grant_ref: handle and status are printed; gives back (status, handle).
fn map(label: core::fmt::Arguments<'_>, address: u64, flags: u32, reference: u32, domain: u16) -> (u16, u32) {
    let mut argument = Buffer::<32>::new().u64(0, address).u32(8, flags).u32(12, reference).u16(16, domain);
    result(format_args!("{label}"), operation(MAP, &mut argument));
    value_at(format_args!("{label}.status"), status(argument.get_u16(18)));
    value_at(format_args!("{label}.handle"), argument.get_u32(20).into());
    (argument.get_u16(18), argument.get_u32(20))
}

fn unmap(label: core::fmt::Arguments<'_>, address: u64, bus: u64, handle: u32) {
    let mut argument = Buffer::<24>::new().u64(0, address).u64(8, bus).u32(16, handle);
    result(format_args!("{label}"), operation(UNMAP, &mut argument));
    value_at(format_args!("{label}.status"), status(argument.get_u16(20)));
}

/// A good life: grant, map, see the page, unmap, see it gone.
fn maps(table: u64) {
    let (shared, at) = (page(), page());
    memory::write(shared, 0x1234);
    grant(table, 9, mfn_of(shared), PERMIT);
    value_at(format_args!("map.before"), entry_flags(table, 9));
    let (_, handle) = map(format_args!("map.good"), at, HOST, 9, 0);
    value_at(format_args!("map.good.sees"), memory::read(at));
    value_at(format_args!("map.good.entry"), memory::l1_entry(at) & 0xfff0_0000_0000_0fff);
    value_at(format_args!("map.good.flags"), entry_flags(table, 9));
    memory::write(at, 0x5678);
    value_at(format_args!("map.good.shared"), memory::read(shared));
    let (_, second) = map(format_args!("map.second"), page(), HOST, 9, 0);
    unmap(format_args!("unmap.wrong-address"), page(), 0, handle);
    unmap(format_args!("unmap.wrong-handle"), at, 0, second);
    unmap(format_args!("unmap.good"), at, 0, handle);
    value_at(format_args!("unmap.good.entry"), memory::l1_entry(at));
    value_at(format_args!("unmap.good.flags"), entry_flags(table, 9));
    unmap(format_args!("unmap.again"), at, 0, handle);
    let (_, device) = map(format_args!("map.device"), 0, DEVICE, 9, 0);
    unmap(format_args!("unmap.device-as-host"), page(), 0, device);
    unmap(format_args!("unmap.device"), 0, mfn_of(shared) << 12, device);
}

fn read_only(table: u64) {
    let (shared, at) = (page(), page());
    memory::write(shared, 0x4321);
    grant(table, 10, mfn_of(shared), PERMIT | ENTRY_READ_ONLY);
    map(format_args!("read-only.writable"), at, HOST, 10, 0);
    let (_, handle) = map(format_args!("read-only.map"), at, HOST | READ_ONLY, 10, 0);
    value_at(format_args!("read-only.flags"), entry_flags(table, 10));
    value_at(format_args!("read-only.entry"), memory::l1_entry(at) & 0xfff0_0000_0000_0fff);
    let written = compat_guests::trap::try_write(at, 1);
    value_at(format_args!("read-only.write"), written.err().map_or(0, |caught| caught.vector << 8 | caught.error));
    unmap(format_args!("read-only.unmap"), at, 0, handle);
    value_at(format_args!("read-only.flags-after"), entry_flags(table, 10));
    let mine = memory::page();
    memory::make_read_only(mine);
    compat_guests::hypercall::mmuext(number::mmuext::PIN_L1, mfn_of(mine), 0);
    grant(table, 11, mfn_of(mine), PERMIT);
    map(format_args!("table-page.writable"), at, HOST, 11, 0);
    let (_, handle) = map(format_args!("table-page.read-only"), at, HOST | READ_ONLY, 11, 0);
    unmap(format_args!("table-page.unmap"), at, 0, handle);
}

fn bad_maps(table: u64) {
    let (shared, at) = (page(), page());
    grant(table, 12, mfn_of(shared), PERMIT);
    for (label, address, flags, reference, domain) in [
        ("no-flags", at, 0u32, 12u32, 0u16),
        ("no-domain", at, HOST, 12, 1),
        ("self", at, HOST, 12, SELF),
        ("io", at, HOST, 12, 0x7ff1),
        ("free-entry", at, HOST, 13, 0),
        ("reserved-entry", at, HOST, 0, 0),
        ("beyond-table", at, HOST, 512, 0),
        ("beyond-all", at, HOST, 0x10_0000, 0),
        ("largest", at, HOST, u32::MAX, 0),
        ("unmapped", 0x1000, HOST, 12, 0),
        ("misaligned", at + 4, HOST, 12, 0),
        ("hole", 0x8000_0000_0000, HOST, 12, 0),
        ("hypervisor", 0xffff_8300_0000_0000, HOST, 12, 0),
        ("application", at, HOST | 8, 12, 0),
        ("unknown-flag", at, HOST | 0x8000, 12, 0),
    ] {
        let (code, handle) = map(format_args!("bad.{label}"), address, flags, reference, domain);
        if code == 0 {
            unmap(format_args!("bad.{label}.unmap"), address, 0, handle);
        }
    }
    for (label, raw) in [("to-other", 5 << 16 | 1u64), ("accept-transfer", 2), ("type3", 3), ("odd-flags", 1 | 0xf0)] {
        memory::write(table + 14 * 8, mfn_of(shared) << 32 | raw);
        let (code, handle) = map(format_args!("entry.{label}"), at, HOST, 14, 0);
        value_at(format_args!("entry.{label}.flags"), entry_flags(table, 14));
        if code == 0 {
            unmap(format_args!("entry.{label}.unmap"), at, 0, handle);
        }
    }
    for (label, frame) in [("io-frame", 0xf0u64), ("zero-frame", 0), ("no-frame", 0xffff_ffff)] {
        grant(table, 15, frame, PERMIT);
        let (code, handle) = map(format_args!("entry.{label}"), at, HOST, 15, 0);
        if code == 0 {
            unmap(format_args!("entry.{label}.unmap"), at, 0, handle);
        }
    }
}

fn unmaps(_table: u64) {
    for handle in [0u32, 1, 1000, 0x7fff_ffff, u32::MAX] {
        unmap(format_args!("unmap.handle{handle:x}"), page(), 0, handle);
    }
}

/// The address is that of a page-table entry.
fn pte_maps(table: u64) {
    let (shared, at) = (page(), page());
    grant(table, 16, mfn_of(shared), PERMIT);
    let pte = memory::entry_address(at, 1);
    for (label, address) in [
        ("misaligned", pte + 4),
        ("not-table", mfn_of(page()) << 12),
        ("no-frame", 0xff_ffff_f000),
        ("l2", memory::entry_address(at, 2)),
    ] {
        map(format_args!("pte.{label}"), address, HOST | CONTAINS_PTE, 16, 0);
    }
    let (code, handle) = map(format_args!("pte.good"), pte, HOST | CONTAINS_PTE, 16, 0);
    if code == 0 {
        unmap(format_args!("pte.as-address"), at, 0, handle);
        unmap(format_args!("pte.unmap"), pte, 0, handle);
        value_at(format_args!("pte.after"), memory::l1_entry(at));
    }
}

fn replace(table: u64) {
    let (shared, at, new) = (page(), page(), page());
    memory::write(new, 0x77);
    grant(table, 17, mfn_of(shared), PERMIT);
    let (_, handle) = map(format_args!("replace.map"), at, HOST, 17, 0);
    for (label, host, source, handle) in [
        ("bad-handle", at, new, 5000u32),
        ("bad-new", at, 0x1000, handle),
        ("good", at, new, handle),
        ("again", at, new, handle),
    ] {
        let mut argument = Buffer::<24>::new().u64(0, host).u64(8, source).u32(16, handle);
        result(format_args!("replace.{label}"), operation(REPLACE, &mut argument));
        value_at(format_args!("replace.{label}.status"), status(argument.get_u16(20)));
    }
    value_at(format_args!("replace.sees"), compat_guests::trap::try_read(at).unwrap_or(u64::MAX));
    value_at(format_args!("replace.new-entry"), memory::l1_entry(new));
}

/// One end of a copy: a granted reference or a frame.
fn copies(table: u64) {
    let (source, target) = (page(), page());
    for offset in 0..512 {
        memory::write(source + offset * 8, 0x0101_0101_0101_0101 * (offset & 0xff));
    }
    grant(table, 18, mfn_of(source), PERMIT | ENTRY_READ_ONLY);
    grant(table, 19, mfn_of(target), PERMIT);
    grant(table, 20, mfn_of(target), PERMIT | ENTRY_READ_ONLY);
    let one = |label: &str, from: (u64, u16, u16), to: (u64, u16, u16), length: u16, flags: u16| {
        let mut argument = Buffer::<40>::new()
            .u64(0, from.0)
            .u16(8, from.1)
            .u16(10, from.2)
            .u64(16, to.0)
            .u16(24, to.1)
            .u16(26, to.2)
            .u16(32, length)
            .u16(34, flags);
        result(format_args!("copy.{label}"), operation(COPY, &mut argument));
        value_at(format_args!("copy.{label}.status"), status(argument.get_u16(36)));
    };
    let (from_frame, to_frame) = (mfn_of(source), mfn_of(target));
    one("frame-to-reference", (from_frame, SELF, 0), (19, 0, 0), 4096, 2);
    value_at(format_args!("copy.arrived"), memory::read(target + 8));
    one("reference-to-frame", (18, 0, 8), (to_frame, SELF, 0), 8, 1);
    value_at(format_args!("copy.arrived-offset"), memory::read(target));
    one("reference-to-reference", (18, 0, 0), (19, 0, 0), 64, 3);
    one("frame-to-frame", (from_frame, SELF, 0), (to_frame, SELF, 0), 64, 0);
    one("to-read-only", (from_frame, SELF, 0), (20, 0, 0), 64, 2);
    one("none", (18, 0, 0), (19, 0, 0), 0, 3);
    one("across-source", (18, 0, 4095), (19, 0, 0), 2, 3);
    one("across-target", (18, 0, 0), (19, 0, 4095), 2, 3);
    one("offset-beyond", (18, 0, 4096), (19, 0, 0), 1, 3);
    one("free-reference", (30, 0, 0), (19, 0, 0), 8, 3);
    one("beyond-table", (100_000, 0, 0), (19, 0, 0), 8, 3);
    one("no-domain", (18, 1, 0), (19, 0, 0), 8, 3);
    one("io-domain", (18, 0x7ff1, 0), (19, 0, 0), 8, 3);
    one("foreign-frame", (from_frame, 0, 0), (19, 0, 0), 8, 2);
    one("foreign-frame-other", (from_frame, 1, 0), (19, 0, 0), 8, 2);
    one("io-frame", (0xf0, SELF, 0), (19, 0, 0), 8, 2);
    one("no-frame", (0xff_ffff_ffff, SELF, 0), (19, 0, 0), 8, 2);
    one("to-table", (from_frame, SELF, 0), (memory::table(source, 1).expect("mapped").0, SELF, 0), 8, 0);
    one("unknown-flag", (18, 0, 0), (19, 0, 0), 8, 3 | 8);
    value_at(format_args!("copy.flags-source"), entry_flags(table, 18));
    value_at(format_args!("copy.flags-target"), entry_flags(table, 19));
}

fn swaps(table: u64) {
    grant(table, 21, 0x111, PERMIT);
    grant(table, 22, 0x222, PERMIT | ENTRY_READ_ONLY);
    for (first, second) in [(21u32, 22u32), (21, 21), (21, 100_000), (u32::MAX, 21)] {
        let mut argument = Buffer::<12>::new().u32(0, first).u32(4, second);
        result(format_args!("swap.{first}.{second}"), operation(SWAP, &mut argument));
        value_at(format_args!("swap.{first}.{second}.status"), status(argument.get_u16(8)));
        value_at(format_args!("swap.{first}.{second}.entry"), memory::read(table + 21 * 8));
    }
}

fn flushes() {
    let shared = page();
    for (label, address, offset, length, how) in [
        ("clean", mfn_of(shared) << 12, 0u16, 4096u16, 1u32),
        ("invalidate", mfn_of(shared) << 12, 0, 4096, 2),
        ("none", mfn_of(shared) << 12, 0, 0, 1),
        ("no-op", mfn_of(shared) << 12, 0, 64, 0),
        ("across", mfn_of(shared) << 12, 4000, 200, 1),
        ("bad-op", mfn_of(shared) << 12, 0, 64, 4),
        ("io", 0xf_0000, 0, 64, 1),
        ("no-frame", 0xff_ffff_ffff_f000, 0, 64, 1),
    ] {
        let mut argument = Buffer::<16>::new().u64(0, address).u16(8, offset).u16(10, length).u32(12, how);
        result(format_args!("flush.{label}"), operation(FLUSH, &mut argument));
    }
}

/// Many mappings of one entry: handles count up, come back, and the entry stays busy until the last is gone.
fn many_handles(table: u64) {
    let shared = page();
    grant(table, 23, mfn_of(shared), PERMIT);
    let first = memory::pages(64);
    let mut handles = [0u32; 64];
    for (index, handle) in handles.iter_mut().enumerate() {
        let mut argument = Buffer::<32>::new().u64(0, first + index as u64 * 4096).u32(8, HOST).u32(12, 23);
        operation(MAP, &mut argument);
        value_at(format_args!("many.{index}.status"), status(argument.get_u16(18)));
        *handle = argument.get_u32(20);
    }
    for (index, &handle) in handles.iter().enumerate() {
        let mut argument = Buffer::<24>::new().u64(0, first + index as u64 * 4096).u32(16, handle);
        operation(UNMAP, &mut argument);
        value_at(format_args!("many.{index}.unmap"), status(argument.get_u16(20)));
        if index == 62 {
            value_at(format_args!("many.flags-before-last"), entry_flags(table, 23));
        }
    }
    value_at(format_args!("many.flags"), entry_flags(table, 23));
}
