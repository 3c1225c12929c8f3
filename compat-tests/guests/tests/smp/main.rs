//! vCPUs 1 to 3: errors of their set-up, their life, and events between them.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::events::{self, operation};
use compat_guests::hypercall::{call1, call2, mmuext};
use compat_guests::number::{self, event, mmuext as ext, sched, vcpu};
use compat_guests::report::{check, result, value_at};
use compat_guests::smp::{self, CONTEXT};
use compat_guests::{memory, start, time};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

compat_guests::guest!(main);

static STAGE: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];
static SEEN: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
static PORT: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];
static GO: AtomicU32 = AtomicU32::new(0);

const SECOND: u64 = 1_000_000_000;

fn main() {
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    before_initialise();
    bad_contexts();
    life();
    interrupts();
    remote_flush();
    info_registration();
    down_and_up();
}

/// Waits for a vCPU to reach a stage; false after two seconds.
fn reaches(id: usize, stage: u32) -> bool {
    let end = time::now() + 2 * SECOND;
    while STAGE[id].load(Ordering::SeqCst) < stage {
        if time::now() > end {
            return false;
        }
        core::hint::spin_loop();
    }
    true
}

fn before_initialise() {
    for id in [1u64, 3, 4, 31] {
        for command in [vcpu::UP, vcpu::DOWN, vcpu::IS_UP, vcpu::GET_PHYSID, vcpu::STOP_PERIODIC_TIMER] {
            result(format_args!("before.{id}.{command}"), smp::operation(command, id, 0));
        }
        let mut info = Buffer::<48>::new();
        result(format_args!("before.{id}.runstate"), smp::operation(vcpu::GET_RUNSTATE_INFO, id, info.address()));
        value_at(format_args!("before.{id}.runstate.state"), info.get_u32(0).into());
    }
    for id in [1u32, 4] {
        result(format_args!("before.{id}.ipi"), events::bind_ipi(id).map_or_else(|error| error, |_| 0));
        result(format_args!("before.{id}.timer"), events::bind_virq(0, id).map_or_else(|error| error, |_| 0));
    }
}

extern "C" fn idle(_: u64) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Contexts that must be refused, each one change away from a good one, on vCPU 3.
fn bad_contexts() {
    let try_with = |label: &str, change: &dyn Fn(Buffer<CONTEXT>) -> Buffer<CONTEXT>| {
        let mut context = change(smp::context(idle, 0));
        let outcome = smp::operation(vcpu::INITIALISE, 3, context.address());
        result(format_args!("context.{label}"), outcome);
        value_at(format_args!("context.{label}.is-up"), smp::operation(vcpu::IS_UP, 3, 0) as u64);
    };
    try_with("no-table", &|context| context.u64(4984 + 24, 0));
    try_with("far-table", &|context| context.u64(4984 + 24, 0xff_ffff_f000));
    try_with("data-as-table", &|context| context.u64(4984 + 24, memory::mfn_of(memory::page()) << 12));
    try_with("gdt-entries", &|context| context.u64(4960, 7169));
    try_with("gdt-frame", &|context| context.u64(4960, 512).u64(4832, 0xff_ffff_ffff));
    try_with("ldt-entries", &|context| context.u64(4824, 8193));
    try_with("ldt-address", &|context| context.u64(4816, 0xffff_8300_0000_0000).u64(4824, 1));
    try_with("trap-address", &|context| context.u64(720 + 14 * 16 + 8, 0x8000_0000_0000));
    try_with("rip", &|context| context.u64(520 + 128, 0x8000_0000_0000));
    try_with("rsp", &|context| context.u64(520 + 152, 0x8000_0000_0000));
    try_with("event-callback", &|context| context.u64(5112, 0x8000_0000_0000));
    try_with("fs-base", &|context| context.u64(5144, 0x8000_0000_0000));
    try_with("debug-register", &|context| context.u64(5048, 0xffff_8300_0000_0000));
}

