//! Grant tables of version 2, of a domain to itself: changes of version and what they keep, status words apart from the
//! entries, full-page and sub-page entries.
#![no_std]
#![no_main]

mod operations;

use compat_guests::hypercall::update_va_mapping;
use compat_guests::memory::{self, DATA, INVLPG, READ_ONLY, entry, mfn_of, page};
use compat_guests::report::{result, value_at};
use compat_guests::trap;

use operations::{
    ACCEPT_TRANSFER, DEVICE, ENTRY_READ_ONLY, Entry, HOST, MAP_READ_ONLY, PERMIT, SUB_PAGE, TRANSITIVE, Table, copy,
    map, set_version, setup, status_frames, swap, transfer, unmap,
};

compat_guests::guest!(main);

fn main() {
    without_version_two();
    let Some(table) = first_change() else { return };
    frames();
    maps(&table);
    bad_entries(&table);
    sub_pages(&table);
    swaps(&table);
    transfers(&table);
    in_use(&table);
    back_and_forth(&table);
    many(&table);
}

/// What a table of version 1 says to calls about version 2.
fn without_version_two() {
    for (label, count) in [("none", 0u32), ("one", 1)] {
        status_frames(format_args!("v1.status-frames.{label}"), 0x7ff0, count, page());
    }
    for version in [0u32, 3, u32::MAX, 1] {
        set_version(format_args!("v1.set{version:x}"), version);
    }
}

/// The first change to version 2, with entries in place that it keeps and others that it does not.
fn first_change() -> Option<Table> {
    let list = page();
    setup(format_args!("first.setup"), 1, list);
    let at = page();
    result(format_args!("first.map-table"), update_va_mapping(at, entry(memory::read(list), DATA), INVLPG));
    let lent = mfn_of(page());
    for (reference, word) in [
        (2u64, lent << 32 | u64::from(PERMIT)),
        (3, lent << 32 | u64::from(PERMIT | ENTRY_READ_ONLY) | 7 << 16),
        (4, 0x55 << 32 | u64::from(ACCEPT_TRANSFER)),
        (5, 0x66 << 32),
        (6, lent << 32 | u64::from(PERMIT) | 0xf8),
        (7, lent << 32 | u64::from(TRANSITIVE)),
        (8, lent << 32 | u64::from(PERMIT)),
        (400, lent << 32 | u64::from(PERMIT)),
    ] {
        memory::write(at + reference * 8, word);
    }
    set_version(format_args!("first.set2"), 2);
    set_version(format_args!("first.again"), 2);
    // Frames differ from run to run; what matters is whether it is the one that was lent.
    for reference in 0..10u64 {
        let word = memory::read(at + reference * 16);
        value_at(format_args!("first.entry{reference}"), word);
        let frame = memory::read(at + reference * 16 + 8);
        value_at(format_args!("first.entry{reference}.frame"), if frame == lent { 1 } else { frame });
    }
    let list = page();
    status_frames(format_args!("first.status"), 0x7ff0, 1, list);
    let status = page();
    let frame = memory::read(list);
    result(format_args!("first.status-read-only"), update_va_mapping(status, entry(frame, READ_ONLY), INVLPG));
    result(format_args!("first.status-writable"), update_va_mapping(status, entry(frame, DATA), INVLPG));
    for reference in (0..12u64).step_by(4) {
        value_at(format_args!("first.status{reference}"), memory::read(status + reference * 2));
    }
    Some(Table { entries: at, status })
}

/// Growth takes status frames along.
fn frames() {
    let list = page();
    for (label, domain, count, at) in [
        ("none", 0x7ff0u16, 0u32, list),
        ("one", 0x7ff0, 1, list),
        ("two", 0x7ff0, 2, list),
        ("nine", 0x7ff0, 9, list),
        ("no-domain", 1, 1, list),
        ("own", 0, 1, list),
        ("bad-list", 0x7ff0, 1, 0x8000_0000_0000),
        ("unmapped-list", 0x7ff0, 1, 0x1000),
        ("huge", 0x7ff0, u32::MAX, list),
    ] {
        status_frames(format_args!("frames.{label}"), domain, count, at);
    }
    for count in [4u32, 8, 9, 17, 65] {
        setup(format_args!("frames.setup{count}"), count, list);
        operations::query(format_args!("frames.query{count}"));
        for wanted in 1..=4 {
            status_frames(format_args!("frames.setup{count}.status{wanted}"), 0x7ff0, wanted, list);
        }
    }
}

