//! XENPF_add_memtype, del_memtype, read_memtype. Source: public header `platform.h`.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::call1;
use compat_guests::number;
use compat_guests::report::{result, value_at};

compat_guests::guest!(main);

const VERSION: u32 = 0x0300_0001;
const ADD: u32 = 31;
const REMOVE: u32 = 32;
const READ: u32 = 33;
/// Frames of a range above all memory of the machine.
const FREE: u64 = 0x10_0000_0000 >> 12;

fn main() {
    registers("start");
    add("one-mebibyte", FREE, 256, 0);
    registers("added");
    add("same-again", FREE, 256, 0);
    add("same-other-type", FREE, 256, 1);
    add("inside-same-type", FREE + 16, 16, 0);
    add("inside-other-type", FREE + 16, 16, 1);
    add("around-same-type", FREE, 512, 0);
    add("around-other-type", FREE, 512, 6);
    for kind in 0..9 {
        add_at(format_args!("type{kind}"), FREE + 0x10_0000 + u64::from(kind) * 0x1000, 256, kind);
    }
    registers("types");
    add("no-pages", FREE + 0x20_0000, 0, 0);
    add("odd-size", FREE + 0x20_0000, 3, 0);
    add("unaligned", FREE + 0x20_0001, 2, 0);
    add("one-page", FREE + 0x20_0000, 1, 0);
    add("too-high", 1 << 45, 256, 0);
    add("half-too-high", u64::MAX >> 12, 2, 0);
    add("low-fixed", 0xA0, 32, 0);
    add("low-start", 0, 16, 0);
    add("over-memory", 0x100, 256, 1);
    registers("more");
    for at in 0..4 {
        add_at(format_args!("fill{at}"), FREE + 0x40_0000 + at * 0x1000, 256, 1);
    }
    registers("full");
    for register in (0..9).chain([255, 0x7FFF_FFFF, 0x8000_0000, u32::MAX]) {
        remove("first", register, 0);
    }
    remove("handle", 0, 1);
    registers("removed-once");
    for register in 1..9 {
        remove("second", register, 0);
    }
    registers("removed-twice");
}

fn request(command: u32) -> Buffer<136> {
    Buffer::<136>::new().u32(0, command).u32(4, VERSION)
}

fn call(request: &mut Buffer<136>) -> i64 {
    call1(number::PLATFORM_OP, request.address())
}

fn add(label: &str, frame: u64, count: u64, kind: u32) {
    add_at(format_args!("{label}"), frame, count, kind);
}

fn add_at(label: core::fmt::Arguments<'_>, frame: u64, count: u64, kind: u32) {
    let mut request = request(ADD).u64(8, frame).u64(16, count).u32(24, kind).u32(28, 77).u32(32, 88);
    result(format_args!("add.{label}"), call(&mut request));
    value_at(format_args!("add.{label}.handle"), request.get_u32(28).into());
    value_at(format_args!("add.{label}.register"), request.get_u32(32).into());
}

fn remove(label: &str, register: u32, handle: u32) {
    let mut request = request(REMOVE).u32(8, handle).u32(12, register);
    result(format_args!("remove.{label}.{register:x}.{handle}"), call(&mut request));
}

/// What all registers say.
fn registers(label: &str) {
    for register in 0..10 {
        let mut request = request(READ).u32(8, register);
        result(format_args!("read.{label}.{register}"), call(&mut request));
        value_at(format_args!("read.{label}.{register}.frame"), request.get_u64(16));
        value_at(format_args!("read.{label}.{register}.count"), request.get_u64(24));
        value_at(format_args!("read.{label}.{register}.type"), request.get_u32(32).into());
    }
}
