//! resource_op of platform_op: of which model-specific registers dom0 may ask, what a refused one and one that faults
//! answer, and how a list of several ends. Source: public header `platform.h`.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::call1;
use compat_guests::number;
use compat_guests::report::{check, result, value_at};
use compat_guests::{memory, time};

compat_guests::guest!(main);

const VERSION: u32 = 0x0300_0001;
const RESOURCE_OP: u32 = 61;
const READ: u32 = 0;
const WRITE: u32 = 1;
const TSC: u64 = 0x10;
/// The features of this processor, which some Xens show dom0.
const ARCH_CAPABILITIES: u64 = 0x10a;
/// Switches of transactional memory off.
const TSX_CONTROL: u64 = 0x122;

/// One entry: command or result, padding, index, value.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Entry {
    command: u32,
    reserved: u32,
    index: u64,
    value: u64,
}

impl Entry {
    const fn new(command: u32, index: u64, value: u64) -> Self {
        Self { command, reserved: 0, index, value }
    }
}

/// Where registers are.
const RANGES: [(u64, u64); 7] = [
    (0, 0x1fff),
    (0x4b56_4d00, 0x4b56_4d0f),
    (0x4000_0000, 0x4000_01ff),
    (0x8086_8000, 0x8086_801f),
    (0xc000_0000, 0xc000_1fff),
    (0xc001_0000, 0xc001_1fff),
    (0xffff_fff0, 0xffff_ffff),
];
const ABSENT: u32 = 63;

fn main() {
    memory::shared_info();
    every_register();
    values();
    lists();
    arguments();
    system_time();
}

fn ask(count: u32, cpu: u32, entries: u64) -> i64 {
    let request = Buffer::<136>::new().u32(0, RESOURCE_OP).u32(4, VERSION);
    call1(number::PLATFORM_OP, request.u32(8, count).u32(12, cpu).u64(16, entries).address())
}

/// One entry on a CPU: the call's result and the entry's.
fn one(cpu: u32, entry: Entry) -> (i64, Entry) {
    let mut entries = [entry];
    let outcome = ask(1, cpu, entries.as_mut_ptr() as u64);
    // SAFETY: a plain copy of our own entry, which the hypervisor wrote behind the compiler's back.
    (outcome, unsafe { core::ptr::read_volatile(&entries[0]) })
}

/// Asked on a CPU that is not there, a register that would be tried is told from one that is refused. Those tried are
/// named, the others are counted by their error.
fn every_register() {
    for (word, command) in [("read", READ), ("write", WRITE)] {
        let (mut refused, mut odd) = (0, 0);
        for (first, last) in RANGES {
            for index in first..=last {
                let (outcome, entry) = one(ABSENT, Entry::new(command, index, 0));
                match (outcome, i64::from(entry.command as i32)) {
                    (0, number::EPERM) => refused += 1,
                    (number::ENODEV, _) => tried(word, Entry::new(command, index, 0)),
                    _ => odd += 1,
                }
            }
        }
        value_at(format_args!("{word}.refused"), refused);
        value_at(format_args!("{word}.odd"), odd);
    }
}

fn tried(word: &str, entry: Entry) {
    let (outcome, after) = one(0, entry);
    result(format_args!("{word}.{:x}", entry.index), outcome);
    if outcome == 0 {
        result(format_args!("{word}.{:x}.error", entry.index), i64::from(after.command as i32));
    }
}

/// What may be read says the same on each CPU.
fn values() {
    for index in [ARCH_CAPABILITIES, TSX_CONTROL, 0x10f, 0x123, 0x8b] {
        for cpu in 0..3 {
            let (outcome, entry) = one(cpu, Entry::new(READ, index, 0x55));
            result(format_args!("value.{index:x}.{cpu}"), outcome);
            result(format_args!("value.{index:x}.{cpu}.error"), i64::from(entry.command as i32));
            value_at(format_args!("value.{index:x}.{cpu}.value"), entry.value);
        }
    }
}