/// Full-page entries: mapped, seen, busy by their status word, and free again.
fn maps(table: &Table) {
    let (shared, at, second) = (page(), page(), page());
    memory::write(shared, 0x1234);
    table.write(20, Entry::full(PERMIT, 0, mfn_of(shared)));
    table.show("map.before", 20);
    let (_, handle) = map(format_args!("map.good"), at, HOST, 20);
    table.show("map.mapped", 20);
    value_at(format_args!("map.sees"), memory::read(at));
    let (_, reader) = map(format_args!("map.reader"), second, HOST | MAP_READ_ONLY, 20);
    unmap(format_args!("map.unmap"), at, 0, handle);
    table.show("map.reading", 20);
    unmap(format_args!("map.unmap-reader"), second, 0, reader);
    table.show("map.after", 20);
    let (_, device) = map(format_args!("map.device"), 0, DEVICE, 20);
    table.show("map.device", 20);
    unmap(format_args!("map.unmap-device"), 0, mfn_of(shared) << 12, device);
    table.show("map.device-after", 20);

    table.write(21, Entry::full(PERMIT | ENTRY_READ_ONLY, 0, mfn_of(shared)));
    map(format_args!("read-only.writable"), at, HOST, 21);
    table.show("read-only.refused", 21);
    let (_, handle) = map(format_args!("read-only.map"), at, HOST | MAP_READ_ONLY, 21);
    table.show("read-only.mapped", 21);
    // The granter changes its mind: pins stand, further ones look at nothing but the writers' right.
    table.write(21, Entry::full(0, 0, mfn_of(shared)));
    let (code, other) = map(format_args!("revoked.reader"), second, HOST | MAP_READ_ONLY, 21);
    table.show("revoked", 21);
    if code == 0 {
        unmap(format_args!("revoked.unmap"), second, 0, other);
    }
    let (code, other) = map(format_args!("revoked.writer"), second, HOST, 21);
    table.show("revoked.writer", 21);
    if code == 0 {
        unmap(format_args!("revoked.unmap-writer"), second, 0, other);
    }
    unmap(format_args!("revoked.unmap-first"), at, 0, handle);
    table.show("revoked.after", 21);
}

/// Entries that lend nothing, or to somebody else, or what cannot be lent.
fn bad_entries(table: &Table) {
    let (shared, at) = (mfn_of(page()), page());
    for (label, made) in [
        ("free", Entry::full(0, 0, shared)),
        ("accept", Entry::full(ACCEPT_TRANSFER, 0, shared)),
        ("transitive", Entry::full(TRANSITIVE, 0, shared)),
        ("other", Entry::full(PERMIT, 5, shared)),
        ("self", Entry::full(PERMIT, 0x7ff0, shared)),
        ("used-bits", Entry::full(PERMIT | 0x18, 0, shared)),
        ("odd-flags", Entry::full(PERMIT | 0xe0, 0, shared)),
        ("high-flags", Entry::full(PERMIT | 0xfe00, 0, shared)),
        ("padding", Entry { flags: PERMIT, domain: 0, offset: 0xffff, length: 0xffff, frame: shared }),
        ("sub-page", Entry::part(0, shared, 0, 4096)),
        ("io-frame", Entry::full(PERMIT, 0, 0xf0)),
        ("zero-frame", Entry::full(PERMIT, 0, 0)),
        ("32-bits", Entry::full(PERMIT, 0, 0xffff_ffff)),
        ("high-frame", Entry::full(PERMIT, 0, shared | 1 << 32)),
        ("all-ones", Entry::full(PERMIT, 0, u64::MAX)),
        ("top-bit", Entry::full(PERMIT, 0, shared | 1 << 63)),
    ] {
        table.write(30, made);
        let (code, handle) = map(format_args!("bad.{label}"), at, HOST, 30);
        table.show_at(format_args!("bad.{label}"), 30);
        if code == 0 {
            unmap(format_args!("bad.{label}.unmap"), at, 0, handle);
        }
    }
    for reference in [255u32, 256, 4095, 4096, 4352, 100_000, u32::MAX] {
        map(format_args!("bad.reference{reference}"), at, HOST, reference);
    }
    // Stray status bits are the granter's own work; using the entry and letting it go clears them.
    table.write(31, Entry::full(PERMIT, 0, shared));
    table.write_status(31, 0xffff);
    let (_, handle) = map(format_args!("bad.status"), at, HOST | MAP_READ_ONLY, 31);
    table.show("bad.status", 31);
    unmap(format_args!("bad.status.unmap"), at, 0, handle);
    table.show("bad.status.after", 31);
    value_at(format_args!("bad.status.neighbours"), memory::read(table.status + 56) & 0x0000_ffff_ffff_ffff);
    table.write_status(31, 0);
}

