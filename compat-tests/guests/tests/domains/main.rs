//! Domains made by hand: created, filled, run, stopped, destroyed, with everything that a toolstack's calls answer on
//! the way.
#![no_std]
#![no_main]

mod debugger;
// One of its programs is for the counting guest.
#[allow(dead_code)]
mod guest;
mod numa;
mod placement;
mod toolstack;

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::{call2, call4};
use compat_guests::number::{self, event, memory as op};
use compat_guests::report::{check, result, value, value_at};
use guest::{Guest, Program};
use toolstack::{creation, domctl, info, request, simple};

compat_guests::guest!(main);

fn main() {
    toolstack::as_asked();
    refusals();
    let first = lifeless();
    running(first);
    crashing(first + 1);
    mapped_at_its_end(first + 2);
    events(first + 3);
    many(first + 4);
    numa::virtual_numa();
    placement::placement();
    debugger::debugger();
}

/// What createdomain refuses, and the requests of others.
fn refusals() {
    let cases: [(&str, toolstack::Request); 19] = [
        ("flags", creation().u32(16 + 20, 1 << 8)),
        ("hap", creation().u32(16 + 20, 2)),
        ("nested", creation().u32(16 + 20, 1 << 6)),
        ("vpmu", creation().u32(16 + 20, 1 << 7)),
        ("iommu-options", creation().u32(16 + 24, 1)),
        ("no-vcpus", creation().u32(16 + 28, 0)),
        ("vcpus", creation().u32(16 + 28, 8193)),
        ("trace", creation().u32(toolstack::late(48), 4096)),
        ("pool", creation().u32(toolstack::late(52), 7)),
        ("emulation", creation().u32(toolstack::late(56), 1)),
        ("emulation-all", creation().u32(toolstack::late(56), 0x7ff)),
        ("misc", creation().u32(toolstack::late(60), 2)),
        ("grant-version-0", creation().u32(16 + 44, 0)),
        ("grant-version-3", creation().u32(16 + 44, 3)),
        ("grants-0", creation().u32(16 + 36, 0)),
        ("grants-65", creation().u32(16 + 36, 65)),
        ("maptrack-1025", creation().u32(16 + 40, 1025)),
        ("version", creation().u32(4, 0x14)),
        ("self", creation().u16(8, 0x7ff0).u32(16 + 28, 0)),
    ];
    for (name, mut request) in cases {
        result(format_args!("create.{name}"), domctl(&mut request));
    }
    for command in [2, 3, 4, 9, 11, 12, 13, 14, 15, 16, 17, 24, 25, 27, 28, 35, 36, 61, 68, 69, 82, 83] {
        result(format_args!("absent.{command}"), simple(command, 99));
    }
    for command in [2, 3, 4, 12, 15, 18, 27, 83] {
        result(format_args!("own.{command}"), simple(command, 0));
    }
    let mut own = request(toolstack::INFO, 0);
    result(format_args!("own.info"), domctl(&mut own));
    value("own.flags", u64::from(own.get_u32(16 + 4)));
    value("own.emulation", u64::from(own.get_u32(16 + 104)));
    value("own.ssidref", u64::from(own.get_u32(16 + 72)));
    value("own.pool", u64::from(own.get_u32(16 + 92)));
    result(format_args!("info.reserved"), simple(toolstack::INFO, 0x7ff0));
    result(format_args!("info.above"), simple(toolstack::INFO, 5));
}

