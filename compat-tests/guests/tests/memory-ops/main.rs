//! Giving memory back and getting it again: counts, M2P, partial success, and the machine's map.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::{call2, call4, mmuext, update_va_mapping};
use compat_guests::memory::{self, DATA, INVLPG, READ_ONLY, entry, entry_address, mfn_of, page, pfn_of, read, write};
use compat_guests::number::{self, DOMID_IO, DOMID_SELF, DOMID_XEN, memory as op};
use compat_guests::report::{check, result, value_at};
use compat_guests::start;

compat_guests::guest!(main);

fn main() {
    sizes();
    balloon();
    batches();
    orders();
    exchange();
    machine_map();
    machine_to_physical();
}

fn reservation(command: u64, extents: u64, count: u64, order: u32, domain: u16) -> i64 {
    let mut argument = Buffer::<32>::new().u64(0, extents).u64(8, count).u32(16, order).u16(24, domain);
    call2(number::MEMORY_OP, command, argument.address())
}

fn sized(command: u64) -> i64 {
    let mut argument = Buffer::<8>::new().u16(0, DOMID_SELF as u16);
    call2(number::MEMORY_OP, command, argument.address())
}

fn sizes() {
    check(
        "current",
        (sized(op::CURRENT_RESERVATION) == start::nr_pages() as i64).into(),
        format_args!("{}", sized(op::CURRENT_RESERVATION)),
    );
    result(format_args!("maximum"), sized(op::MAXIMUM_RESERVATION).min(1));
    check(
        "ram-page",
        (call2(number::MEMORY_OP, op::MAXIMUM_RAM_PAGE, 0) > 0x1_0000).into(),
        format_args!("{:x}", call2(number::MEMORY_OP, op::MAXIMUM_RAM_PAGE, 0)),
    );
}

/// One page away and back: mapped, unmapped, and with the pfn kept.
fn balloon() {
    let mapped = page();
    let pfn = memory::pfn_of(mfn_of(mapped));
    let before = sized(op::CURRENT_RESERVATION);
    let frame = mfn_of(mapped);
    result(
        format_args!("decrease.mapped"),
        reservation(op::DECREASE_RESERVATION, &raw const frame as u64, 1, 0, DOMID_SELF as u16),
    );
    result(format_args!("decrease.mapped.difference"), before - sized(op::CURRENT_RESERVATION));
    result(
        format_args!("decrease.again"),
        reservation(op::DECREASE_RESERVATION, &raw const frame as u64, 1, 0, DOMID_SELF as u16),
    );
    result(format_args!("decrease.unmap"), update_va_mapping(mapped, 0, INVLPG));
    result(format_args!("decrease.unmapped.difference"), before - sized(op::CURRENT_RESERVATION));
    let extent = pfn;
    result(
        format_args!("populate"),
        reservation(op::POPULATE_PHYSMAP, &raw const extent as u64, 1, 0, DOMID_SELF as u16),
    );
    // SAFETY: the call replaced the pfn by the frame it gave.
    let given = unsafe { core::ptr::read_volatile(&extent) };
    value_at(format_args!("populate.m2p"), memory::pfn_of(given) ^ pfn);
    result(format_args!("populate.map"), update_va_mapping(mapped, entry(given, DATA), INVLPG));
    let dirty = (0..512).filter(|word| read(mapped + word * 8) != 0).count();
    check("scrubbed", (dirty == 0).into(), format_args!("{dirty} words"));
    result(format_args!("populate.difference"), before - sized(op::CURRENT_RESERVATION));
    for (label, frame) in [
        ("zero", 0u64),
        ("rom", 0xf0),
        ("shared", start::info_u64(40) >> 12),
        ("none", 0xff_ffff_ffff),
        ("ones", u64::MAX),
    ] {
        result(
            format_args!("decrease.{label}"),
            reservation(op::DECREASE_RESERVATION, &raw const frame as u64, 1, 0, DOMID_SELF as u16),
        );
    }
    let table = memory::table(mapped, 1).expect("mapped").0;
    result(
        format_args!("decrease.table"),
        reservation(op::DECREASE_RESERVATION, &raw const table as u64, 1, 0, DOMID_SELF as u16),
    );
    result(format_args!("decrease.table.difference"), before - sized(op::CURRENT_RESERVATION));
}

