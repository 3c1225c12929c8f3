//! mca: what a machine without errors answers. Source: public header `arch-x86/xen-mca.h`.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::call1;
use compat_guests::memory;
use compat_guests::report::{result, value_at};

compat_guests::guest!(main);

const MCA: u64 = 48;
const VERSION: u32 = 0x01EC_C003;

fn main() {
    memory::shared_info();
    call_with("version", &mut Buffer::<152>::new().u32(0, 1).u32(4, VERSION - 1));
    result(format_args!("no-pointer"), call1(MCA, 0));
    for command in [0, 7, 8, 100] {
        call_with("command", &mut request(command));
    }
    fetch();
    notify();
    processors();
    injection();
}

fn request(command: u32) -> Buffer<152> {
    Buffer::<152>::new().u32(0, command).u32(4, VERSION)
}

fn call_with(label: &str, request: &mut Buffer<152>) {
    let command = request.get_u32(0);
    result(format_args!("{label}.{command}"), call1(MCA, request.address()));
}

fn fetch() {
    let page = memory::page();
    for flags in 0..8u32 {
        for (label, id, data) in [("data", 0u64, page), ("null", 0, 0), ("id", 5, page)] {
            let mut request = request(1).u32(8, flags).u64(16, id).u64(24, data);
            result(format_args!("fetch.{flags}.{label}"), call1(MCA, request.address()));
            value_at(format_args!("fetch.{flags}.{label}.flags"), request.get_u32(8).into());
            value_at(format_args!("fetch.{flags}.{label}.id"), request.get_u64(16));
        }
    }
    for flags in [8u32, 0x10, 0x101] {
        let mut request = request(1).u32(8, flags).u64(24, page);
        result(format_args!("fetch.{flags}"), call1(MCA, request.address()));
        value_at(format_args!("fetch.{flags}.flags"), request.get_u32(8).into());
    }
}

fn notify() {
    for (domain, vcpu) in [(0u16, 0u16), (0, 9), (5, 0), (0x7ff0, 0)] {
        for flags in [0u32, 1, 2] {
            let mut request = request(2).u16(8, domain).u16(10, vcpu).u32(12, flags);
            result(format_args!("notify.{domain:x}.{vcpu}.{flags}"), call1(MCA, request.address()));
            value_at(format_args!("notify.{domain:x}.{vcpu}.{flags}.flags"), request.get_u32(12).into());
        }
    }
}

fn processors() {
    for room in [0u32, 1, 2, 3, 100, 0x8000_0000] {
        let mut asked = request(3).u32(8, room);
        result(format_args!("cpus.{room:x}.null"), call1(MCA, asked.address()));
        value_at(format_args!("cpus.{room:x}.null.count"), asked.get_u32(8).into());
    }
    let page = memory::page();
    // Less room than CPUs makes Xen 4.17 write beyond its own memory.
    for room in [0u32, 2, 3, 100, 0x8000_0000] {
        let mut asked = request(3).u32(8, room).u64(16, page);
        result(format_args!("cpus.{room:x}"), call1(MCA, asked.address()));
        value_at(format_args!("cpus.{room:x}.count"), asked.get_u32(8).into());
    }
    for word in 0..76u64 {
        // Feature words (16 to 19 of each 38) are what each hypervisor leaves on.
        if (16..20).contains(&(word % 38)) {
            continue;
        }
        value_at(format_args!("cpus.words.{word}"), memory::read(page + word * 8));
    }
    let mut asked = request(3).u32(8, 2).u64(16, 0x1000);
    result(format_args!("cpus.unmapped"), call1(MCA, asked.address()));
}

fn injection() {
    for (label, cpu, flags, count, register, value) in [
        ("nothing", 0u32, 0u32, 0u32, 0u64, 0u64),
        ("interposed-status", 0, 1, 1, 0x401, 0),
        ("interposed-other", 0, 1, 1, 0x10, 0),
        ("status", 0, 0, 1, 0x401, 0),
        ("control", 0, 0, 1, 0x400, 0),
        ("many", 0, 1, 9, 0x401, 0),
        ("far", 77, 1, 1, 0x401, 0),
        ("reserved", 0, 1 << 16, 1, 0x401, 0),
        ("address", 0, 3, 1, 0x402, 0x1000),
    ] {
        let mut request =
            request(4).u32(8, cpu).u32(12, flags).u32(16, count).u16(20, 0x7ff0).u64(24, register).u64(32, value);
        result(format_args!("inject.{label}"), call1(MCA, request.address()));
    }
    // An injected machine check ends the machine: only CPUs that are not there.
    result(format_args!("raise.far"), call1(MCA, request(5).u32(8, 77).address()));
    for (label, flags, bits) in [("none", 0u32, 0u32), ("type", 5, 1), ("far", 0, 1)] {
        let map = [0u64; 1];
        let mut request = request(6).u32(8, flags).u64(16, map.as_ptr() as u64).u32(24, bits);
        result(format_args!("raise2.{label}"), call1(MCA, request.address()));
    }
}
