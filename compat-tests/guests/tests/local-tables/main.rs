//! LDT pages are mapped on the first use. Here that use is the hypervisor's own: it loads selectors at a context switch
//! (two vCPUs on one CPU), returns to code in the LDT, loads the other mode's GS.
#![no_std]
#![no_main]

use compat_guests::hypercall::{call2, mmuext};
use compat_guests::memory::{self, read, write};
use compat_guests::number::{self, mmuext as ext, sched, vcpu};
use compat_guests::report::{check, result, value_at};
use compat_guests::segment::{descriptor, selectors};
use compat_guests::trap::{self, Dealt, FAILSAFE, Saved};
use compat_guests::{smp, time, user};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

compat_guests::guest!(main);

/// Selectors of the first page, and of the second.
const CODE: u64 = 0xf;
const DATA: u64 = 0x17;
const FAR_DATA: u64 = 0x100f;
const PAGE_FAULT: u64 = 14;

static TURNS: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);
static FAILED_DS: AtomicU64 = AtomicU64::new(0);

fn main() {
    memory::shared_info();
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    let table = memory::pages(2);
    write(table + 8, descriptor(0, 0xf_ffff, 0xfb, 0xa));
    write(table + 16, descriptor(0, 0xf_ffff, 0xf3, 0xc));
    write(table + 4096 + 8, descriptor(0, 0xf_ffff, 0xf3, 0xc));
    for page in [table, table + 4096] {
        result(format_args!("read-only"), memory::make_read_only(page));
    }
    trap::handle(FAILSAFE, failed);
    returns(table);
    result(format_args!("second.start"), smp::start(1, turn, 0));
    switches(table);
    other_mode(table);
}

/// Counts and goes on with the selectors as they are now.
fn failed(saved: &mut Saved) -> Dealt {
    FAILED.fetch_add(1, SeqCst);
    FAILED_DS.store(saved.frame()[2] & 0xffff, SeqCst);
    Dealt::Resume
}

extern "C" fn turn(_: u64) -> ! {
    loop {
        TURNS.fetch_add(1, SeqCst);
        call2(number::SCHED_OP, sched::YIELD, 0);
    }
}

extern "C" fn ends() {
    // SAFETY: ends the run in user mode.
    unsafe { asm!("ud2") };
}

/// IRET to user mode in a code segment of a page that nobody has touched.
fn returns(table: u64) {
    result(format_args!("user"), user::prepare().map_or_else(|error| error, |()| 0));
    let entry = user::Entry { rip: ends as *const () as u64, flags: 0x202, selector: CODE };
    for (label, address, entries) in [("fresh", table, 1024u64), ("short", table, 1), ("unmapped", 0x1000, 1024)] {
        result(format_args!("return.{label}.set"), mmuext(ext::SET_LDT, address, entries));
        trap::handle(FAILSAFE, |_| Dealt::NotMine);
        if let Some(caught) = user::run(entry) {
            value_at(format_args!("return.{label}.vector"), caught.vector);
            value_at(format_args!("return.{label}.cs"), caught.cs & 0xffff);
            value_at(format_args!("return.{label}.error"), caught.error);
            if caught.vector == PAGE_FAULT {
                value_at(format_args!("return.{label}.cr2"), caught.cr2);
            }
            if label != "fresh" {
                check("faults-before-it", (caught.rip == entry.rip).into(), format_args!("{label}"));
            }
        }
        trap::handle(FAILSAFE, failed);
    }
}

fn load(selector: u64) {
    // SAFETY: 64-bit code does not use ds and es; fs and gs are not used here.
    unsafe { asm!("mov ds, {0:e}", "mov es, {0:e}", "mov fs, {0:e}", "mov gs, {0:e}", in(reg) selector) };
}

/// Lets the other vCPU have the CPU, which loads our selectors anew when we come back.
fn switch() -> bool {
    let before = TURNS.load(SeqCst);
    for _ in 0..20 {
        time::poll(&[], time::now() + 2_000_000);
    }
    TURNS.load(SeqCst) > before
}

fn switches(table: u64) {
    for (label, selector) in [("near", DATA), ("far", FAR_DATA)] {
        result(format_args!("switch.{label}.set"), mmuext(ext::SET_LDT, table, 1024));
        load(selector);
        result(format_args!("switch.{label}.reload"), memory::reload_base());
        check("switched", switch().into(), format_args!("{label}"));
        let [_, ds, es, fs, gs, _] = selectors();
        for (name, found) in [("ds", ds), ("es", es), ("fs", fs), ("gs", gs)] {
            value_at(format_args!("switch.{label}.{name}"), found & 0xffff);
        }
        value_at(format_args!("switch.{label}.failed"), FAILED.swap(0, SeqCst));
        load(0);
    }
    // What cannot be shown is told to the failsafe callback.
    result(format_args!("switch.gone.set"), mmuext(ext::SET_LDT, table, 1024));
    load(DATA);
    result(format_args!("switch.gone.unmapped"), mmuext(ext::SET_LDT, 0x1000, 1024));
    check("switched", switch().into(), format_args!("gone"));
    check("failsafe-heard", (FAILED.swap(0, SeqCst) > 0).into(), format_args!("unmapped table"));
    value_at(format_args!("switch.gone.told"), FAILED_DS.load(SeqCst));
    value_at(format_args!("switch.gone.ds"), selectors()[1] & 0xffff);
    load(0);
}

/// The other mode's GS by call, from an untouched page.
fn other_mode(table: u64) {
    result(format_args!("other.set"), mmuext(ext::SET_LDT, table, 1024));
    load(DATA);
    result(format_args!("other.reload"), memory::reload_base());
    result(format_args!("other.call"), call2(number::SET_SEGMENT_BASE, 3, FAR_DATA));
    value_at(format_args!("other.ds"), selectors()[1] & 0xffff);
    value_at(format_args!("other.failed"), FAILED.swap(0, SeqCst));
    // Both pages are in use as descriptor pages now.
    result(format_args!("other.near-in-use"), memory::make_writable(table));
    result(format_args!("other.far-in-use"), memory::make_writable(table + 4096));
    value_at(format_args!("other.reads"), read(table + 16));
    load(0);
}
