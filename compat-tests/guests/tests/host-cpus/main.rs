//! Physical CPUs through platform_op and sysctl: facts, offline and online again, with vCPUs at work on them. Source:
//! public headers `platform.h`, `sysctl.h`.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::{call1, call2};
use compat_guests::number::{self, sched, vcpu};
use compat_guests::report::{check, result, value_at};
use compat_guests::{events, memory, smp, time};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

compat_guests::guest!(main);

const VERSION: u32 = 0x0300_0001;
const GET_VERSION: u32 = 48;
const GET_INFO: u32 = 55;
const ONLINE: u32 = 56;
const OFFLINE: u32 = 57;
const ADD_CPU: u32 = 58;
const ADD_MEMORY: u32 = 59;
const PARK: u32 = 60;
/// Of sysctl.
const HOTPLUG: u32 = 11;
const SYSCTL_VERSION: u32 = 0x15;
const VIRQ_PCPU_STATE: u32 = 9;
const SECOND: u64 = 1_000_000_000;

static TURNS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

fn main() {
    memory::shared_info();
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    let port = events::bind_virq(VIRQ_PCPU_STATE, 0).unwrap_or(0);
    events::mask(port);
    facts("start");
    for id in 1..4 {
        result(format_args!("vcpu.{id}"), smp::start(id, work, id));
    }
    turns("start");
    for (label, command, cpu) in [
        ("online-boot", ONLINE, 0),
        ("offline-boot", OFFLINE, 0),
        ("offline-absent", OFFLINE, 4),
        ("online-absent", ONLINE, 4),
        ("offline-far", OFFLINE, u32::MAX),
        ("online-already", ONLINE, 1),
        ("offline", OFFLINE, 1),
        ("offline-again", OFFLINE, 1),
        ("offline-second", OFFLINE, 3),
        ("offline-last", OFFLINE, 2),
    ] {
        change(label, command, cpu, port);
    }
    facts("one-left");
    turns("one-left");
    for cpu in [1, 2, 3] {
        change("online", ONLINE, cpu, port);
    }
    facts("back");
    turns("back");
    // Again and again, while everybody works.
    for round in 0..5 {
        for command in [OFFLINE, ONLINE] {
            let cpu = 1 + round % 3;
            let outcome = patiently(command, cpu);
            check("again", (outcome == 0).into(), format_args!("round {round} command {command}: {outcome}"));
        }
    }
    turns("again");
    by_sysctl();
    turns("sysctl");
    additions();
}

/// cpu_hotplug, which calls a change that nobody needs a mistake.
fn by_sysctl() {
    const ONLINE: u32 = 0;
    const OFFLINE: u32 = 1;
    for (round, (cpu, operation)) in [
        (1, ONLINE),
        (1, OFFLINE),
        (1, OFFLINE),
        (3, OFFLINE),
        (1, ONLINE),
        (1, ONLINE),
        (3, ONLINE),
        (0, OFFLINE),
        (4, ONLINE),
        (4, OFFLINE),
    ]
    .into_iter()
    .enumerate()
    {
        let ask = || {
            let mut request =
                Buffer::<136>::new().u32(0, HOTPLUG).u32(4, SYSCTL_VERSION).u32(8, cpu).u32(12, operation);
            call1(number::SYSCTL, request.address())
        };
        result(format_args!("sysctl.{round}.{cpu}.{operation}"), until_not_busy(ask));
        let mut info = request(GET_INFO).u32(8, cpu);
        call(&mut info);
        value_at(format_args!("sysctl.{round}.{cpu}.flags"), info.get_u32(16).into());
    }
}

extern "C" fn work(id: u64) -> ! {
    loop {
        TURNS[id as usize].fetch_add(1, SeqCst);
        if TURNS[id as usize].load(SeqCst).is_multiple_of(64) {
            call2(number::SCHED_OP, sched::YIELD, 0);
        }
    }
}