/// Runs on vCPU 1: shows its state, then waits for IPIs by polling.
extern "C" fn worker(argument: u64) -> ! {
    let id = argument as usize;
    SEEN[id].store(argument, Ordering::SeqCst);
    STAGE[id].store(1, Ordering::SeqCst);
    while GO.load(Ordering::SeqCst) < 1 {
        core::hint::spin_loop();
    }
    let port = PORT[id].load(Ordering::SeqCst);
    for round in 0..10 {
        let mine = [port];
        while events::is_pending(port) == 0 {
            time::poll(&mine, 0);
        }
        events::clear_pending(port);
        SEEN[id].fetch_add(1 << 8, Ordering::SeqCst);
        // Answer by the main vCPU's port.
        events::on_port(event::SEND, PORT[0].load(Ordering::SeqCst));
        let _ = round;
    }
    STAGE[id].store(2, Ordering::SeqCst);
    loop {
        call2(number::SCHED_OP, sched::YIELD, 0);
        if GO.load(Ordering::SeqCst) == 9 {
            STAGE[id].store(9, Ordering::SeqCst);
            smp::operation(vcpu::DOWN, argument, 0);
            // Up again: goes on right here.
            STAGE[id].store(10, Ordering::SeqCst);
            loop {
                core::hint::spin_loop();
            }
        }
    }
}

fn life() {
    for id in 1..3u64 {
        let mut context = smp::context(worker, id);
        result(format_args!("life.{id}.initialise"), smp::operation(vcpu::INITIALISE, id, context.address()));
        result(format_args!("life.{id}.initialise-again"), smp::operation(vcpu::INITIALISE, id, context.address()));
        value_at(format_args!("life.{id}.is-up-before"), smp::operation(vcpu::IS_UP, id, 0) as u64);
        result(format_args!("life.{id}.up"), smp::operation(vcpu::UP, id, 0));
        value_at(format_args!("life.{id}.is-up"), smp::operation(vcpu::IS_UP, id, 0) as u64);
        result(format_args!("life.{id}.up-again"), smp::operation(vcpu::UP, id, 0));
        check("starts", reaches(id as usize, 1).into(), format_args!("vCPU {id}"));
    }
    value_at(format_args!("life.argument"), SEEN[1].load(Ordering::SeqCst));
    value_at(format_args!("life.mask"), events::upcall_mask(1).load(Ordering::SeqCst).into());
}

/// Ten IPIs to each worker, each answered.
fn interrupts() {
    let Ok(own) = events::bind_ipi(0) else { return };
    PORT[0].store(own, Ordering::SeqCst);
    events::mask(own);
    for id in 1..3u32 {
        match events::bind_ipi(id) {
            Ok(port) => {
                events::mask(port);
                PORT[id as usize].store(port, Ordering::SeqCst);
                let mut move_it = Buffer::<8>::new().u32(0, port).u32(4, 0);
                result(format_args!("ipi.{id}.move"), operation(event::BIND_VCPU, &mut move_it));
            }
            Err(error) => result(format_args!("ipi.{id}"), error),
        }
    }
    GO.store(1, Ordering::SeqCst);
    for round in 0..10 {
        for id in 1..3usize {
            events::on_port(event::SEND, PORT[id].load(Ordering::SeqCst));
            let end = time::now() + 2 * SECOND;
            while events::is_pending(own) == 0 && time::now() < end {
                time::poll(&[own], time::now() + SECOND / 10);
            }
            let answered = events::is_pending(own) != 0;
            events::clear_pending(own);
            if !answered {
                check("ipi-answered", answered.into(), format_args!("vCPU {id} round {round}"));
            }
        }
    }
    for id in 1..3usize {
        check("ipi-done", reaches(id, 2).into(), format_args!("vCPU {id}"));
        value_at(format_args!("ipi.{id}.count"), SEEN[id].load(Ordering::SeqCst) >> 8);
    }
    let Ok(unbound) = events::alloc_unbound(number::DOMID_SELF as u16) else { return };
    for id in [1u32, 2, 3, 4] {
        let mut move_it = Buffer::<8>::new().u32(0, unbound).u32(4, id);
        result(format_args!("move.{id}"), operation(event::BIND_VCPU, &mut move_it));
    }
    events::on_port(event::CLOSE, unbound);
}