/// A domain that never runs: what it is made of. Its id.
fn lifeless() -> u16 {
    let mut made = creation().u64(20, 0x1122_3344_5566_7788);
    result(format_args!("create"), domctl(&mut made));
    let id = made.get_u16(8);
    value("create.id", u64::from(id));
    tell("fresh", id);
    result(format_args!("create.taken"), domctl(&mut creation().u16(8, id)));
    for (name, vcpu) in [("first", 0), ("beyond", 9)] {
        result(format_args!("vcpu-info.{name}.unmade"), domctl(&mut request(toolstack::VCPU_INFO, id).u32(16, vcpu)));
        result(format_args!("affinity.{name}.unmade"), domctl(&mut request(25, id).u32(16, vcpu)));
        result(format_args!("context.{name}.unmade"), domctl(&mut request(toolstack::GET_CONTEXT, id).u32(16, vcpu)));
        result(format_args!("context.set.{name}"), domctl(&mut request(toolstack::SET_CONTEXT, id).u32(16, vcpu)));
        result(format_args!("trigger.{name}.unmade"), domctl(&mut request(28, id).u32(20, vcpu)));
    }
    for (name, count) in [("fewer", 1), ("more", 3), ("right", 2), ("again", 2)] {
        result(format_args!("max-vcpus.{name}"), domctl(&mut request(toolstack::MAX_VCPUS, id).u32(16, count)));
    }
    tell("made", id);
    let mut vcpu = request(toolstack::VCPU_INFO, id).u32(16, 1);
    result(format_args!("vcpu-info"), domctl(&mut vcpu));
    value("vcpu-info.states", u64::from(vcpu.get_u32(20) & 0x00ff_ffff));
    result(format_args!("context.none"), domctl(&mut request(toolstack::GET_CONTEXT, id)));
    for (name, trigger) in [("nmi", 0), ("reset", 1), ("init", 2), ("power", 3), ("sleep", 4), ("other", 5)] {
        result(format_args!("trigger.{name}"), domctl(&mut request(28, id).u32(16, trigger)));
    }
    pauses(id);
    memory(id);
    scheduling(id);
    for (name, bits) in [("32", 32), ("64", 64), ("16", 16)] {
        result(format_args!("address-size.{name}"), domctl(&mut request(35, id).u32(16, bits)));
    }
    let mut size = request(toolstack::ADDRESS_SIZE, id);
    result(format_args!("address-size"), domctl(&mut size));
    value("address-size.is", u64::from(size.get_u32(16)));
    result(format_args!("pool-size"), simple(85, id));
    result(format_args!("pool-size.set"), simple(86, id));
    result(format_args!("time-offset"), domctl(&mut request(24, id).u64(16, 3600)));
    for (name, mode) in [("0", 0), ("2", 2), ("4", 4)] {
        result(format_args!("tsc.{name}"), domctl(&mut request(60, id).u32(16, mode)));
    }
    result(format_args!("tsc"), simple(59, id));
    result(format_args!("debugging"), domctl(&mut request(18, id).u32(16, 1)));
    tell("debugged", id);
    for (name, virq) in [("timer", 0), ("dom-exc", 3), ("24", 24)] {
        result(format_args!("virq.{name}"), domctl(&mut request(66, id).u32(16, virq)));
    }
    rights(id);
    result(format_args!("destroy"), simple(toolstack::DESTROY, id));
    result(format_args!("destroyed"), guest::until_gone(id));
    id + 1
}

/// Names of what tools are told.
fn tell(when: &str, id: u16) {
    let Some(told) = info(id) else {
        value_at(format_args!("info.{when}.gone"), 1);
        return;
    };
    for (name, at) in
        [("flags", 4), ("online", 64), ("max-vcpu", 68), ("ssidref", 72), ("pool", 92), ("emulation", 104)]
    {
        value_at(format_args!("info.{when}.{name}"), u64::from(told.get_u32(16 + at)));
    }
    for (name, at) in
        [("pages", 8), ("max", 16), ("claim", 24), ("shared", 32), ("paged", 40), ("time", 56), ("handle", 76)]
    {
        value_at(format_args!("info.{when}.{name}"), told.get_u64(16 + at));
    }
}

fn pauses(id: u16) {
    result(format_args!("pause"), simple(toolstack::PAUSE, id));
    result(format_args!("unpause"), simple(toolstack::UNPAUSE, id));
    result(format_args!("unpause.again"), simple(toolstack::UNPAUSE, id));
    tell("unpaused", id);
    result(format_args!("unpause.beyond"), simple(toolstack::UNPAUSE, id));
    let taken = (0..300).take_while(|_| simple(toolstack::PAUSE, id) == 0).count();
    value("pause.most", taken as u64);
    result(format_args!("pause.beyond"), simple(toolstack::PAUSE, id));
    for _ in 1..taken {
        simple(toolstack::UNPAUSE, id);
    }
    result(format_args!("resume"), simple(toolstack::RESUME, id));
}

