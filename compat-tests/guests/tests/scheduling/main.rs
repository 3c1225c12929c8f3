//! What the toolstack can tell the scheduler: weights, caps, rate limit, affinity, CPU pools.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::control::{domctl, make, make_domctl, sysctl};
use compat_guests::memory;
use compat_guests::report::{result, value_at};

mod binding;
mod pools;

compat_guests::guest!(main);

fn main() {
    memory::shared_info();
    shares();
    rate_limit();
    affinity();
    binding::all();
    pools::all();
}

fn shares() {
    let operation = |scheduler: u32, command: u32, weight: u16, cap: u16| {
        let mut request = domctl(16, 0).u32(16, scheduler).u32(20, command).u16(24, weight).u16(26, cap);
        (make_domctl(&mut request), request.get_u16(24), request.get_u16(26))
    };
    let get = |label: core::fmt::Arguments<'_>| {
        let (outcome, weight, cap) = operation(6, 1, 0x5555, 0x5555);
        result(format_args!("share.{label}"), outcome);
        value_at(format_args!("share.{label}.weight"), weight.into());
        value_at(format_args!("share.{label}.cap"), cap.into());
    };
    get(format_args!("first"));
    for scheduler in [0u32, 4, 5, 7, 8, 9, 10, u32::MAX] {
        for command in [0u32, 1, 2, 3] {
            result(format_args!("share.other.{scheduler}.{command}"), operation(scheduler, command, 0, 0).0);
        }
    }
    for command in [2u32, 3, 4, u32::MAX] {
        result(format_args!("share.command.{command}"), operation(6, command, 0, 0).0);
    }
    for (weight, cap) in [
        (512u16, 150u16),
        (0, 0),
        (0, 200),
        (1, 1),
        (u16::MAX, u16::MAX),
        (256, 400),
        (300, 401),
        (256, 100),
        (256, 99),
        (256, 0),
    ] {
        result(format_args!("share.put.{weight}.{cap}"), operation(6, 0, weight, cap).0);
        get(format_args!("after.{weight}.{cap}"));
    }
    result(format_args!("share.nobody"), make_domctl(&mut domctl(16, 77).u32(16, 6).u32(20, 1)));
}

fn rate_limit() {
    let operation = |pool: u32, scheduler: u32, command: u32, limit: u32| {
        let mut request = sysctl(19).u32(8, pool).u32(12, scheduler).u32(16, command).u32(24, limit);
        (make(&mut request), request.get_u32(24))
    };
    let get = |label: core::fmt::Arguments<'_>| {
        let (outcome, limit) = operation(0, 6, 1, 0x5555);
        result(format_args!("rate.{label}"), outcome);
        value_at(format_args!("rate.{label}.limit"), limit.into());
    };
    get(format_args!("first"));
    for (pool, scheduler, command) in [
        (0u32, 5u32, 1u32),
        (0, 9, 1),
        (0, 6, 2),
        (0, 6, u32::MAX),
        (1, 6, 1),
        (u32::MAX, 6, 1),
        (0, 0, 1),
        (0, 5, 0),
        (7, 5, 9),
    ] {
        result(format_args!("rate.{pool:x}.{scheduler}.{command:x}"), operation(pool, scheduler, command, 1000).0);
    }
    for limit in [0u32, 1, 99, 100, 5000, 500_000, 500_001, u32::MAX, 1000] {
        result(format_args!("rate.put.{limit}"), operation(0, 6, 0, limit).0);
        get(format_args!("after.{limit}"));
    }
}

struct Affinity {
    outcome: i64,
    hard: u64,
    soft: u64,
    flags: u32,
}

fn affinity_call(command: u32, vcpu: u32, flags: u32, hard: (u64, u32), soft: (u64, u32)) -> Affinity {
    let (mut hard_map, mut soft_map) =
        (Buffer::<32>::filled(0x55).u64(0, hard.0), Buffer::<32>::filled(0x55).u64(0, soft.0));
    let mut request = domctl(command, 0)
        .u32(16, vcpu)
        .u32(20, flags)
        .u64(24, hard_map.address())
        .u32(32, hard.1)
        .u64(40, soft_map.address())
        .u32(48, soft.1);
    let outcome = make_domctl(&mut request);
    Affinity { outcome, hard: hard_map.get_u64(0), soft: soft_map.get_u64(0), flags: request.get_u32(20) }
}

fn show(label: core::fmt::Arguments<'_>, affinity: &Affinity) {
    result(format_args!("affinity.{label}"), affinity.outcome);
    value_at(format_args!("affinity.{label}.hard"), affinity.hard);
    value_at(format_args!("affinity.{label}.soft"), affinity.soft);
    value_at(format_args!("affinity.{label}.flags"), affinity.flags.into());
}

fn affinity() {
    for vcpu in [0u32, 1, 3, 4, u32::MAX] {
        show(format_args!("get.{vcpu}"), &affinity_call(25, vcpu, 3, (0, 64), (0, 64)));
    }
    for (flags, bits) in
        [(0u32, 64u32), (1, 64), (2, 64), (4, 64), (7, 64), (8, 64), (3, 0), (3, 1), (3, 3), (3, 8), (3, 9), (3, 200)]
    {
        show(format_args!("get.flags{flags}.bits{bits}"), &affinity_call(25, 1, flags, (0x5555, bits), (0x5555, bits)));
    }
    for (vcpu, flags, hard, soft) in [
        (1u32, 1u32, 2u64, 0u64),
        (1, 2, 0, 4),
        (1, 3, 6, 12),
        (1, 3, 0, 1),
        (1, 3, 1, 0),
        (1, 1, 0xf0, 0),
        (1, 1, 0xf1, 0),
        (1, 2, 0, 0xf0),
        (1, 0, 1, 1),
        (1, 4, 1, 1),
        (1, 5, 1, 1),
        (1, 8, 1, 1),
        (1, 9, 1, 1),
        (4, 1, 1, 1),
        (0, 3, 3, 3),
        (0, 1, 4, 3),
        (0, 3, u64::MAX, u64::MAX),
        (1, 3, u64::MAX, u64::MAX),
    ] {
        show(
            format_args!("set.{vcpu}.{flags}.{hard:x}.{soft:x}"),
            &affinity_call(9, vcpu, flags, (hard, 64), (soft, 64)),
        );
        show(
            format_args!("set.{vcpu}.{flags}.{hard:x}.{soft:x}.then"),
            &affinity_call(25, vcpu & 1, 3, (0, 64), (0, 64)),
        );
    }
    for bits in [0u32, 1, 2, 7, 8, 300] {
        show(format_args!("set.bits{bits}"), &affinity_call(9, 1, 1, (0xf, bits), (0, 0)));
        show(format_args!("set.bits{bits}.then"), &affinity_call(25, 1, 3, (0, 64), (0, 64)));
    }
    for (command, flags, hard, soft) in
        [(25u32, 3u32, 0xffff_8000_0000_0000u64, 0u64), (25, 3, 0, 0), (9, 1, 0, 0), (9, 2, 0, 0), (9, 1, 0x1000, 0)]
    {
        let mut request =
            domctl(command, 0).u32(16, 1).u32(20, flags).u64(24, hard).u32(32, 64).u64(40, soft).u32(48, 64);
        result(format_args!("affinity.address.{command}.{flags}.{hard:x}"), make_domctl(&mut request));
    }
    show(format_args!("reset"), &affinity_call(9, 1, 3, (u64::MAX, 64), (u64::MAX, 64)));
}