/// Copies from and to parts of a page.
fn sub_pages(table: &Table) {
    let (source, target) = (page(), page());
    for offset in 0..512 {
        memory::write(source + offset * 8, 0x0101_0101_0101_0101 * (offset & 0xff));
    }
    table.write(40, Entry::part(ENTRY_READ_ONLY, mfn_of(source), 1024, 512));
    table.write(41, Entry::part(0, mfn_of(target), 2048, 1024));
    table.write(42, Entry::full(PERMIT, 0, mfn_of(target)));
    for (label, from, to, length) in [
        ("all", (40u64, 1024u16), (41u64, 2048u16), 512u16),
        ("inside", (40, 1100), (41, 2100), 100),
        ("before", (40, 1023), (41, 2048), 8),
        ("behind", (40, 1530), (41, 2048), 8),
        ("far-behind", (40, 1536), (41, 2048), 1),
        ("to-before", (40, 1024), (41, 2047), 8),
        ("to-behind", (40, 1024), (41, 3070), 8),
        ("none", (40, 1024), (41, 2048), 0),
        ("none-before", (40, 0), (41, 2048), 0),
        ("none-behind", (40, 4096), (41, 2048), 0),
        ("to-full", (40, 1024), (42, 0), 512),
        ("to-read-only", (42, 0), (40, 1024), 8),
        ("across-page", (40, 1024), (42, 4095), 2),
        ("before-across", (40, 0), (42, 4095), 2),
    ] {
        copy(format_args!("part.{label}"), from, to, length);
    }
    value_at(format_args!("part.arrived"), memory::read(target + 2048));
    table.show("part.source", 40);
    table.show("part.target", 41);
    for (label, made) in [
        ("beyond", Entry::part(0, mfn_of(source), 4000, 200)),
        ("outside", Entry::part(0, mfn_of(source), 5000, 10)),
        ("longest", Entry::part(0, mfn_of(source), 0xffff, 0xffff)),
        ("whole", Entry::part(0, mfn_of(source), 0, 4096)),
        ("empty", Entry::part(0, mfn_of(source), 0, 0)),
        ("transitive", Entry { flags: TRANSITIVE, domain: 0, offset: 0, length: 0, frame: 42 }),
        ("transitive-part", Entry { flags: TRANSITIVE | SUB_PAGE, domain: 0, offset: 0, length: 0, frame: 42 }),
        ("other", Entry { domain: 5, ..Entry::part(0, mfn_of(source), 0, 4096) }),
        ("free-part", Entry { flags: SUB_PAGE, ..Entry::part(0, mfn_of(source), 0, 4096) }),
        ("no-frame", Entry::part(0, u64::MAX, 0, 4096)),
    ] {
        table.write(43, made);
        for (offset, length) in [(0u16, 8u16), (4000, 96), (4000, 100), (4095, 1), (5000, 8), (0, 4096)] {
            copy(format_args!("shape.{label}.{offset}.{length}"), (43, offset), (42, 0), length);
        }
        table.show_at(format_args!("shape.{label}"), 43);
    }
}

