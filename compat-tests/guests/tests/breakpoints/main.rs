//! Breakpoints on memory that the hypervisor copies: the trap comes in the middle of the hypervisor, which must not mind.
//!
//! Whether the guest hears of such a hit is not compared: it depends on when the processor tells of it.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use compat_guests::hypercall::{call1, call2, call4};
use compat_guests::memory::{self, page, shared_info};
use compat_guests::number::{self, DOMID_SELF, vcpu};
use compat_guests::report::{check, result};
use compat_guests::trap::{self, Dealt, Saved};
use compat_guests::{smp, start};

compat_guests::guest!(main);

/// Times that the guest's handler heard of a hit.
static HEARD: AtomicU64 = AtomicU64::new(0);

/// Enable bits and kind of breakpoint 0, 8 bytes: on writes, on reads and writes.
const ON_WRITE: u64 = 0x9_0701;
const ON_ACCESS: u64 = 0xB_0701;
const OFF: u64 = 0x400;

fn main() {
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    shared_info();
    trap::handle(1, heard);
    let block = page();
    for (name, kind) in [("write", ON_WRITE), ("access", ON_ACCESS)] {
        own_access(name, kind, block);
        in_the_hypervisor(name, kind, block);
        in_a_table(name, kind);
    }
    refused();
    check("survives", (call2(number::XEN_VERSION, 0, 0) > 0).into(), format_args!("the hypervisor answers"));
}

fn heard(_: &mut Saved) -> Dealt {
    HEARD.fetch_add(1, SeqCst);
    Dealt::Resume
}

/// Watches 8 bytes; gives back what the hypervisor says to it.
fn watch(address: u64, kind: u64) -> [i64; 2] {
    [call2(number::SET_DEBUGREG, 0, address), call2(number::SET_DEBUGREG, 7, kind)]
}

fn stop() {
    call2(number::SET_DEBUGREG, 7, OFF);
    call2(number::SET_DEBUGREG, 6, 0);
}

/// The breakpoint works at all: a write of the guest's own is heard of.
fn own_access(name: &str, kind: u64, block: u64) {
    let before = HEARD.load(SeqCst);
    for (index, answer) in watch(block, kind).into_iter().enumerate() {
        result(format_args!("{name}.set{index}"), answer);
    }
    memory::write(block, 1);
    check("own-write-is-heard", (HEARD.load(SeqCst) == before + 1).into(), format_args!("{name}"));
    stop();
}

/// Calls that copy in and out across the watched bytes.
fn in_the_hypervisor(name: &str, kind: u64, block: u64) {
    for offset in [0, 8, 1000, 1016] {
        watch(block + offset, kind);
        result(format_args!("{name}.{offset}.command-line"), call2(number::XEN_VERSION, 9, block));
        result(format_args!("{name}.{offset}.extraversion"), call2(number::XEN_VERSION, 1, block));
        stop();
    }
    memory::write(block, DOMID_SELF);
    watch(block, kind);
    let pages = call2(number::MEMORY_OP, number::memory::MAXIMUM_RESERVATION, block);
    check("copy-in", (pages > 0).into(), format_args!("{name}"));
    stop();
    for (offset, value) in [(0, number::XEN_VERSION), (16, 0), (24, 0)] {
        memory::write(block + offset, value);
    }
    for offset in [0, 8, 16, 24] {
        watch(block + offset, kind);
        result(format_args!("{name}.multicall{offset}"), call2(number::MULTICALL, block, 1));
        stop();
    }
    watch(shared_info(), kind);
    result(format_args!("{name}.yield"), call1(number::SCHED_OP, 0));
    stop();
}

/// An update of a page table whose entry is watched.
fn in_a_table(name: &str, kind: u64) {
    let window = page();
    let machine = memory::entry_address(window, 1);
    let Some((_, table)) = memory::table(window, 1) else { return };
    watch(table + memory::index(window, 1) * 8, kind);
    let update = [machine, memory::l1_entry(window)];
    result(format_args!("{name}.mmu-update"), call4(number::MMU_UPDATE, update.as_ptr() as u64, 1, 0, DOMID_SELF));
    stop();
}

/// Addresses of the hypervisor's own cannot be watched.
fn refused() {
    for address in [
        0xffff_8000_0000_0000,
        0xffff_8200_0000_0000,
        0xffff_82d0_0000_0000,
        0xffff_8300_0000_0000,
        0xffff_87ff_ffff_ffff,
    ] {
        result(format_args!("refused.{address:x}"), call2(number::SET_DEBUGREG, 0, address));
    }
    result(format_args!("accepted"), call2(number::SET_DEBUGREG, 0, start::info_address()));
}