fn memory(id: u16) {
    result(format_args!("populate.none"), toolstack::populate::<4>(id, 0).0);
    result(format_args!("max-mem"), domctl(&mut request(toolstack::MAX_MEM, id).u64(16, 64)));
    let (done, frames) = toolstack::populate::<8>(id, 0);
    result(format_args!("populate"), done);
    result(format_args!("populate.beyond"), toolstack::populate::<12>(id, 8).0);
    tell("populated", id);
    let mut names = Buffer::<32>::new().u64(0, frames[0]).u64(8, 0xff_ffff_ffff).u64(16, frames[7]).u64(24, 0);
    for (name, count) in [("all", 4), ("many", 1025)] {
        let mut asked = request(toolstack::FRAME_INFO, id).u64(16, count).u64(24, names.address());
        result(format_args!("frame-info.{name}"), domctl(&mut asked));
    }
    for index in 0..4 {
        value_at(format_args!("frame-info.{index}"), names.get_u64(8 * index));
    }
    for (name, frame) in [("own", frames[1]), ("none", 0xff_ffff_ffff), ("other", 0x1000)] {
        result(format_args!("hypercall-page.{name}"), domctl(&mut request(22, id).u64(16, frame)));
    }
    let (mapped, address) = toolstack::map_foreign(frames[1], id);
    result(format_args!("map"), mapped);
    value("hypercall-page.start", compat_guests::memory::read(address));
    value("hypercall-page.iret", compat_guests::memory::read(address + 23 * 32));
    let dirty = toolstack::map_foreign(frames[2], id).1;
    let words = (0..512).filter(|word| compat_guests::memory::read(dirty + word * 8) != 0).count();
    check("scrubbed", (words == 0).into(), format_args!("{words} words"));
    result(format_args!("unmap"), toolstack::unmap_foreign(address));
    result(format_args!("unmap.other"), toolstack::unmap_foreign(dirty));
    result(format_args!("map.foreign"), toolstack::map_foreign(0x1000, id).0);
    let gone = frames[3];
    result(format_args!("decrease"), toolstack::reservation(op::DECREASE_RESERVATION, &raw const gone as u64, 1, id));
    result(
        format_args!("decrease.again"),
        toolstack::reservation(op::DECREASE_RESERVATION, &raw const gone as u64, 1, id),
    );
    for (name, command) in [("current", op::CURRENT_RESERVATION), ("maximum", op::MAXIMUM_RESERVATION), ("gpfn", 14)] {
        let mut argument = Buffer::<8>::new().u16(0, id);
        result(format_args!("reservation.{name}"), call2(number::MEMORY_OP, command, argument.address()));
    }
    for (name, pages) in [("fewer", 4), ("all", 16), ("again", 12), ("none", 0)] {
        let mut claim = Buffer::<32>::new().u64(8, pages).u16(24, id);
        result(format_args!("claim.{name}"), call2(number::MEMORY_OP, 24, claim.address()));
    }
}

fn scheduling(id: u16) {
    let mut share = request(toolstack::SCHEDULER, id).u32(16, 6).u32(20, 1);
    result(format_args!("share"), domctl(&mut share));
    value("share.is", u64::from(share.get_u32(24)));
    for (name, scheduler, command, share) in [
        ("set", 6, 0, 0x0020_0200),
        ("weight", 6, 0, 0x64),
        ("cap", 6, 0, 0x0030_0000),
        ("credit", 5, 1, 0),
        ("vcpus", 6, 3, 0),
        ("other", 6, 9, 0),
    ] {
        let mut asked = request(toolstack::SCHEDULER, id).u32(16, scheduler).u32(20, command).u32(24, share);
        result(format_args!("share.{name}"), domctl(&mut asked));
    }
    let mut share = request(toolstack::SCHEDULER, id).u32(16, 6).u32(20, 1);
    domctl(&mut share);
    value("share.then", u64::from(share.get_u32(24)));
    let mut map = Buffer::<16>::new().u64(0, 1);
    for (name, flags, map_value) in [("none", 0, 1), ("hard", 1, 1), ("soft", 2, 1), ("nowhere", 1, 0)] {
        map = map.clone().u64(0, map_value);
        let place = map.address();
        let mut asked =
            request(toolstack::SET_AFFINITY, id).u32(20, flags).u64(24, place).u32(32, 8).u64(40, place).u32(48, 8);
        result(format_args!("affinity.{name}"), domctl(&mut asked));
    }
    let place = map.address();
    let mut asked = request(25, id).u32(20, 1).u64(24, place).u32(32, 64);
    result(format_args!("affinity"), domctl(&mut asked));
    value("affinity.is", map.get_u64(0) & 1);
    let mut nodes = Buffer::<8>::new().u64(0, 1);
    result(format_args!("nodes.set"), domctl(&mut request(68, id).u64(16, nodes.address()).u32(24, 8)));
    result(format_args!("nodes"), domctl(&mut request(69, id).u64(16, nodes.address()).u32(24, 8)));
    value("nodes.is", nodes.get_u64(0));
}