/// Every vCPU goes on, wherever it was.
fn turns(label: &str) {
    let before = [1, 2, 3].map(|id| TURNS[id].load(SeqCst));
    time::poll(&[], time::now() + SECOND / 2);
    for (id, before) in (1..4).zip(before) {
        check("vcpu-goes-on", (TURNS[id].load(SeqCst) > before).into(), format_args!("{label}: vCPU {id}"));
    }
}

fn request(command: u32) -> Buffer<136> {
    Buffer::<136>::new().u32(0, command).u32(4, VERSION)
}

fn call(request: &mut Buffer<136>) -> i64 {
    call1(number::PLATFORM_OP, request.address())
}

/// One that is busy with the last change is asked again.
fn patiently(command: u32, cpu: u32) -> i64 {
    until_not_busy(|| call(&mut request(command).u32(8, cpu)))
}

fn until_not_busy(ask: impl Fn() -> i64) -> i64 {
    for _ in 0..50 {
        let outcome = ask();
        if outcome != number::EBUSY {
            return outcome;
        }
        time::poll(&[], time::now() + SECOND / 50);
    }
    number::EBUSY
}

fn change(label: &str, command: u32, cpu: u32, port: u32) {
    events::clear_pending(port);
    result(format_args!("{label}.{cpu:x}"), patiently(command, cpu));
    time::poll(&[port], time::now() + SECOND / 5);
    value_at(format_args!("{label}.{cpu:x}.announced"), events::is_pending(port));
}

fn facts(label: &str) {
    for cpu in 0..5 {
        let mut info = request(GET_INFO).u32(8, cpu);
        result(format_args!("info.{label}.{cpu}"), call(&mut info));
        value_at(format_args!("info.{label}.{cpu}.highest"), info.get_u32(12).into());
        value_at(format_args!("info.{label}.{cpu}.flags"), info.get_u32(16).into());
        value_at(format_args!("info.{label}.{cpu}.apic"), info.get_u32(20).into());
        value_at(format_args!("info.{label}.{cpu}.acpi"), info.get_u32(24).into());
        let mut version = request(GET_VERSION).u32(8, cpu);
        result(format_args!("version.{label}.{cpu}"), call(&mut version));
        value_at(format_args!("version.{label}.{cpu}.highest"), version.get_u32(12).into());
        value_at(format_args!("version.{label}.{cpu}.family"), version.get_u32(28).into());
        value_at(format_args!("version.{label}.{cpu}.model"), version.get_u32(32).into());
        value_at(format_args!("version.{label}.{cpu}.stepping"), version.get_u32(36).into());
    }
}

/// Adding what is there already, or nowhere.
fn additions() {
    for (label, apic, acpi, domain) in [
        ("there", 1, 1, 0),
        ("new", 9, 9, 0),
        ("far-apic", u32::MAX, 9, 0),
        ("far-acpi", 9, u32::MAX, 0),
        ("domain", 10, 10, 300),
    ] {
        result(format_args!("add-cpu.{label}"), call(&mut request(ADD_CPU).u32(8, apic).u32(12, acpi).u32(16, domain)));
    }
    for (label, start, end) in [
        ("nothing", 0u64, 0u64),
        ("there", 0x100, 0x200),
        ("backwards", 0x4000_0000, 0x3000_0000),
        ("unaligned", 0x1000_0001, 0x1000_0101),
        ("far", 1 << 44, (1 << 44) + (1 << 18)),
    ] {
        result(
            format_args!("add-memory.{label}"),
            call(&mut request(ADD_MEMORY).u64(8, start).u64(16, end).u32(24, 0)),
        );
    }
    for (kind, idle) in [(0, 0), (1, 0), (2, 0), (3, 0)] {
        let mut park = request(PARK).u32(8, kind).u32(12, idle);
        result(format_args!("park.{kind}.{idle}"), call(&mut park));
        value_at(format_args!("park.{kind}.{idle}.idle"), park.get_u32(12).into());
    }
}
