//! What operations cost in instructions between two CPUs, those of both added up: `COST name=instructions`.
//!
//! Whoever waits does so halted: an emulated CPU that spins would be charged for its share of the emulator's time. Each
//! vCPU is bound to a CPU of its own, or a scheduler might have both share one, which it does when both wait most of the time.
#![no_std]
#![no_main]

// Most of its handlers are for the other guest.
#[allow(dead_code)]
#[path = "../cost/entries.rs"]
mod entries;
#[path = "../cost/switches.rs"]
mod switches;
#[allow(dead_code)]
#[path = "../domains/toolstack.rs"]
mod toolstack;
#[path = "../cost/upcalls.rs"]
mod upcalls;

use compat_guests::buffer::Buffer;
use compat_guests::cost::row;
use compat_guests::hypercall::{mmuext, update_va_mapping};
use compat_guests::memory::{self, DATA, INVLPG, READ_ONLY, entry, mfn_of, page};
use compat_guests::number::{mmuext as ext, vcpu};
use compat_guests::{report, smp};

compat_guests::guest!(main);

/// `UVMF_ALL`.
const ALL: u64 = 4;
/// `XEN_VCPUAFFINITY_HARD`.
const HARD: u32 = 1;

fn main() {
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    toolstack::agree();
    if !switches::start() {
        return;
    }
    for vcpu in 0..2 {
        bind(vcpu);
    }
    // Whoever was made to run elsewhere or was changed by a call has left its CPU; now it is there, and halts.
    switches::exchange();
    flushes();
    switches::measure(&switches::Names {
        polling: "two vCPUs, two CPUs: event there and back, both polling",
        blocking: "two vCPUs, two CPUs: event there and back, both blocking",
        one_cpu: None,
    });
    report::value("done", 1);
}

/// Binds a vCPU to the CPU of its number.
fn bind(vcpu: u32) {
    let mut map = Buffer::<8>::new().u64(0, 1 << vcpu);
    let place = map.address();
    let request = toolstack::request(toolstack::SET_AFFINITY, 0);
    let outcome = toolstack::domctl(&mut request.u32(16, vcpu).u32(20, HARD).u64(24, place).u32(32, 8));
    report::check("bound", (outcome == 0).into(), format_args!("{vcpu}: {outcome}"));
}

/// Flushes that concern a vCPU on another CPU, which is halted: it polls.
fn flushes() {
    let target = page();
    let both = 3u64;
    let mask = &raw const both as u64;
    for (name, command, first, second) in [
        ("two CPUs, other vCPU polls: mmuext TLB_FLUSH_ALL", ext::TLB_FLUSH_ALL, 0, 0),
        ("two CPUs, other vCPU polls: mmuext INVLPG_ALL", ext::INVLPG_ALL, target, 0),
        ("two CPUs, other vCPU polls: mmuext TLB_FLUSH_MULTI of both", ext::TLB_FLUSH_MULTI, 0, mask),
    ] {
        row(name, |_| _ = mmuext(command, first, second));
    }
    let frame = mfn_of(target);
    row("two CPUs, other vCPU polls: update_va_mapping, invlpg on all", |round| {
        let flags = if round & 1 == 0 { READ_ONLY } else { DATA };
        update_va_mapping(target, entry(frame, flags), INVLPG | ALL);
    });
}