fn rights(id: u16) {
    for (name, first, count) in [("one", 0x3f8, 8), ("none", 0x80, 0), ("beyond", 0xfff0, 0x20), ("own", 0x20, 1)] {
        let mut asked = request(21, id).u32(16, first).u32(20, count).u32(24, 1);
        result(format_args!("ports.{name}"), domctl(&mut asked));
    }
    for (name, first, count) in [("vga", 0xa0, 8), ("none", 0xa0, 0), ("wraps", u64::MAX, 2), ("apic", 0xfee00, 1)] {
        let mut asked = request(20, id).u64(16, first).u64(24, count).u32(32, 1);
        result(format_args!("frames.{name}"), domctl(&mut asked));
    }
    result(format_args!("interrupt.beyond"), domctl(&mut request(19, id).u32(16, 0xffff).u32(20, 1)));
}

/// A domain that runs a program to its end.
fn running(expected: u16) {
    let Some(guest) = Guest::build(Program::POWER_OFF) else { return };
    value("running.id", u64::from(guest.id - expected));
    tell("built", guest.id);
    let port = guest::bind_domain_virq();
    result(format_args!("start"), simple(toolstack::UNPAUSE, guest.id));
    check("shut-down", guest::wait(guest.id, guest::SHUT_DOWN).into(), format_args!(""));
    check("virq", guest::is_pending(port).into(), format_args!(""));
    let flags = info(guest.id).map_or(0, |told| told.get_u32(16 + 4));
    value("running.flags", u64::from(flags));
    value("running.word", guest.read_word());
    guest.context("running");
    result(format_args!("running.destroy"), simple(toolstack::DESTROY, guest.id));
    result(format_args!("running.destroyed"), guest::until_gone(guest.id));
    call2(number::EVENT_CHANNEL_OP, event::CLOSE, Buffer::<8>::new().u32(0, port).address());
}

/// A domain that dies of its first instruction.
fn crashing(_expected: u16) {
    let Some(guest) = Guest::build(Program::UNDEFINED) else { return };
    result(format_args!("crash.start"), simple(toolstack::UNPAUSE, guest.id));
    check("crashes", guest::wait(guest.id, guest::SHUT_DOWN).into(), format_args!(""));
    let flags = info(guest.id).map_or(0, |told| told.get_u32(16 + 4));
    value("crash.flags", u64::from(flags));
    result(format_args!("crash.resume"), simple(toolstack::RESUME, guest.id));
    check("crashes-again", guest::wait(guest.id, guest::SHUT_DOWN).into(), format_args!(""));
    result(format_args!("crash.destroy"), simple(toolstack::DESTROY, guest.id));
    result(format_args!("crash.destroyed"), guest::until_gone(guest.id));
}