/// Lists with a bad extent in the middle.
fn batches() {
    let pages: [u64; 8] = core::array::from_fn(|_| page());
    let mut frames = pages.map(mfn_of);
    let pfns = frames.map(memory::pfn_of);
    frames[5] = 0xff_ffff_ffff;
    for address in pages {
        update_va_mapping(address, 0, INVLPG);
    }
    let before = sized(op::CURRENT_RESERVATION);
    result(
        format_args!("batch.decrease"),
        reservation(op::DECREASE_RESERVATION, frames.as_ptr() as u64, 8, 0, DOMID_SELF as u16),
    );
    result(format_args!("batch.difference"), before - sized(op::CURRENT_RESERVATION));
    let mut extents = pfns;
    result(
        format_args!("batch.populate"),
        reservation(op::POPULATE_PHYSMAP, extents.as_mut_ptr() as u64, 5, 0, DOMID_SELF as u16),
    );
    result(format_args!("batch.populated"), before - sized(op::CURRENT_RESERVATION));
    let mut more = [0u64; 4];
    let gained = reservation(op::INCREASE_RESERVATION, more.as_mut_ptr() as u64, 4, 0, DOMID_SELF as u16);
    result(format_args!("batch.increase-beyond"), gained);
    result(format_args!("batch.increased"), before - sized(op::CURRENT_RESERVATION));
    if gained > 0 {
        result(
            format_args!("batch.give-back"),
            reservation(op::DECREASE_RESERVATION, more.as_ptr() as u64, gained as u64, 0, DOMID_SELF as u16),
        );
    }
    result(format_args!("batch.no-list"), reservation(op::INCREASE_RESERVATION, 0, 0, 0, DOMID_SELF as u16));
}

fn orders() {
    for order in [1u32, 9, 12, 13, 18, 20, 63] {
        let extent = 0x7000_0000u64;
        let before = sized(op::CURRENT_RESERVATION);
        result(
            format_args!("order{order}.populate"),
            reservation(op::POPULATE_PHYSMAP, &raw const extent as u64, 1, order, DOMID_SELF as u16),
        );
        result(format_args!("order{order}.difference"), sized(op::CURRENT_RESERVATION) - before);
    }
}

/// Two pages for one contiguous pair, and refusals.
fn exchange() {
    let pair = memory::pages(2);
    let mut input = [mfn_of(pair), mfn_of(pair + 4096)];
    let pfns = input.map(memory::pfn_of);
    for at in [0, 4096] {
        update_va_mapping(pair + at, 0, INVLPG);
    }
    let run = |label: &str,
               input: &mut [u64; 2],
               output: &mut [u64; 2],
               orders: (u32, u32),
               counts: (u64, u64),
               bits: u32,
               domain: u16| {
        let mut argument = Buffer::<72>::new()
            .u64(0, input.as_mut_ptr() as u64)
            .u64(8, counts.0)
            .u32(16, orders.0)
            .u16(24, domain)
            .u64(32, output.as_mut_ptr() as u64)
            .u64(40, counts.1)
            .u32(48, orders.1)
            .u32(52, bits)
            .u16(56, domain);
        result(format_args!("exchange.{label}"), call2(number::MEMORY_OP, op::EXCHANGE, argument.address()));
        value_at(format_args!("exchange.{label}.done"), argument.get_u64(64));
    };
    let own = DOMID_SELF as u16;
    let mut output = [pfns[0], 0];
    run("sizes", &mut input, &mut output, (0, 0), (2, 1), 0, own);
    run("order-too-big", &mut input, &mut output, (0, 40), (2, 1), 0, own);
    run("no-domain", &mut input, &mut output, (0, 1), (2, 1), 0, 1);
    let mut foreign = [0xff_ffff_ffff, 0xf0];
    run("foreign", &mut foreign, &mut output, (0, 1), (2, 1), 0, own);
    let before = sized(op::CURRENT_RESERVATION);
    run("pair", &mut input, &mut output, (0, 1), (2, 1), 32, own);
    // SAFETY: the call replaced the pfn by the first frame of the pair.
    let frame = unsafe { core::ptr::read_volatile(&output[0]) };
    check("exchange-below-4g", (frame < 1 << 20).into(), format_args!("{frame:x}"));
    value_at(format_args!("exchange.pair.aligned"), frame & 1);
    value_at(format_args!("exchange.pair.m2p"), memory::pfn_of(frame) ^ pfns[0]);
    value_at(format_args!("exchange.pair.m2p2"), memory::pfn_of(frame + 1) ^ (pfns[0] + 1));
    result(format_args!("exchange.pair.difference"), before - sized(op::CURRENT_RESERVATION));
    result(format_args!("exchange.pair.map"), update_va_mapping(pair, entry(frame, DATA), INVLPG));
    write(pair, 1);
    update_va_mapping(pair, 0, INVLPG);
    let mut single = [frame, 0];
    let mut outputs = [pfns[0], pfns[1]];
    run("split", &mut single, &mut outputs, (1, 0), (1, 2), 0, own);
}