fn swaps(table: &Table) {
    table.write(50, Entry::full(PERMIT, 0, 0x111));
    table.write(51, Entry::part(ENTRY_READ_ONLY, 0x222, 12, 34));
    table.write_status(50, 0x40);
    for (first, second) in [(50u32, 51u32), (50, 50), (50, 100_000), (u32::MAX, 50)] {
        swap(first, second);
        for reference in [50, 51] {
            table.show_at(format_args!("swap.{first}.{second}.{reference}"), reference);
            value_at(
                format_args!("swap.{first}.{second}.{reference}.frame"),
                memory::read(table.entries + reference * 16 + 8),
            );
        }
    }
    table.write_status(50, 0);
    table.write_status(51, 0);
    let at = page();
    table.write(52, Entry::full(PERMIT, 0, mfn_of(page())));
    let (_, handle) = map(format_args!("swap.map"), at, HOST, 52);
    swap(52, 50);
    unmap(format_args!("swap.unmap"), at, 0, handle);
}

/// A frame given away and taken by the same domain.
fn transfers(table: &Table) {
    let given = page();
    let (frame, number) = (mfn_of(given), memory::pfn_of(mfn_of(given)));
    for (label, made) in [
        ("free", Entry::full(0, 0, number)),
        ("access", Entry::full(PERMIT, 0, number)),
        ("other", Entry::full(ACCEPT_TRANSFER, 9, number)),
    ] {
        table.write(60, made);
        // Mapped still, so it cannot be given.
        transfer(format_args!("transfer.{label}"), frame, 60);
        table.show_at(format_args!("transfer.{label}"), 60);
    }
    result(format_args!("transfer.unmapped"), update_va_mapping(given, 0, INVLPG));
    table.write(60, Entry::full(ACCEPT_TRANSFER, 0, number));
    transfer(format_args!("transfer.good"), frame, 60);
    table.show("transfer.good", 60);
    let arrived = memory::read(table.entries + 60 * 16 + 8);
    value_at(format_args!("transfer.frame"), (arrived == frame).into());
}

/// Whether a version can be changed while entries are in use, or the status frame is mapped.
fn in_use(table: &Table) {
    let (shared, at) = (page(), page());
    set_version(format_args!("use.unfit"), 1);
    table.write(9, Entry::full(PERMIT, 0, mfn_of(shared)));
    let (_, busy) = map(format_args!("use.map-unfit"), at, HOST, 9);
    set_version(format_args!("use.unfit-busy"), 1);
    unmap(format_args!("use.unmap-unfit"), at, 0, busy);
    // What the first change brought along cannot all go back.
    for reference in 0..8 {
        table.write(reference, Entry::full(0, 0, 0));
        table.write_status(reference, 0);
    }
    table.write(5, Entry::full(PERMIT, 0, mfn_of(shared)));
    let (_, busy) = map(format_args!("use.map9"), at, HOST, 9);
    set_version(format_args!("use.busy"), 1);
    set_version(format_args!("use.busy-same"), 2);
    table.show("use.busy", 9);
    unmap(format_args!("use.unmap9"), at, 0, busy);

    let (_, kept) = map(format_args!("use.map5"), at, HOST, 5);
    set_version(format_args!("use.reserved-mapped"), 1);
    update_va_mapping(table.status, 0, INVLPG);
    set_version(format_args!("use.reserved"), 1);
    operations::get_version(format_args!("use.reserved.version"));
    value_at(format_args!("use.reserved.entry-v1"), memory::read(table.entries + 40) & 0xffff_ffff);
    value_at(format_args!("use.reserved.entry-v2"), memory::read(table.entries + 80) & 0xffff_ffff);
    let second = page();
    let (_, more) = map(format_args!("use.map5-v1"), second, HOST | MAP_READ_ONLY, 5);
    unmap(format_args!("use.unmap5-v1"), second, 0, more);
    value_at(format_args!("use.reserved.after-v1"), memory::read(table.entries + 40) & 0xffff_ffff);
    set_version(format_args!("use.reserved-back"), 2);
    table.map_status();
    table.show("use.reserved-back", 5);
    unmap(format_args!("use.unmap5"), at, 0, kept);
    table.show("use.reserved-after", 5);
    value_at(format_args!("use.sees"), memory::read(shared));
}