/// A domain whose memory we keep mapped while it is destroyed.
fn mapped_at_its_end(_expected: u16) {
    let Some(guest) = Guest::build(Program::FOR_EVER) else { return };
    simple(toolstack::UNPAUSE, guest.id);
    check("runs", guest.runs().into(), format_args!(""));
    result(format_args!("zombie.pause"), simple(toolstack::PAUSE, guest.id));
    guest.context("paused");
    result(format_args!("zombie.unpause"), simple(toolstack::UNPAUSE, guest.id));
    let (mapped, address) = toolstack::map_foreign(guest.frames[1], guest.id);
    result(format_args!("zombie.map"), mapped);
    result(format_args!("zombie.destroy"), simple(toolstack::DESTROY, guest.id));
    let told = info(guest.id);
    value("zombie.flags", u64::from(told.as_ref().map_or(0, |told| told.get_u32(16 + 4) & 0xffff)));
    value("zombie.pages", told.map_or(0, |told| told.get_u64(16 + 8)));
    result(format_args!("zombie.destroy-again"), simple(toolstack::DESTROY, guest.id));
    result(format_args!("zombie.map-more"), toolstack::map_foreign(guest.frames[2], guest.id).0);
    result(format_args!("zombie.unmap"), toolstack::unmap_foreign(address));
    result(format_args!("zombie.gone"), guest::until_gone(guest.id));
}

/// Event channels between us and a domain, and its grant table.
fn events(_expected: u16) {
    let Some(guest) = Guest::build(Program::FOR_EVER) else { return };
    let mut unbound = Buffer::<8>::new().u16(0, guest.id).u16(2, 0);
    result(format_args!("port.alloc"), call2(number::EVENT_CHANNEL_OP, event::ALLOC_UNBOUND, unbound.address()));
    let remote = unbound.get_u32(4);
    value("port.remote", u64::from(remote));
    let mut bound = Buffer::<16>::new().u16(0, guest.id).u32(4, remote);
    result(format_args!("port.bind"), call2(number::EVENT_CHANNEL_OP, event::BIND_INTERDOMAIN, bound.address()));
    let local = bound.get_u32(8);
    for (name, domain, port) in [("far", guest.id, remote), ("near", 0x7ff0, local)] {
        let mut status = Buffer::<24>::new().u16(0, domain).u32(4, port);
        result(format_args!("port.{name}"), call2(number::EVENT_CHANNEL_OP, event::STATUS, status.address()));
        value_at(format_args!("port.{name}.kind"), u64::from(status.get_u32(8)));
    }
    result(
        format_args!("port.send"),
        call2(number::EVENT_CHANNEL_OP, event::SEND, Buffer::<8>::new().u32(0, local).address()),
    );
    guest.grant();
    simple(toolstack::UNPAUSE, guest.id);
    check("runs-with-ports", guest.runs().into(), format_args!(""));
    result(
        format_args!("port.reset-running"),
        call2(number::EVENT_CHANNEL_OP, event::RESET, Buffer::<8>::new().u16(0, guest.id).address()),
    );
    result(format_args!("port.destroy"), simple(toolstack::DESTROY, guest.id));
    let mut status = Buffer::<24>::new().u16(0, 0x7ff0).u32(4, local);
    call2(number::EVENT_CHANNEL_OP, event::STATUS, status.address());
    value("port.after", u64::from(status.get_u32(8)));
    result(
        format_args!("port.close"),
        call2(number::EVENT_CHANNEL_OP, event::CLOSE, Buffer::<8>::new().u32(0, local).address()),
    );
    result(format_args!("port.gone"), guest::until_gone(guest.id));
    let unpin = [u64::from(number::mmuext::UNPIN as u32), 0, 0];
    result(format_args!("mmuext.gone"), call4(number::MMUEXT_OP, unpin.as_ptr() as u64, 1, 0, u64::from(guest.id)));
}

/// Domains one after the other: memory comes back.
fn many(_expected: u16) {
    let before = guest::free_pages();
    let mut made = 0;
    for _ in 0..20 {
        let Some(guest) = Guest::build_silently(Program::POWER_OFF) else { break };
        simple(toolstack::UNPAUSE, guest.id);
        let stopped = guest::wait(guest.id, guest::SHUT_DOWN);
        let ended = simple(toolstack::DESTROY, guest.id) == 0 && guest::until_gone(guest.id) == 0;
        made += u64::from(stopped && ended);
    }
    value("many.made", made);
    // Xen frees some of it a little later.
    let settled = (0..2000).any(|_| {
        guest::breathe();
        guest::free_pages() >= before
    });
    check("many.memory", (settled || before == 0).into(), format_args!("{} of {before}", guest::free_pages()));
}
