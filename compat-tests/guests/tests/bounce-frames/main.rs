//! What the hypervisor pushes when it bounces a trap to the guest, and in what state the handler starts.
//!
//! Addresses are printed relative to the trapping instruction and to the stack pointer, so that the figures do not depend
//! on the build. rcx and r11 are what the frame says; the snippets set them to 0x11111111 and 0x22222222.
#![no_std]
#![no_main]

mod cases;

use cases::Case;
use compat_guests::buffer::Buffer;
use compat_guests::events::{self, upcall_mask};
use compat_guests::hypercall::{call1, call2};
use compat_guests::report::value_at;
use compat_guests::trap::{self, Caught, TrapInfo};
use compat_guests::user::{self, Entry};
use compat_guests::{memory, number, report, smp};
use core::sync::atomic::Ordering;

compat_guests::guest!(main);

fn main() {
    smp::operation(number::vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    if let Err(error) = user::prepare() {
        report::give_up(format_args!("no user mode: {error}"));
    }
    for mask in [1u8, 0] {
        for case in cases::all() {
            kernel(case, mask, format_args!("kernel.mask{mask}.{}", case.name));
            from_user(case, mask, format_args!("user.mask{mask}.{}", case.name));
        }
    }
    io_privilege();
    device_not_available();
    syscalls();
    event_frames();
    without_handlers();
}

fn kernel(case: Case, mask: u8, label: core::fmt::Arguments<'_>) {
    upcall_mask(0).store(mask, Ordering::SeqCst);
    // SAFETY: the snippet is a function that ends in a trap, and `catch` unwinds it.
    let function: extern "C" fn(u64) = unsafe { core::mem::transmute(case.start) };
    let caught = trap::catch(function, 0);
    upcall_mask(0).store(1, Ordering::SeqCst);
    print(label, case, caught, None);
}

fn from_user(case: Case, mask: u8, label: core::fmt::Arguments<'_>) {
    let flags = if mask == 0 { 0x202 } else { 2 };
    let caught = user::run(Entry { rip: case.start, flags, selector: 0xe033 });
    upcall_mask(0).store(1, Ordering::SeqCst);
    print(label, case, caught, Some(user::kernel_stack()));
}

/// Prints a caught trap; `stack` is the stack top the frame should be on, if it is not the interrupted one.
fn print(label: core::fmt::Arguments<'_>, case: Case, caught: Option<Caught>, stack: Option<u64>) {
    let Some(caught) = caught else {
        value_at(format_args!("{label}.vector"), u64::MAX);
        return;
    };
    value_at(format_args!("{label}.vector"), caught.vector);
    let before_rip = caught.length - 5;
    for (index, &word) in caught.frame[..caught.length].iter().enumerate() {
        let word = match index.wrapping_sub(before_rip) {
            0 if word >= 0xffff_ffff_8000_0000 => word.wrapping_sub(case.at),
            3 => word & 0xf,
            _ => word,
        };
        value_at(format_args!("{label}.word{index}"), word);
    }
    let from = stack.unwrap_or(caught.rsp & !15);
    value_at(format_args!("{label}.below"), from.wrapping_sub(caught.address));
    value_at(format_args!("{label}.handler.flags"), caught.handler_flags);
    value_at(format_args!("{label}.handler.mask"), caught.mask);
    value_at(format_args!("{label}.handler.cs"), caught.selectors[0]);
    value_at(format_args!("{label}.handler.ss"), caught.selectors[1]);
    if caught.vector == 14 {
        value_at(format_args!("{label}.cr2"), caught.cr2);
    }
}

/// The same snippets under virtual IOPL 1 and 3 and with the architectural-IOPL assist.
fn io_privilege() {
    let interesting = ["undefined", "cli", "halt", "flags", "int_user"];
    for assist in [1u64, 0] {
        call2(number::VM_ASSIST, assist, 4);
        for level in [0u32, 1, 3] {
            let mut argument = Buffer::<8>::new().u32(0, level);
            call2(number::PHYSDEV_OP, 6, argument.address());
            for case in cases::all().filter(|case| interesting.contains(&case.name)) {
                kernel(case, 1, format_args!("assist{assist}.iopl{level}.kernel.{}", case.name));
                from_user(case, 1, format_args!("assist{assist}.iopl{level}.user.{}", case.name));
            }
        }
        let mut none = Buffer::<8>::new();
        call2(number::PHYSDEV_OP, 6, none.address());
    }
    call2(number::VM_ASSIST, 1, 4);
}

/// #NM after fpu_taskswitch, once: delivery clears the virtual TS.
fn device_not_available() {
    extern "C" fn touch(_: u64) {
        // SAFETY: loads and drops a constant.
        unsafe { core::arch::asm!("fld1", "fstp st(0)") };
    }
    call1(number::FPU_TASKSWITCH, 1);
    for round in 0..2 {
        let caught = trap::catch(touch, 0);
        value_at(format_args!("fpu.{round}.vector"), caught.map_or(u64::MAX, |caught| caught.vector));
    }
    call1(number::FPU_TASKSWITCH, 0);
}

core::arch::global_asm!(
    ".pushsection .text, \"ax\"",
    ".globl user_syscall",
    "user_syscall: mov eax, 0x1234; push 0x4ed7; popfq; syscall",
    ".globl user_syscall_after",
    "user_syscall_after: ud2",
    ".popsection",
);
unsafe extern "C" {
    static user_syscall: u8;
    static user_syscall_after: u8;
}

/// `syscall` from user mode: with a callback, with one that masks events, and the state it leaves.
fn syscalls() {
    let case =
        Case { name: "syscall", start: &raw const user_syscall as u64, at: &raw const user_syscall_after as u64 };
    for flags in [0u16, 1] {
        for mask in [1u8, 0] {
            trap::register_callback(2, flags, trap::stub(trap::SYSCALL));
            let entry = if mask == 0 { 0x202 } else { 2 };
            let caught = user::run(Entry { rip: case.start, flags: entry, selector: 0xe033 });
            upcall_mask(0).store(1, Ordering::SeqCst);
            let mut shown = caught;
            if let Some(caught) = &mut shown {
                // rcx is the return address in this frame, too.
                caught.frame[0] = caught.frame[0].wrapping_sub(case.at);
            }
            print(format_args!("syscall.flags{flags}.mask{mask}"), case, shown, Some(user::kernel_stack()));
        }
    }
    trap::register_callback(5, 0, trap::stub(trap::SYSENTER));
    for case in cases::all().filter(|case| case.name == "sysenter") {
        from_user(case, 1, format_args!("sysenter.registered"));
    }
    trap::register_callback(2, 0, trap::stub(trap::SYSCALL));
}

/// The upcall's frame, in kernel mode.
fn event_frames() {
    extern "C" fn unmask(_: u64) {
        upcall_mask(0).store(0, Ordering::SeqCst);
        call1(number::XEN_VERSION, 0);
    }
    let Ok(port) = events::bind_ipi(0) else {
        report::value("event.bind", u64::MAX);
        return;
    };
    events::on_port(number::event::SEND, port);
    value_at(format_args!("event.pending"), events::upcall_pending(0).load(Ordering::SeqCst).into());
    if let Some(caught) = trap::catch(unmask, 0) {
        let case = Case { name: "event", start: caught.rip, at: caught.rip };
        let mut shown = caught;
        shown.frame[0] = shown.frame[0].wrapping_sub(caught.rip);
        print(format_args!("event.kernel"), case, Some(shown), None);
    }
    events::drain(0);
    events::on_port(number::event::CLOSE, port);
}

/// Traps that go nowhere: a vector without handler is the guest's end, but an int n without one is #GP.
fn without_handlers() {
    let mut table = [TrapInfo::new(13, 0), TrapInfo::new(6, 0), TrapInfo::default()];
    table[1].flags = 4;
    call1(number::SET_TRAP_TABLE, table.as_ptr() as u64);
    for case in cases::all().filter(|case| case.name == "undefined") {
        kernel(case, 0, format_args!("masking.kernel.mask0"));
        from_user(case, 0, format_args!("masking.user.mask0"));
    }
    trap::install();
}
