//! sysctl: what the toolstack asks of the machine.
//!
//! Facts that differ from run to run (frequencies, free memory, idle times) are judged here; all others are compared.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::control::{make, sysctl};
use compat_guests::hypercall::call1;
use compat_guests::report::{result, value_at};
use compat_guests::{memory, number};

mod console;
mod domains;
mod machine;
mod offline;
mod policy;
mod power;

compat_guests::guest!(main);

fn main() {
    memory::shared_info();
    heads();
    console::all();
    machine::all();
    domains::all();
    policy::all();
    power::all();
    offline::all();
}

/// Versions, addresses and numbers.
fn heads() {
    result(format_args!("address.bad"), call1(number::SYSCTL, 0xffff_8000_0000_0000));
    result(format_args!("address.unmapped"), call1(number::SYSCTL, 0x1000));
    for version in [0u32, 1, 0x14, 0x17, 0x18, u32::MAX] {
        let mut request = sysctl(4).u32(4, version);
        result(format_args!("version.{version:x}"), make(&mut request));
    }
    for command in [0u32, 13, 24, 28, 30, 31, 32, 100, u32::MAX] {
        result(format_args!("command.{command}"), make(&mut sysctl(command)));
    }
    let mut scheduler = sysctl(4);
    result(format_args!("sched_id"), make(&mut scheduler));
    value_at(format_args!("sched_id.id"), scheduler.get_u32(8).into());
}

/// Prints what a call wrote into its structure, but for the byte ranges that are not comparable.
pub fn words(label: &str, request: &Buffer<136>, from: usize, to: usize) {
    for offset in (from..to).step_by(4) {
        value_at(format_args!("{label}.{:02x}", offset - 8), request.get_u32(offset).into());
    }
}
