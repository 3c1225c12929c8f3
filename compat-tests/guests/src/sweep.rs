//! Making many calls with edge-case arguments and printing each result under a key made of number, command and label.

use core::fmt;

use crate::buffer::Buffer;
use crate::hypercall::call;
use crate::memory;
use crate::report;

/// Pointers that no call may follow: label and address.
pub fn bad_pointers() -> [(&'static str, u64); 6] {
    [
        ("null", 0),
        ("low", 0x1000),
        ("hole", 0x0000_8000_0000_0000),
        ("hypervisor", 0xffff_8300_0000_0000),
        ("m2p", 0xffff_8000_0000_0000),
        ("top", 0xffff_ffff_ffff_fff8),
    ]
}

/// A read-only page of ours: a call may read an argument there but not write it back.
pub fn read_only_page() -> u64 {
    let address = memory::page();
    memory::make_read_only(address);
    address
}

/// One call, its result printed.
pub fn one(label: fmt::Arguments<'_>, number: u64, arguments: [u64; 5]) -> i64 {
    let result = call(number, arguments);
    report::result(format_args!("{number}.{label}"), result);
    result
}

/// `(command, pointer)` calls: every bad pointer for every command.
pub fn bad_command_pointers(number: u64, commands: impl Iterator<Item = u64>) {
    for command in commands {
        for (label, address) in bad_pointers() {
            one(format_args!("{command}.{label}"), number, [command, address, 0, 0, 0]);
        }
    }
}

/// `(command, pointer)` calls on a buffer filled with one byte; with `Output::Show`, what the call wrote is printed too.
pub fn filled(number: u64, commands: impl Iterator<Item = u64>, byte: u8, output: Output) {
    for command in commands {
        let mut buffer = Buffer::<256>::filled(byte);
        one(format_args!("{command}.fill{byte:x}"), number, [command, buffer.address(), 0, 0, 0]);
        if output == Output::Show {
            show_changes(format_args!("{number}.{command}.fill{byte:x}"), &buffer, byte);
        }
    }
}

/// Whether a call's output belongs to the observation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Print what changed.
    Show,
    /// It differs from run to run.
    Hide,
}

fn show_changes(label: fmt::Arguments<'_>, buffer: &Buffer<256>, byte: u8) {
    let before = u64::from_le_bytes([byte; 8]);
    for offset in (0..256).step_by(8) {
        let word = buffer.get_u64(offset);
        if word != before {
            report::value_at(format_args!("{label}.at{offset}"), word);
        }
    }
}
