//! Comes to life: start_info, hypervisor version and features, a caught fault, the shared page.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::report::{check, value, value_at};
use compat_guests::{hypercall, memory, number, say, start, trap};

compat_guests::guest!(main);

fn main() {
    say!("smoke: command line \"{}\"", start::command_line());
    value("version", hypercall::call1(number::XEN_VERSION, 0) as u64);
    features();
    start_info();
    shared_page();
    faults();
}

fn features() {
    for submap in 0..2 {
        let mut argument = Buffer::<8>::new().u32(0, submap);
        let result = hypercall::call2(number::XEN_VERSION, 6, argument.address());
        value_at(format_args!("features.{submap}.result"), result as u64);
        value_at(format_args!("features.{submap}"), argument.get_u32(4).into());
    }
    let mut platform = Buffer::<8>::new();
    hypercall::call2(number::XEN_VERSION, 5, platform.address());
    value("platform_parameters", platform.get_u64(0));
    value("pagesize", hypercall::call2(number::XEN_VERSION, 7, 0) as u64);
}

fn start_info() {
    let magic = start::info_u64(0).to_le_bytes();
    check("magic", (&magic == b"xen-3.0-").into(), format_args!("{:?}", core::str::from_utf8(&magic)));
    value("flags", start::info_u64(48) & 0xff);
    value("store_mfn", start::info_u64(56));
    check("pages", (start::nr_pages() > 1000).into(), format_args!("{}", start::nr_pages()));
    let base = start::pt_base();
    let mfn = memory::mfn_of(base);
    check("m2p", (memory::virtual_of(mfn) == base).into(), format_args!("mfn {mfn:#x}"));
    value("selectors.cs", compat_guests::segment::selectors()[0]);
    value("selectors.ss", compat_guests::segment::selectors()[5]);
    value("entry.code", memory::l1_entry(main as *const () as u64) & 0xfff0_0000_0000_0fdf);
    value("entry.table", memory::l1_entry(base) & 0xfff0_0000_0000_0fdf);
    value("entry.l4", memory::read(base + 511 * 8) & 0xfff0_0000_0000_0fff);
}

fn shared_page() {
    let shared = memory::shared_info();
    value("mask.all", memory::read(shared) >> 8 & 0xff);
    value("entry.shared", memory::l1_entry(shared) & 0xfff0_0000_0000_0f9f);
    let time = compat_guests::time::record(shared + 32);
    check("time", (time[3] != 0 && time[2] != 0).into(), format_args!("{time:x?}"));
}

fn faults() {
    let caught = trap::try_read(0x1000);
    check("page-fault", matches!(caught, Err(found) if found.vector == 14).into(), format_args!("{caught:x?}"));
    let caught = trap::try_write(start::pt_base(), 0);
    check("table-write", matches!(caught, Err(found) if found.vector == 14).into(), format_args!("{caught:x?}"));
}