/// Lists end at the first entry that fails, and tell how many were done.
fn lists() {
    let tsc = Entry::new(READ, TSC, 0);
    let late = Entry { reserved: 1, ..tsc };
    for (label, list) in [
        ("fine", [tsc, tsc, tsc]),
        ("refused-first", [Entry::new(READ, 0x1b, 7), tsc, tsc]),
        ("refused", [tsc, Entry::new(READ, 0x1b, 7), tsc]),
        ("refused-last", [tsc, tsc, Entry::new(READ, 0x1b, 7)]),
        ("faults-first", [Entry::new(READ, TSX_CONTROL, 7), tsc, tsc]),
        ("faults", [tsc, Entry::new(READ, TSX_CONTROL, 7), tsc]),
        ("faults-last", [tsc, tsc, Entry::new(READ, TSX_CONTROL, 7)]),
        ("faults-refused", [Entry::new(READ, TSX_CONTROL, 7), Entry::new(READ, 0x1b, 7), tsc]),
        ("refused-faults", [Entry::new(READ, 0x1b, 7), Entry::new(READ, TSX_CONTROL, 7), tsc]),
        ("written", [tsc, Entry::new(WRITE, TSC, 7), tsc]),
        ("write-faults", [tsc, Entry::new(WRITE, TSX_CONTROL, 0), tsc]),
        ("write-ones", [Entry::new(WRITE, TSX_CONTROL, u64::MAX), tsc, tsc]),
        ("padding", [tsc, late, tsc]),
        ("padding-faults", [Entry { reserved: 1, ..Entry::new(READ, TSX_CONTROL, 7) }, tsc, tsc]),
        ("far", [tsc, Entry::new(READ, 1 << 32 | TSC, 7), tsc]),
        ("far-write", [tsc, Entry::new(WRITE, 1 << 32 | TSX_CONTROL, 7), tsc]),
        ("command", [tsc, Entry::new(2, TSC, 7), tsc]),
        ("command-far", [Entry::new(u32::MAX, 1 << 40, 7), tsc, tsc]),
        ("command-padding", [Entry { reserved: 1, ..Entry::new(2, TSC, 7) }, tsc, tsc]),
        ("padding-last", [tsc, tsc, late]),
        ("capabilities-tsc", [Entry::new(READ, ARCH_CAPABILITIES, 7), tsc, tsc]),
    ] {
        for count in 1..=3 {
            for cpu in [0, 1, ABSENT] {
                list_on(label, list, count, cpu);
            }
        }
    }
}

fn list_on(label: &str, mut list: [Entry; 3], count: u32, cpu: u32) {
    result(format_args!("list.{label}.{count}.{cpu}"), ask(count, cpu, list.as_mut_ptr() as u64));
    for position in 0..3 {
        // SAFETY: a plain copy of our own entry, which the hypervisor wrote behind the compiler's back.
        let entry = unsafe { core::ptr::read_volatile(&list[position]) };
        let at = format_args!("list.{label}.{count}.{cpu}.{position}");
        result(format_args!("{at}.error"), i64::from(entry.command as i32));
        // Time passes: only whether it was written.
        let shown = if entry.index == TSC && entry.value > 7 { 1 << 63 } else { entry.value };
        value_at(format_args!("{at}.value"), shown);
        value_at(format_args!("{at}.reserved"), entry.reserved.into());
    }
}

fn arguments() {
    for count in [0, 1, 3, 4, 32, 33, u32::MAX] {
        let fresh = |cpu, move_by: u64| {
            let mut list = [Entry::new(READ, TSC, 0); 4];
            ask(count, cpu, list.as_mut_ptr() as u64 + move_by)
        };
        for cpu in [0, 1, 2, 63, u32::MAX] {
            result(format_args!("arguments.{count:x}.{cpu:x}"), fresh(cpu, 0));
        }
        result(format_args!("arguments.{count:x}.odd"), fresh(0, 1));
        for (label, address) in [("null", 0), ("hypervisor", 0xffff_8000_0000_0000)] {
            result(format_args!("arguments.{count:x}.{label}"), ask(count, 0, address));
        }
        result(format_args!("arguments.{count:x}.both"), ask(count, 9, 0));
    }
}

const PAUSE: u64 = 50_000_000;

/// The TSC reads as nanoseconds, wherever they are counted from: of a pause they tell at least the half, and not ten
/// times as much. Xen's clocks on an emulator run apart, and so do those of two CPUs.
fn system_time() {
    for cpu in [0, 1, 0, 1] {
        let (first, before) = one(cpu, Entry::new(READ, TSC, 0));
        time::poll(&[], time::now() + PAUSE);
        let (second, after) = one(cpu, Entry::new(READ, TSC, 0));
        let passed = after.value.wrapping_sub(before.value);
        let as_time = (first, second) == (1, 1) && (PAUSE / 2..PAUSE * 10).contains(&passed);
        check("time-passes", as_time.into(), format_args!("CPU {cpu}: {passed}"));
    }
}
