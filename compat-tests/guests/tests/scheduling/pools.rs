//! CPU pools.

use compat_guests::buffer::Buffer;
use compat_guests::control::{make, sysctl};
use compat_guests::report::{result, value_at};

const CREATE: u32 = 1;
const DESTROY: u32 = 2;
const INFO: u32 = 3;
const ADD: u32 = 4;
const REMOVE: u32 = 5;
const MOVE: u32 = 6;
const FREE: u32 = 7;
const ANY: u32 = u32::MAX;

struct Request {
    operation: u32,
    pool: u32,
    scheduler: u32,
    domain: u32,
    cpu: u32,
}

const NONE: Request = Request { operation: 0, pool: 0, scheduler: 0, domain: 0, cpu: 0 };

fn call(label: core::fmt::Arguments<'_>, wanted: &Request, bits: u32) -> i64 {
    let mut map = Buffer::<64>::filled(0x55);
    let mut request = sysctl(18)
        .u32(8, wanted.operation)
        .u32(12, wanted.pool)
        .u32(16, wanted.scheduler)
        .u32(20, wanted.domain)
        .u32(24, wanted.cpu)
        .u32(28, 0x5555)
        .u64(32, map.address())
        .u32(40, bits);
    let outcome = make(&mut request);
    result(format_args!("pool.{label}"), outcome);
    if outcome == 0 && matches!(wanted.operation, CREATE | INFO | FREE) {
        for (offset, name) in [(12, "pool"), (16, "scheduler"), (20, "domain"), (24, "cpu"), (28, "domains")] {
            value_at(format_args!("pool.{label}.{name}"), request.get_u32(offset).into());
        }
        value_at(format_args!("pool.{label}.map"), map.get_u64(0));
    }
    outcome
}

fn say(label: &str, operation: u32, pool: u32, domain: u32, cpu: u32) {
    call(format_args!("{label}"), &Request { operation, pool, domain, cpu, ..NONE }, 64);
}

fn create(label: &str, pool: u32, scheduler: u32) {
    call(format_args!("{label}"), &Request { operation: CREATE, pool, scheduler, ..NONE }, 64);
}

fn info(label: &str) {
    for pool in [0u32, 1, 6, 7, 8, 9, 24, 25, 26] {
        call(format_args!("{label}.info{pool}"), &Request { operation: INFO, pool, ..NONE }, 64);
    }
    call(format_args!("{label}.info_any"), &Request { operation: INFO, pool: ANY, ..NONE }, 64);
    call(format_args!("{label}.free"), &Request { operation: FREE, ..NONE }, 64);
}

pub fn all() {
    info("first");
    for bits in [0u32, 1, 2, 8, 9, 200] {
        call(format_args!("info.bits{bits}"), &Request { operation: INFO, ..NONE }, bits);
    }
    for operation in [0u32, 8, 100, u32::MAX] {
        call(format_args!("unknown.{operation}"), &Request { operation, ..NONE }, 64);
    }
    pool_zero();
    create("create.seven", 7, 6);
    create("create.seven.again", 7, 6);
    create("create.zero", 0, 6);
    create("create.any", ANY, 6);
    create("create.any.default", ANY, 0);
    for scheduler in [1u32, 4, 7, 8, 9, 10, ANY] {
        call(
            format_args!("create.scheduler.{scheduler}"),
            &Request { operation: CREATE, pool: 20 + scheduler % 100, scheduler, ..NONE },
            64,
        );
    }
    info("created");
    adding();
    moving();
    removing();
    info("last");
}

fn pool_zero() {
    say("zero.destroy", DESTROY, 0, 0, 0);
    say("zero.add_own", ADD, 0, 0, 1);
    say("zero.add_bad", ADD, 0, 0, 100);
    say("zero.add_far", ADD, 0, 0, 100_000);
    say("zero.add_any", ADD, 0, 0, ANY);
    say("zero.remove_bad", REMOVE, 0, 0, 100);
    say("zero.remove_absent", REMOVE, 0, 0, 4);
    say("none.destroy", DESTROY, 55, 0, 0);
    say("none.add", ADD, 55, 0, 1);
    say("none.remove", REMOVE, 55, 0, 1);
    say("none.move", MOVE, 55, 0, 0);
    say("none.move_other", MOVE, 55, 1, 0);
    say("zero.move", MOVE, 0, 0, 0);
    say("zero.move_nobody", MOVE, 0, 77, 0);
    say("zero.move_bad", MOVE, 0, 0x7ff0, 0);
    say("zero.move_wide", MOVE, 0, 0x10000, 0);
}

fn adding() {
    say("add.taken", ADD, 7, 0, 2);
    say("take.2", REMOVE, 0, 0, 2);
    info("taken");
    say("take.2.again", REMOVE, 0, 0, 2);
    say("take.wrong_pool", REMOVE, 7, 0, 1);
    say("add.2", ADD, 7, 0, 2);
    say("add.2.again", ADD, 7, 0, 2);
    say("take.any", REMOVE, 0, 0, ANY);
    say("add.any", ADD, 7, 0, ANY);
    say("add.any.none", ADD, 7, 0, ANY);
    info("added");
}

fn moving() {
    say("move.empty_pool", MOVE, 1, 0, 0);
    say("move.self", MOVE, 7, 0, 0);
    info("moved");
    say("move.last_cpu", REMOVE, 7, 0, 2);
    say("move.last_cpu.any", REMOVE, 7, 0, ANY);
    say("move.last_cpu.any.again", REMOVE, 7, 0, ANY);
    say("move.destroy_used", DESTROY, 7, 0, 0);
    say("move.back", MOVE, 0, 0, 0);
}

fn removing() {
    say("destroy.with_cpus", DESTROY, 7, 0, 0);
    for cpu in [1u32, 2, 3, 0] {
        call(format_args!("empty.{cpu}"), &Request { operation: REMOVE, pool: 7, cpu, ..NONE }, 64);
    }
    say("empty.any", REMOVE, 7, 0, ANY);
    say("destroy.seven", DESTROY, 7, 0, 0);
    say("destroy.seven.again", DESTROY, 7, 0, 0);
    for pool in 1u32..30 {
        call(format_args!("destroy.{pool}"), &Request { operation: DESTROY, pool, ..NONE }, 64);
    }
    for cpu in [1u32, 2, 3] {
        call(format_args!("refill.{cpu}"), &Request { operation: ADD, cpu, ..NONE }, 64);
    }
    info("refilled");
    // All but one, and then that one.
    for cpu in [3u32, 2, 1, 0] {
        call(format_args!("drain.{cpu}"), &Request { operation: REMOVE, cpu, ..NONE }, 64);
    }
    for cpu in [0u32, 1, 2, 3] {
        call(format_args!("refill.again.{cpu}"), &Request { operation: ADD, cpu, ..NONE }, 64);
    }
}
