//! Frame types: what the hypervisor refuses, entry by entry, and what it makes of the entries that it takes.
#![no_std]
#![no_main]

use compat_guests::hypercall::{self, mmu_update, mmuext, update_va_mapping};
use compat_guests::memory::{self, DATA, INVLPG, NX, P, READ_ONLY, RW, US, entry, mfn_of, page};
use compat_guests::number::{self, mmuext as ext};
use compat_guests::report::{result, value_at};
use compat_guests::{start, trap};

compat_guests::guest!(main);

/// Everything of an entry but its frame.
const FLAGS: u64 = !0x000f_ffff_ffff_f000;

fn main() {
    memory::shared_info();
    entry_flags();
    write_refusals();
    pinning();
    levels();
    upper_slots();
    linear();
    foreign();
    machine_to_physical();
    exclusive_types();
    clear_and_copy();
    writable_tables();
    user_tables();
    preserved_bits();
}

/// An empty page made into a read-only, unpinned frame that can become a table.
fn blank_table() -> (u64, u64) {
    let address = page();
    memory::make_read_only(address);
    (address, mfn_of(address))
}

/// Each single bit of an L1 entry on top of a good one: taken or not, and what it reads back as.
fn entry_flags() {
    let address = page();
    let mfn = mfn_of(address);
    for base in [DATA, READ_ONLY, P, P | RW] {
        for bit in (0..12).chain(52..64) {
            let outcome = update_va_mapping(address, entry(mfn, base) ^ 1 << bit, INVLPG);
            result(format_args!("l1.{base:x}.bit{bit}"), outcome);
            value_at(format_args!("l1.{base:x}.bit{bit}.reads"), memory::l1_entry(address) & FLAGS);
            memory::make_writable(address);
        }
    }
    for (label, frame) in [
        ("zero", 0u64),
        ("vga", 0xb8),
        ("rom", 0xf0),
        ("apic", 0xfee00),
        ("io-apic", 0xfec00),
        ("hole", 0xa_0000),
        ("far", 0xff_ffff_ffff),
        ("ones", 0xff_ffff_ffff),
    ] {
        for base in [DATA, READ_ONLY, DATA | 0x18, DATA | 0x10, DATA | 0x08] {
            let outcome = update_va_mapping(address, entry(frame, base), INVLPG);
            result(format_args!("io.{label}.{base:x}"), outcome);
            value_at(format_args!("io.{label}.{base:x}.reads"), memory::l1_entry(address) & FLAGS);
            memory::make_writable(address);
        }
    }
    for cache in [0x08u64, 0x10, 0x18, 0x80] {
        result(
            format_args!("shared.cache{cache:x}"),
            update_va_mapping(address, (start::info_u64(40) & !0xfff) | DATA | cache, INVLPG),
        );
        memory::make_writable(address);
    }
}

/// A writable mapping of a table or descriptor page, and a store to a table.
fn write_refusals() {
    let address = page();
    for level in 1..=4u32 {
        let (mfn, _) = memory::table(address, level).expect("mapped");
        result(format_args!("writable.l{level}"), update_va_mapping(page(), entry(mfn, DATA), INVLPG));
        result(format_args!("readable.l{level}"), update_va_mapping(page(), entry(mfn, READ_ONLY), INVLPG));
    }
    let written = trap::try_write(start::pt_base(), 0);
    value_at(format_args!("store.l4"), written.err().map_or(0, |caught| caught.vector << 8 | caught.error));
}

fn pinning() {
    let (address, mfn) = blank_table();
    for command in [ext::PIN_L1, ext::PIN_L2, ext::PIN_L3, ext::PIN_L4] {
        let writable = page();
        result(format_args!("pin{command}.writable"), mmuext(command, mfn_of(writable), 0));
        result(format_args!("pin{command}.first"), mmuext(command, mfn, 0));
        result(format_args!("pin{command}.again"), mmuext(command, mfn, 0));
        for other in [ext::PIN_L1, ext::PIN_L2, ext::PIN_L3, ext::PIN_L4] {
            result(format_args!("pin{command}.as{other}"), mmuext(other, mfn, 0));
        }
        result(format_args!("pin{command}.map-writable"), memory::make_writable(address));
        result(format_args!("pin{command}.unpin"), mmuext(ext::UNPIN, mfn, 0));
        result(format_args!("pin{command}.unpin-again"), mmuext(ext::UNPIN, mfn, 0));
        result(format_args!("pin{command}.writable-after"), memory::make_writable(address));
        result(format_args!("pin{command}.read-only-after"), memory::make_read_only(address));
    }
    result(format_args!("unpin.data"), mmuext(ext::UNPIN, mfn_of(page()), 0));
    result(format_args!("unpin.base"), mmuext(ext::UNPIN, mfn_of(start::pt_base()), 0));
    result(format_args!("pin.base"), mmuext(ext::PIN_L4, mfn_of(start::pt_base()), 0));
    result(format_args!("base.not-table"), mmuext(ext::NEW_BASEPTR, mfn_of(page()), 0));
    result(format_args!("base.l3"), mmuext(ext::NEW_BASEPTR, memory::table(address, 3).expect("mapped").0, 0));
    result(format_args!("base.same"), memory::reload_base());
}

