//! Descriptors: every type through update_descriptor and set_gdt, LDT faults, selector loads, FS and GS bases.
#![no_std]
#![no_main]

use compat_guests::hypercall::{call2, mmuext};
use compat_guests::memory::{self, mfn_of, page, read, write};
use compat_guests::number::{self, mmuext as ext};
use compat_guests::report::{result, value_at};
use compat_guests::segment::{descriptor, selectors};
use compat_guests::trap::{self, Caught};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

compat_guests::guest!(main);

static VALUE: AtomicU64 = AtomicU64::new(0);

fn main() {
    memory::shared_info();
    let table = page();
    start_values();
    set_tables(table);
    descriptor_types(table);
    selector_loads(table);
    local_table();
    bases();
}

fn fault(caught: Option<Caught>) -> u64 {
    caught.map_or(0, |caught| 1 << 32 | caught.vector << 16 | caught.error & 0xffff)
}

fn update(table: u64, index: u64, value: u64) -> i64 {
    call2(number::UPDATE_DESCRIPTOR, mfn_of(table) * 4096 + index * 8, value)
}

fn start_values() {
    for (name, value) in ["cs", "ds", "es", "fs", "gs", "ss"].into_iter().zip(selectors()) {
        value_at(format_args!("start.{name}"), value & 0xffff);
    }
}

/// set_gdt with tables full of good and bad descriptors.
fn set_tables(table: u64) {
    for (label, value) in [
        ("empty", 0u64),
        ("code", descriptor(0, 0xf_ffff, 0x9b, 0xa)),
        ("data", descriptor(0, 0xf_ffff, 0x93, 0xc)),
        ("data-user", descriptor(0, 0xf_ffff, 0xf3, 0xc)),
        ("tss", descriptor(0, 0x67, 0x89, 0)),
        ("interrupt-gate", descriptor(0, 0x67, 0x8e, 0)),
        ("call-gate", descriptor(0x10_e033, 0, 0x8c, 0)),
        ("ldt", descriptor(0, 0x67, 0x82, 0)),
    ] {
        let fresh = page();
        write(fresh + 8, value);
        let frames = [mfn_of(fresh)];
        result(format_args!("gdt.{label}.writable"), call2(number::SET_GDT, frames.as_ptr() as u64, 512));
        value_at(format_args!("gdt.{label}.writable.reads"), read(fresh + 8));
        memory::make_read_only(fresh);
        result(format_args!("gdt.{label}"), call2(number::SET_GDT, frames.as_ptr() as u64, 512));
        value_at(format_args!("gdt.{label}.reads"), read(fresh + 8));
    }
    memory::make_read_only(table);
    let frames = [mfn_of(table), mfn_of(table)];
    for entries in [1u64, 2, 511, 512, 513, 1024] {
        result(format_args!("gdt.entries{entries}"), call2(number::SET_GDT, frames.as_ptr() as u64, entries));
    }
    result(format_args!("gdt.final"), call2(number::SET_GDT, frames.as_ptr() as u64, 512));
}

/// Every access byte, in 64-bit, 32-bit and 16-bit flavour: taken or not, and the bits afterwards.
fn descriptor_types(table: u64) {
    for access in 0..=255u8 {
        for flags in [0u8, 0xa, 0xc] {
            let value = descriptor(0, 0xf_ffff, access, flags);
            write_none(table, 2);
            result(format_args!("descriptor.{access:x}.{flags:x}"), update(table, 2, value));
            value_at(format_args!("descriptor.{access:x}.{flags:x}.reads"), read(table + 16));
        }
    }
    for selector in [0u32, 8, 0x1b, 0xe008, 0xe019, 0xe023, 0xe02b, 0xe033, 0xe039, 0xffff] {
        for access in [0x8cu8, 0xec, 0x84] {
            // A call gate's target selector lies where a segment has its low base bits.
            let value = (u64::from(access) << 40) | u64::from(selector) << 16 | 0x1000;
            write_none(table, 2);
            result(format_args!("gate.{selector:x}.{access:x}"), update(table, 2, value));
            value_at(format_args!("gate.{selector:x}.{access:x}.reads"), read(table + 16));
        }
    }
    write_none(table, 2);
}

fn write_none(table: u64, index: u64) {
    update(table, index, 0);
}

extern "C" fn load_ds(selector: u64) {
    // SAFETY: loads a data selector or faults and is caught; 64-bit code does not use ds.
    unsafe { asm!("mov ds, {0:e}", "mov {0:e}, ds", inout(reg) selector => _) };
}

extern "C" fn load_ss(selector: u64) {
    // SAFETY: as above; ss may be any writable selector in 64-bit mode.
    unsafe { asm!("mov {1:e}, ss", "mov ss, {0:e}", "mov ss, {1:e}", in(reg) selector, out(reg) _) };
}