/// The machine's map: a size first, then the entries' types.
fn machine_map() {
    let list = memory::pages(1);
    for (label, count, buffer) in
        [("none", 0u32, list), ("small", 1, list), ("null", 0, 0u64), ("null-many", 100, 0), ("enough", 128, list)]
    {
        let mut argument = Buffer::<16>::new().u32(0, count).u64(8, buffer);
        result(format_args!("map.{label}"), call2(number::MEMORY_OP, op::MACHINE_MEMORY_MAP, argument.address()));
        if label == "enough" {
            let entries = argument.get_u32(0);
            check("map-entries", (entries > 2).into(), format_args!("{entries}"));
            let mut last = 0;
            let mut sorted = true;
            for index in 0..u64::from(entries) {
                // 20-byte entries: base, size, type.
                let at = list + index * 20;
                // SAFETY: inside our page.
                let base = unsafe { core::ptr::read_unaligned(at as *const u64) };
                sorted &= base >= last;
                last = base;
            }
            check("map-sorted", sorted.into(), format_args!("{entries} entries"));
        }
    }
    let mut own = Buffer::<16>::new().u32(0, 8).u64(8, list);
    result(format_args!("map.own"), call2(number::MEMORY_OP, 9, own.address()));
}

fn machine_to_physical() {
    let mut mapping = Buffer::<24>::new();
    result(format_args!("m2p.mapping"), call2(number::MEMORY_OP, op::MACHPHYS_MAPPING, mapping.address()));
    value_at(format_args!("m2p.start"), mapping.get_u64(0));
    value_at(format_args!("m2p.end"), mapping.get_u64(8));
    let list = page();
    for count in [0u32, 1, 100] {
        let mut argument = Buffer::<24>::new().u32(0, count).u64(8, list);
        result(format_args!("m2p.list{count}"), call2(number::MEMORY_OP, op::MACHPHYS_MFN_LIST, argument.address()));
        value_at(format_args!("m2p.list{count}.filled"), argument.get_u32(16).into());
    }
    machine_to_physical_frames(list);
}

/// The table's frames are everybody's to read who controls domains, by their owner's name, and nobody's to write.
fn machine_to_physical_frames(list: u64) {
    let mut argument = Buffer::<24>::new().u32(0, 1).u64(8, list);
    result(format_args!("m2p.first"), call2(number::MEMORY_OP, op::MACHPHYS_MFN_LIST, argument.address()));
    let own = page();
    let place = 8 * mfn_of(own);
    let (frame, window) = (read(list) + place / 4096, page());
    for (rights, name) in [(READ_ONLY, "read"), (DATA, "write")] {
        for owner in [DOMID_SELF, DOMID_XEN, DOMID_IO] {
            let update = [entry_address(window, 1), entry(frame, rights)];
            let outcome = call4(number::MMU_UPDATE, update.as_ptr() as u64, 1, 0, owner);
            result(format_args!("m2p.map.{name}.{owner:x}"), outcome);
            if outcome == 0 {
                mmuext(number::mmuext::INVLPG_LOCAL, window, 0);
                value_at(format_args!("m2p.seen.{name}.{owner:x}"), read(window + place % 4096) ^ pfn_of(mfn_of(own)));
                let update = [entry_address(window, 1), 0];
                result(
                    format_args!("m2p.unmap.{name}.{owner:x}"),
                    call4(number::MMU_UPDATE, update.as_ptr() as u64, 1, 0, DOMID_SELF),
                );
                mmuext(number::mmuext::INVLPG_LOCAL, window, 0);
            }
        }
    }
}