/// Flushes with masks that name running, absent and no vCPUs.
fn remote_flush() {
    for mask in [0u64, 1, 2, 6, 0xf, 0x10, u64::MAX] {
        for command in [ext::TLB_FLUSH_MULTI, ext::INVLPG_MULTI] {
            result(format_args!("flush.{command}.{mask:x}"), mmuext(command, start::pt_base(), &raw const mask as u64));
        }
    }
    for command in [ext::TLB_FLUSH_ALL, ext::INVLPG_ALL, ext::FLUSH_CACHE, ext::FLUSH_CACHE_GLOBAL] {
        result(format_args!("flush.{command}"), mmuext(command, start::pt_base(), 0));
    }
}

/// register_vcpu_info: errors, success, and the forced scan.
fn info_registration() {
    let page = memory::page();
    memory::shared_info();
    for (label, id, frame, offset) in [
        ("bad-frame", 0u64, 0xff_ffff_ffffu64, 0u32),
        ("io-frame", 0, 0xf0, 0),
        ("table-frame", 0, memory::mfn_of(start::pt_base()), 0),
        ("offset", 0, memory::mfn_of(page), 4096 - 63),
        ("odd-offset", 0, memory::mfn_of(page), 4),
        ("other-up", 1, memory::mfn_of(page), 128),
        ("other-down", 3, memory::mfn_of(page), 256),
        ("other-again", 3, memory::mfn_of(page), 320),
    ] {
        let mut argument = Buffer::<16>::new().u64(0, frame).u32(8, offset);
        result(format_args!("info.{label}"), smp::operation(vcpu::REGISTER_VCPU_INFO, id, argument.address()));
    }
    let own = memory::page();
    let mut argument = Buffer::<16>::new().u64(0, memory::mfn_of(own)).u32(8, 64);
    result(format_args!("info.self"), smp::operation(vcpu::REGISTER_VCPU_INFO, 0, argument.address()));
    value_at(format_args!("info.self.pending"), memory::read(own + 64) & 0xff);
    value_at(format_args!("info.self.mask"), memory::read(own + 64) >> 8 & 0xff);
    value_at(format_args!("info.self.selector"), memory::read(own + 72));
    check("info-time", (memory::read(own + 64 + 32 + 16) != 0).into(), format_args!("system time"));
    result(format_args!("info.self-again"), smp::operation(vcpu::REGISTER_VCPU_INFO, 0, argument.address()));
    result(format_args!("info.page-read-only"), memory::make_read_only(own));
    call1(number::XEN_VERSION, 0);
}

fn down_and_up() {
    GO.store(9, Ordering::SeqCst);
    for id in 1..3u64 {
        check("goes-down", reaches(id as usize, 9).into(), format_args!("vCPU {id}"));
        let end = time::now() + SECOND;
        while smp::operation(vcpu::IS_UP, id, 0) != 0 && time::now() < end {
            core::hint::spin_loop();
        }
        value_at(format_args!("down.{id}.is-up"), smp::operation(vcpu::IS_UP, id, 0) as u64);
        // Not up comes first, off the CPU a little later.
        let offline = || {
            let mut info = Buffer::<48>::new();
            smp::operation(vcpu::GET_RUNSTATE_INFO, id, info.address());
            info.get_u32(0) == 3
        };
        while !offline() && time::now() < end {
            core::hint::spin_loop();
        }
        check("goes-offline", offline().into(), format_args!("vCPU {id}"));
        result(format_args!("down.{id}.again"), smp::operation(vcpu::DOWN, id, 0));
        result(format_args!("down.{id}.up"), smp::operation(vcpu::UP, id, 0));
        check("comes-back", reaches(id as usize, 10).into(), format_args!("vCPU {id}"));
        result(format_args!("down.{id}.down-by-other"), smp::operation(vcpu::DOWN, id, 0));
    }
}