/// To version 1 and back with all kinds of reserved entries, the status frame unmapped first.
fn back_and_forth(table: &Table) {
    let shared = mfn_of(page());
    let status = table.status;
    for (label, made) in [
        ("full", Entry::full(PERMIT, 0, shared)),
        ("read-only", Entry::full(PERMIT | ENTRY_READ_ONLY, 3, shared)),
        ("part", Entry::part(0, shared, 8, 16)),
        ("accept", Entry::full(ACCEPT_TRANSFER, 0, shared)),
        ("transitive", Entry::full(TRANSITIVE, 0, shared)),
        ("free", Entry::full(0, 7, shared)),
        ("odd", Entry::full(PERMIT | 0xfee0, 0, shared)),
        ("used", Entry::full(PERMIT | 0x18, 0, shared)),
        ("high", Entry::full(PERMIT, 0, 1 << 32)),
        ("high-accept", Entry::full(ACCEPT_TRANSFER, 0, 1 << 32)),
        ("high-free", Entry::full(0, 0, 1 << 32)),
    ] {
        table.write(6, made);
        table.write(12, Entry::full(PERMIT, 0, shared));
        for (how, flags) in [("mapped", DATA), ("unmapped", 0)] {
            let frame = memory::frame_in(memory::l1_entry(status));
            update_va_mapping(status, if flags == 0 { 0 } else { entry(frame, flags) }, INVLPG);
            set_version(format_args!("back.{label}.{how}.set1"), 1);
            operations::get_version(format_args!("back.{label}.{how}.version"));
            let word = memory::read(table.entries + 6 * 8);
            value_at(format_args!("back.{label}.{how}.entry"), word & 0xffff_ffff);
            value_at(format_args!("back.{label}.{how}.frame"), (word >> 32 == shared & 0xffff_ffff).into());
            value_at(format_args!("back.{label}.{how}.entry12"), memory::read(table.entries + 12 * 8) & 0xffff_ffff);
            status_frames(format_args!("back.{label}.{how}.status"), 0x7ff0, 1, page());
            set_version(format_args!("back.{label}.{how}.set2"), 2);
            value_at(format_args!("back.{label}.{how}.again"), memory::read(table.entries + 6 * 16));
            // Whatever became of the old one, this is the status frame now.
            table.map_status();
            table.show_at(format_args!("back.{label}.{how}"), 6);
            table.write(6, made);
            table.write_status(6, 0);
            table.write(12, Entry::full(PERMIT, 0, shared));
        }
    }
    // Use bits of the granter's own making, and a status frame that grew with the table.
    for uses in [0x08u64, 0x10, 0x18, 0xffe0] {
        table.write(6, Entry::full(PERMIT, 0, shared));
        table.write_status(6, uses);
        update_va_mapping(status, 0, INVLPG);
        set_version(format_args!("back.uses{uses:x}.set1"), 1);
        value_at(format_args!("back.uses{uses:x}.entry"), memory::read(table.entries + 6 * 8) & 0xffff_ffff);
        setup(format_args!("back.uses{uses:x}.setup"), 33, page());
        set_version(format_args!("back.uses{uses:x}.set2"), 2);
        status_frames(format_args!("back.uses{uses:x}.status"), 0x7ff0, 5, page());
        table.map_status();
        table.show_at(format_args!("back.uses{uses:x}"), 6);
        table.write_status(6, 0);
    }
    let read = trap::try_read(status).is_ok();
    value_at(format_args!("back.readable"), read.into());
}

/// Many uses of one entry, read-only and writable ones mixed.
fn many(table: &Table) {
    let shared = page();
    table.write(70, Entry::full(PERMIT, 0, mfn_of(shared)));
    let first = memory::pages(40);
    let mut handles = [0u32; 40];
    for (index, handle) in handles.iter_mut().enumerate() {
        let flags = if index % 3 == 0 { HOST } else { HOST | MAP_READ_ONLY };
        let at = first + index as u64 * memory::PAGE;
        *handle = map(format_args!("many.{index}"), at, flags, 70).1;
    }
    table.show("many.mapped", 70);
    for (index, &handle) in handles.iter().enumerate() {
        unmap(format_args!("many.{index}.unmap"), first + index as u64 * memory::PAGE, 0, handle);
        table.show_at(format_args!("many.{index}"), 70);
    }
}