/// Tables with one entry each: right level, wrong level, superpage, bad bits.
fn levels() {
    for level in 1..=4u64 {
        for (label, child) in children() {
            for flags in [P | US, DATA, DATA | 0x80, DATA | 0x100, DATA | NX, DATA | 1 << 52, DATA | 0x10, DATA | 0x08]
            {
                let address = page();
                memory::write(address, entry(child, flags));
                memory::make_read_only(address);
                let mfn = mfn_of(address);
                let key = format_args!("table{level}.{label}.{flags:x}");
                let outcome = mmuext(level - 1, mfn, 0);
                result(key, outcome);
                if outcome == 0 {
                    value_at(format_args!("table{level}.{label}.{flags:x}.reads"), memory::read(address) & FLAGS);
                    mmuext(ext::UNPIN, mfn, 0);
                }
            }
        }
    }
}

fn children() -> [(&'static str, u64); 6] {
    let at = &raw const CHILD_ANCHOR as u64;
    let of = |level| memory::table(at, level).map_or(0, |(mfn, _)| mfn);
    [("data", mfn_of(at)), ("l1", of(1)), ("l2", of(2)), ("l3", of(3)), ("l4", of(4)), ("rom", 0xf0)]
}

static CHILD_ANCHOR: u64 = 1;

/// Every slot of an L4 from 255 to 273 by mmu_update, and what a fresh L4 shows there.
fn upper_slots() {
    let base = mfn_of(start::pt_base());
    let child = memory::table(&raw const CHILD_ANCHOR as u64, 3).expect("mapped").0;
    for slot in [0u64, 1, 254, 255, 256, 257, 258, 260, 270, 271, 272, 273, 510] {
        let before = memory::read(start::pt_base() + slot * 8);
        result(format_args!("l4.slot{slot}"), mmu_update(base * 4096 + slot * 8, entry(child, DATA)));
        value_at(
            format_args!("l4.slot{slot}.reads"),
            memory::read(start::pt_base() + slot * 8) & FLAGS & mask_of(slot),
        );
        result(format_args!("l4.slot{slot}.clear"), mmu_update(base * 4096 + slot * 8, before));
    }
    let address = page();
    for slot in 256..272 {
        memory::write(address + slot * 8, entry(child, DATA));
    }
    memory::make_read_only(address);
    result(format_args!("l4.reserved-filled"), mmuext(ext::PIN_L4, mfn_of(address), 0));
    value_at(format_args!("l4.reserved-filled.present256"), memory::read(address + 256 * 8) & P);
    result(format_args!("l4.reserved-filled.unpin"), mmuext(ext::UNPIN, mfn_of(address), 0));
}

/// What to show of an L4 slot: of the read-only M2P only that it is there, of the hypervisor's own nothing.
fn mask_of(slot: u64) -> u64 {
    match slot {
        256 => P,
        257..272 => 0,
        _ => !0,
    }
}

/// An L4 entry that leads to an L4, and lower levels likewise.
fn linear() {
    let base = mfn_of(start::pt_base());
    let at = |slot: u64| base * 4096 + slot * 8;
    result(format_args!("linear.writable"), mmu_update(at(5), entry(base, DATA)));
    result(format_args!("linear.read-only"), mmu_update(at(5), entry(base, P | US)));
    result(format_args!("linear.clear"), mmu_update(at(5), 0));
    let (_, other) = blank_table();
    result(format_args!("linear.other-pin"), mmuext(ext::PIN_L4, other, 0));
    result(format_args!("linear.other"), mmu_update(at(5), entry(other, P | US)));
    result(format_args!("linear.other-back"), mmu_update(other * 4096, entry(base, P | US)));
    result(format_args!("linear.other-clear"), mmu_update(at(5), 0));
    result(format_args!("linear.other-unpin"), mmuext(ext::UNPIN, other, 0));
}

/// Frames of other owners.
fn foreign() {
    let address = page();
    let target = memory::entry_address(address, 1);
    let shared = start::info_u64(40) >> 12;
    for domain in [0u64, 1, number::DOMID_SELF, number::DOMID_IO, number::DOMID_XEN] {
        for (label, frame) in [("own", mfn_of(page())), ("shared", shared), ("vga", 0xb8), ("zero", 0)] {
            let update = [target, entry(frame, READ_ONLY)];
            let outcome = hypercall::call4(number::MMU_UPDATE, update.as_ptr() as u64, 1, 0, domain);
            result(format_args!("foreign{domain:x}.{label}"), outcome);
            memory::make_writable(address);
        }
    }
}

/// MMU_MACHPHYS_UPDATE.
fn machine_to_physical() {
    let mfn = mfn_of(page());
    let pfn = memory::pfn_of(mfn);
    result(format_args!("m2p.set"), mmu_update((mfn * 4096) | 1, 0x1234_5678));
    value_at(format_args!("m2p.reads"), memory::pfn_of(mfn));
    result(format_args!("m2p.back"), mmu_update((mfn * 4096) | 1, pfn));
    let refused = [("zero", 0), ("vga", 0xf0), ("shared", start::info_u64(40) >> 12), ("beyond", 0xff_ffff_ffff)];
    for (label, frame) in refused {
        result(format_args!("m2p.bad.{label}"), mmu_update((frame << 12) | 1, 1));
    }
}

/// One type at a time: a descriptor page is no table and no writable page.
fn exclusive_types() {
    let (address, mfn) = blank_table();
    let frames = [mfn];
    result(format_args!("gdt.set"), hypercall::call2(number::SET_GDT, frames.as_ptr() as u64, 512));
    result(format_args!("gdt.writable"), memory::make_writable(address));
    result(format_args!("gdt.pin"), mmuext(ext::PIN_L1, mfn, 0));
    result(format_args!("gdt.clear"), hypercall::call2(number::SET_GDT, 0, 0));
    result(format_args!("gdt.writable-after"), memory::make_writable(address));
    memory::write(address, entry(mfn, DATA));
    memory::make_read_only(address);
    result(format_args!("self-map.writable"), mmuext(ext::PIN_L1, mfn, 0));
    memory::make_writable(address);
    memory::write(address, entry(mfn, READ_ONLY));
    memory::make_read_only(address);
    result(format_args!("self-map.read-only"), mmuext(ext::PIN_L1, mfn, 0));
    result(format_args!("self-map.unpin"), mmuext(ext::UNPIN, mfn, 0));
}

fn clear_and_copy() {
    let (source, target) = (page(), page());
    memory::write(source, 0x1111);
    memory::write(target, 0x2222);
    result(format_args!("copy"), mmuext(ext::COPY_PAGE, mfn_of(target), mfn_of(source)));
    value_at(format_args!("copy.reads"), memory::read(target));
    result(format_args!("clear"), mmuext(ext::CLEAR_PAGE, mfn_of(target), 0));
    value_at(format_args!("clear.reads"), memory::read(target));
    let table = memory::table(source, 1).expect("mapped").0;
    result(format_args!("clear.table"), mmuext(ext::CLEAR_PAGE, table, 0));
    result(format_args!("copy.to-table"), mmuext(ext::COPY_PAGE, table, mfn_of(source)));
    result(format_args!("copy.from-table"), mmuext(ext::COPY_PAGE, mfn_of(target), table));
    result(format_args!("copy.from-io"), mmuext(ext::COPY_PAGE, mfn_of(target), 0xb8));
}

/// Stores to an L1 table with and without the writable-page-tables assist.
fn writable_tables() {
    let mapped = page();
    let (_, table) = memory::table(mapped, 1).expect("mapped");
    let at = table + memory::index(mapped, 1) * 8;
    for assist in [0u64, 1, 0] {
        result(format_args!("assist{assist}"), hypercall::call2(number::VM_ASSIST, 1 - assist, 2));
        for (label, value) in
            [("same", memory::read(at)), ("read-only", memory::read(at) & !RW), ("clear", 0), ("bad", 1 << 12 | 0x81)]
        {
            let outcome = trap::try_write(at, value);
            value_at(
                format_args!("assist{assist}.{label}"),
                outcome.err().map_or(0, |caught| caught.vector << 8 | caught.error),
            );
            value_at(format_args!("assist{assist}.{label}.reads"), memory::read(at) & FLAGS);
            memory::make_writable(mapped);
        }
    }
    hypercall::call2(number::VM_ASSIST, 1, 2);
}

fn user_tables() {
    result(format_args!("user.none"), mmuext(ext::NEW_USER_BASEPTR, 0, 0));
    result(format_args!("user.data"), mmuext(ext::NEW_USER_BASEPTR, mfn_of(page()), 0));
    let (_, empty) = blank_table();
    result(format_args!("user.empty"), mmuext(ext::NEW_USER_BASEPTR, empty, 0));
    result(format_args!("user.same"), mmuext(ext::NEW_USER_BASEPTR, empty, 0));
    result(format_args!("user.kernel"), mmuext(ext::NEW_USER_BASEPTR, mfn_of(start::pt_base()), 0));
    result(format_args!("user.none-again"), mmuext(ext::NEW_USER_BASEPTR, 0, 0));
}

/// Command 2 keeps accessed and dirty; commands 0 and 3 do not.
fn preserved_bits() {
    let address = page();
    let target = memory::entry_address(address, 1);
    for command in [0u64, 2, 3] {
        memory::make_writable(address);
        memory::write(address, 1);
        let outcome = mmu_update(target | command, entry(mfn_of(address), P | RW | US));
        result(format_args!("preserve{command}"), outcome);
        value_at(format_args!("preserve{command}.reads"), memory::l1_entry(address) & FLAGS);
    }
}