extern "C" fn verify(selector: u64) {
    let (rights, limit): (u64, u64);
    // SAFETY: reads descriptors without loading them.
    unsafe {
        asm!("xor {1:e}, {1:e}", "xor {2:e}, {2:e}", "lar {1:e}, {0:e}", "lsl {2:e}, {0:e}", in(reg) selector, out(reg) rights, out(reg) limit)
    };
    VALUE.store(rights << 32 | limit, Ordering::SeqCst);
}

fn selector_loads(table: u64) {
    update(table, 3, descriptor(0, 0xf_ffff, 0xf3, 0xc));
    update(table, 4, descriptor(0, 0xf_ffff, 0xfb, 0xa));
    update(table, 5, descriptor(0x1000, 0x10, 0x73, 0x4));
    update(table, 6, descriptor(0x1000, 0x10, 0xf1, 0x4));
    for selector in [
        0u64, 1, 3, 0x18, 0x1b, 0x20, 0x23, 0x28, 0x2b, 0x33, 0x3b, 0xff8, 0x1003, 0xe000, 0xe008, 0xe010, 0xe018,
        0xe020, 0xe023, 0xe02b, 0xe033, 0xe03b, 0xe040, 0xe048, 0xffff,
    ] {
        value_at(format_args!("load.{selector:x}.ds"), fault(trap::catch(load_ds, selector)));
        trap::catch(load_ds, 0);
        value_at(format_args!("load.{selector:x}.ss"), fault(trap::catch(load_ss, selector)));
        VALUE.store(0, Ordering::SeqCst);
        value_at(format_args!("load.{selector:x}.verify-fault"), fault(trap::catch(verify, selector)));
        value_at(format_args!("load.{selector:x}.verify"), VALUE.load(Ordering::SeqCst));
    }
}

/// An LDT: mapped page by page on the first use, with the guest's page fault when that cannot be.
fn local_table() {
    let first = memory::pages(2);
    write(first + 8, descriptor(0, 0xf_ffff, 0xf3, 0xc));
    write(first + 4096 + 8, descriptor(0, 0x67, 0x89, 0));
    for at in [0u64, 4096] {
        memory::make_read_only(first + at);
    }
    result(format_args!("ldt.set"), mmuext(ext::SET_LDT, first, 1024));
    for selector in [0x7u64, 0xf, 0x17, 0x1007, 0x100f, 0x1fff, 0x2007] {
        value_at(format_args!("ldt.load.{selector:x}"), fault(trap::catch(load_ds, selector)));
        trap::catch(load_ds, 0);
    }
    result(format_args!("ldt.writable-while-used"), memory::make_writable(first));
    result(format_args!("ldt.writable-unused"), memory::make_writable(first + 4096));
    result(format_args!("ldt.reload"), memory::reload_base());
    result(format_args!("ldt.writable-after-reload"), memory::make_writable(first));
    memory::make_read_only(first);
    result(format_args!("ldt.unmapped"), mmuext(ext::SET_LDT, 0x1000, 512));
    if let Some(caught) = trap::catch(load_ds, 0xf) {
        value_at(format_args!("ldt.unmapped.vector"), caught.vector);
        value_at(format_args!("ldt.unmapped.error"), caught.error);
        value_at(format_args!("ldt.unmapped.cr2"), caught.cr2);
    }
    result(format_args!("ldt.writable"), memory::make_writable(first));
    result(format_args!("ldt.over-writable"), mmuext(ext::SET_LDT, first, 512));
    value_at(format_args!("ldt.over-writable.load"), fault(trap::catch(load_ds, 0xf)));
    result(format_args!("ldt.clear"), mmuext(ext::SET_LDT, 0, 0));
    value_at(format_args!("ldt.clear.load"), fault(trap::catch(load_ds, 0xf)));
}

/// Segment bases by call and by instruction.
fn bases() {
    let area = page();
    write(area, 0x1111_2222_3333_4444);
    result(format_args!("fs.set"), call2(number::SET_SEGMENT_BASE, 0, area));
    let value: u64;
    // SAFETY: fs points at our page.
    unsafe { asm!("mov {}, fs:[0]", out(reg) value) };
    value_at(format_args!("fs.reads"), value);
    result(format_args!("gs.set"), call2(number::SET_SEGMENT_BASE, 2, area));
    let value: u64;
    // SAFETY: gs points at our page.
    unsafe { asm!("mov {}, gs:[0]", out(reg) value) };
    value_at(format_args!("gs.reads"), value);
    for selector in [0u64, 0x1b, 0x23, 0x2b, 0xe02b, 0xe008, 0x1234, 0xffff] {
        result(format_args!("user-gs.{selector:x}"), call2(number::SET_SEGMENT_BASE, 3, selector));
    }
    let value: u64;
    // SAFETY: gs still points at our page.
    unsafe { asm!("mov {}, gs:[0]", out(reg) value) };
    value_at(format_args!("gs.kept"), value);
    let value: u64;
    // SAFETY: fs still points at our page, or the read faults and ends the guest.
    unsafe { asm!("mov {}, fs:[0]", out(reg) value) };
    value_at(format_args!("fs.kept"), value);
}
