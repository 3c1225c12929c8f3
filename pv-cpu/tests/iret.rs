//! The iret hypercall: every word of its frame is a wish.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use common::{Context, registers, vcpu};
use proptest::prelude::*;
use pv_cpu::asynchronous::AsyncException;
use pv_cpu::bounce::{self, Crash};
use pv_cpu::exception::Vector;
use pv_cpu::exit::check_return;
use pv_cpu::iret::{IN_SYSCALL, iret};
use pv_cpu::trap_table::Mode;
use pv_cpu::vcpu::IoplView;

const AT: u64 = 0xFFFF_C900_0000_1E00;

fn with_frame(frame: [u64; 9]) -> Context {
    let mut context = Context { user_table: true, ..Context::default() };
    context.memory = (AT..).step_by(8).zip(frame).collect();
    context
}

#[test]
fn to_user_mode() {
    let (mut cpu, mut regs) = (vcpu(), registers());
    regs.rsp = AT;
    regs.entry_vector = 0x100;
    let mut context = with_frame([1, 2, 3, 0, 0x40_0000, 0x33, 0x3_3302, 0x7000, 0x2B]);
    cpu.iopl = 1;
    iret(&mut cpu, &mut regs, &mut context).unwrap();
    assert_eq!((regs.rax, regs.r11, regs.rcx, regs.rip, regs.rsp), (1, 2, 3, 0x40_0000, 0x7000));
    assert_eq!((regs.cs, regs.ss), (0x33, 0x2B));
    assert_eq!(regs.rflags, 0x1_0302, "IOPL and VM are dropped, IF is on, TF and RF stay");
    assert!(!regs.may_sysret());
    assert_eq!((cpu.mode, cpu.iopl, context.mask.get()), (Mode::User, 1, 0));
    assert_eq!(context.switches, [Mode::User]);
}

#[test]
fn to_kernel_mode_with_lower_levels() {
    for level in 0..3 {
        let (mut cpu, mut regs) = (vcpu(), registers());
        regs.rsp = AT;
        let mut context = with_frame([1, 2, 3, 0, 0x40_0000, 0xE030 | level, 0x2, 0x7000, 0xE028 | level]);
        context.user_table = false;
        iret(&mut cpu, &mut regs, &mut context).unwrap();
        assert_eq!((regs.cs, regs.ss), (0xE033, 0xE02B));
        assert_eq!((cpu.mode, context.mask.get()), (Mode::Kernel, 1));
        assert_eq!(regs.rflags, 0x202);
    }
}

#[test]
fn in_syscall_is_like_sysret() {
    for (cs, loaded) in [(0x33, 0xE033), (0xE023, 0xE023), (0xE033, 0xE033), (0x23, 0xE033)] {
        let (mut cpu, mut regs) = (vcpu(), registers());
        regs.rsp = AT;
        let mut context = with_frame([1, 2, 3, IN_SYSCALL, 0x40_0000, cs, 0x1_0202, 0x7000, 0x2B]);
        iret(&mut cpu, &mut regs, &mut context).unwrap();
        assert_eq!((regs.cs, regs.ss), (loaded, 0xE02B));
        assert_eq!((regs.rcx, regs.r11, regs.rflags), (0x40_0000, 0x202, 0x202));
        assert!(regs.may_sysret());
    }
}

#[test]
fn architectural_iopl_is_taken() {
    let (mut cpu, mut regs) = (vcpu(), registers());
    regs.rsp = AT;
    let mut context = with_frame([0, 0, 0, 0, 0, 0x33, 0x3202, 0, 0]);
    context.iopl = IoplView::Architectural;
    iret(&mut cpu, &mut regs, &mut context).unwrap();
    assert_eq!((cpu.iopl, regs.rflags), (3, 0x202));
}

#[test]
fn what_crashes() {
    let (mut cpu, mut regs) = (vcpu(), registers());
    regs.rsp = AT;
    let mut context = with_frame([0, 0, 0, 0, 0, 0x33, 0, 0, 0]);
    context.user_table = false;
    assert_eq!(iret(&mut cpu, &mut regs, &mut context), Err(Crash::NoUserPageTable));
    for rsp in [AT + 8, 0xFFFF_8000_0000_0000, 0xFFFF_87FF_FFFF_FFF8, 0x7FFF_FFFF_FFF8, u64::MAX - 70] {
        regs.rsp = rsp;
        assert_eq!(iret(&mut cpu, &mut regs, &mut context), Err(Crash::IretFrameUnreadable(rsp)));
    }
}

#[test]
fn ends_an_nmi() {
    let (mut cpu, mut regs, mut context) = (vcpu(), registers(), with_frame([0, 0, 0, 0, 0, 0xE030, 0, 0, 0]));
    let _entered = bounce::asynchronous(&mut cpu, &mut regs, &mut context, AsyncException::Nmi).unwrap();
    regs.rsp = AT;
    iret(&mut cpu, &mut regs, &mut context).unwrap();
    assert!(!cpu.async_mask.blocks(AsyncException::Nmi));
}

proptest! {
    /// Whatever stands in the frame, the exit gate finds nothing to object to.
    #[test]
    fn any_frame_passes_the_exit_gate(frame: [u64; 9], how in prop_oneof![Just(0), Just(IN_SYSCALL)], iopl: bool) {
        let (mut cpu, mut regs) = (vcpu(), registers());
        regs.rsp = AT;
        let mut frame = frame;
        frame[3] = how;
        let mut context = with_frame(frame);
        if iopl {
            context.iopl = IoplView::Architectural;
        }
        iret(&mut cpu, &mut regs, &mut context).unwrap();
        check_return(&regs).unwrap();
        prop_assert!(cpu.iopl <= 3);
    }

    /// A bounce and the return from it leave the interrupted state as it was, in kernel and user mode.
    #[test]
    fn a_bounce_is_undone_by_iret(rip: u64, rcx: u64, r11: u64, flags: u64, user: bool, rsp in 0x1000u64..1 << 40) {
        let (mut cpu, mut regs) = (vcpu(), registers());
        let mut context = Context { user_table: true, ..Context::default() };
        (regs.rip, regs.rcx, regs.r11, regs.rsp) = (rip, rcx, r11, rsp);
        regs.rflags = pv_cpu::flags::guest_flags(flags);
        if user {
            cpu.mode = Mode::User;
            (regs.cs, regs.ss) = (0x33, 0x2B);
        }
        let before = (regs, cpu.clone());
        bounce::exception(&mut cpu, &mut regs, &mut context, Vector::INVALID_OPCODE, 0).unwrap();
        // What a handler does before iret: rcx and r11 popped, then pushed in the order iret wants, below the frame.
        let frame = regs.rsp;
        let at = frame - 16;
        let words = [regs.rax, r11, rcx, 0];
        for (address, word) in (at..).step_by(8).zip(words) {
            context.memory.insert(address, word);
        }
        regs.rsp = at;
        iret(&mut cpu, &mut regs, &mut context).unwrap();
        regs.entry_vector = before.0.entry_vector;
        prop_assert_eq!((regs, cpu), before);
    }
}
