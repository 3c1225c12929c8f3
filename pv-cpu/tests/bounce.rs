//! The frames that guests' handlers find, byte by byte, and the registers they start with.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use common::{Context, registers, vcpu};
use pv_cpu::asynchronous::AsyncException;
use pv_cpu::bounce::{self, Crash, DataSelectors, Delivery, SystemCall};
use pv_cpu::exception::{Exception, Vector};
use pv_cpu::registers::Registers;
use pv_cpu::trap_table::{Events, Mode, TrapGate};
use pv_cpu::vcpu::{Callback, IoplView};

const KERNEL_STACK_TOP: u64 = 0xFFFF_C900_0000_1F30;
const USER_ENTRY_TOP: u64 = 0xFFFF_C900_0000_5000;

fn frame(context: &Context, top: u64, words: &[u64]) -> u64 {
    let start = top - 8 * words.len() as u64;
    let expected: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(context.bytes(start, top), expected);
    assert_eq!(context.memory.len(), words.len());
    start
}

fn entered(registers: &Registers, handler: u64, rsp: u64) {
    assert_eq!(registers.rip, handler);
    assert_eq!(registers.rsp, rsp);
    assert_eq!((registers.cs, registers.ss), (0xE033, 0xE02B));
    assert!(registers.may_sysret());
}

#[test]
fn exception_without_code_in_kernel_mode() {
    let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
    bounce::exception(&mut cpu, &mut regs, &mut context, Vector::DIVIDE, 99).unwrap();
    let words = [
        0x1111_2222_3333_4444,
        0x5555_6666_7777_8888,
        0xFFFF_FFFF_8100_1234,
        0xE030,
        0x10246,
        0xFFFF_C900_0000_1F38,
        0xE02B,
    ];
    let rsp = frame(&context, KERNEL_STACK_TOP, &words);
    entered(&regs, 0xFFFF_FFFF_8200_0000, rsp);
    assert_eq!(regs.rflags, 0x246, "RF is cleared");
    assert_eq!(context.mask.get(), 0);
    assert!(context.switches.is_empty());
}

#[test]
fn page_fault_from_user_mode() {
    let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
    cpu.mode = Mode::User;
    (regs.cs, regs.ss, regs.rsp, regs.rip) = (0x33, 0x2B, 0x7FFF_FFFF_E008, 0x40_1000);
    regs.rflags = 0x4_7F03 & !0x3000 | 0x200;
    context.mask.set(1);
    bounce::exception(&mut cpu, &mut regs, &mut context, Vector::PAGE_FAULT, 6).unwrap();
    let words =
        [0x1111_2222_3333_4444, 0x5555_6666_7777_8888, 6, 0x40_1000, 0x33 | 1 << 32, 0x4_4D03, 0x7FFF_FFFF_E008, 0x2B];
    let rsp = frame(&context, USER_ENTRY_TOP, &words);
    entered(&regs, 0xFFFF_FFFF_8200_E000, rsp);
    assert_eq!(regs.rflags, 0xE03, "AC, NT and TF are cleared, IF and DF stay");
    assert_eq!(context.switches, [Mode::Kernel]);
    assert_eq!(cpu.mode, Mode::Kernel);
}

#[test]
fn page_fault_code_has_the_guests_user_bit() {
    for (mode, code, pushed) in
        [(Mode::Kernel, 7, 3), (Mode::Kernel, 4, 0), (Mode::User, 0, 4), (Mode::User, 0x11, 0x15)]
    {
        let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
        cpu.mode = mode;
        bounce::exception(&mut cpu, &mut regs, &mut context, Vector::PAGE_FAULT, code).unwrap();
        assert_eq!(context.memory[&(regs.rsp + 16)], pushed);
    }
}

#[test]
fn every_vector_with_and_without_code() {
    for vector in 0..=255u8 {
        let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
        bounce::exception(&mut cpu, &mut regs, &mut context, Vector(vector), 0x50).unwrap();
        let coded = matches!(vector, 8 | 10..=14 | 17 | 21);
        assert_eq!(context.memory.len(), if coded { 8 } else { 7 }, "vector {vector}");
        assert_eq!(regs.rsp % 16, if coded { 0 } else { 8 });
    }
}

#[test]
fn mask_byte_is_saved_and_set() {
    for (mask, flags, after) in [(0, 4, 1), (0, 0, 0), (1, 4, 1), (0x82, 4, 0x83), (0x82, 0, 0x82)] {
        let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
        cpu.traps.set(Vector::DEBUG, TrapGate::new(0x1000, 0x10, flags));
        context.mask.set(mask);
        bounce::exception(&mut cpu, &mut regs, &mut context, Vector::DEBUG, 0).unwrap();
        assert_eq!(context.memory[&(regs.rsp + 24)], 0xE030 | u64::from(mask) << 32);
        assert_eq!(context.memory[&(regs.rsp + 32)] & 0x200, if mask == 0 { 0x200 } else { 0 });
        assert_eq!(context.mask.get(), after);
        assert_ne!(regs.rflags & 0x200, 0, "the hardware flag stays on");
    }
}

#[test]
fn iopl_shows_only_where_asked() {
    for (view, shown) in [(IoplView::Hidden, 0), (IoplView::Architectural, 0x3000)] {
        let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
        cpu.iopl = 3;
        context.iopl = view;
        bounce::exception(&mut cpu, &mut regs, &mut context, Vector::DEBUG, 0).unwrap();
        assert_eq!(context.memory[&(regs.rsp + 32)] & 0x3000, shown);
        assert_eq!(regs.rflags & 0x3000, 0);
    }
}

#[test]
fn event_upcall_masks() {
    let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
    assert_eq!(bounce::event(&mut cpu, &mut regs, &mut context), Err(Crash::NoEventCallback));
    cpu.callbacks.event = 0xFFFF_FFFF_8300_0000;
    bounce::event(&mut cpu, &mut regs, &mut context).unwrap();
    assert_eq!(context.memory.len(), 7);
    assert_eq!(context.mask.get(), 1);
    entered(&regs, 0xFFFF_FFFF_8300_0000, KERNEL_STACK_TOP - 56);
}

#[test]
fn two_bounces_stack() {
    let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
    cpu.callbacks.event = 0x3000;
    bounce::exception(&mut cpu, &mut regs, &mut context, Vector::DIVIDE, 0).unwrap();
    let (first, handler) = (regs.rsp, regs.rip);
    bounce::event(&mut cpu, &mut regs, &mut context).unwrap();
    assert_eq!(regs.rsp, (first & !15) - 56);
    assert_eq!(context.memory[&(regs.rsp + 16)], handler);
    assert_eq!(context.memory[&(regs.rsp + 40)], first);
}

#[test]
fn failsafe_frame() {
    let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
    let selectors = DataSelectors { ds: 0xD, es: 0xE, fs: 0xF, gs: 0x10 };
    let refused = bounce::failsafe(&mut cpu, &mut regs, &mut context, selectors);
    assert_eq!(refused, Err(Crash::NoFailsafeCallback));
    cpu.callbacks.failsafe = Callback { address: 0x7000, events: Events::Masked };
    bounce::failsafe(&mut cpu, &mut regs, &mut context, selectors).unwrap();
    let words = [
        0x1111_2222_3333_4444,
        0x5555_6666_7777_8888,
        0xD,
        0xE,
        0xF,
        0x10,
        0xFFFF_FFFF_8100_1234,
        0xE030,
        0x10246,
        0xFFFF_C900_0000_1F38,
        0xE02B,
    ];
    let rsp = frame(&context, KERNEL_STACK_TOP, &words);
    entered(&regs, 0x7000, rsp);
    assert_eq!(context.mask.get(), 1);
}

#[test]
fn system_calls() {
    let user = || {
        let (mut cpu, mut regs) = (vcpu(), registers());
        cpu.mode = Mode::User;
        (regs.cs, regs.ss, regs.rsp, regs.rip, regs.rflags) = (0x33, 0x2B, 0x7000_0000, 0x40_0002, 0x646);
        let callback = |address, events| Callback { address, events };
        cpu.callbacks.syscall = callback(0x1000, Events::Unchanged);
        cpu.callbacks.syscall32 = callback(0x2000, Events::Masked);
        cpu.callbacks.sysenter = callback(0x3000, Events::Masked);
        (cpu, regs, Context::default())
    };
    for (call, handler, cs, rip, rsp, mask) in [
        (SystemCall::Syscall, 0x1000, 0xE033, 0x40_0002, 0x7000_0000, 0),
        (SystemCall::Syscall32, 0x2000, 0xE023, 0x40_0002, 0x7000_0000, 1),
        (SystemCall::Sysenter, 0x3000, 3, 0, 0, 1),
    ] {
        let (mut cpu, mut regs, mut context) = user();
        bounce::system_call(&mut cpu, &mut regs, &mut context, call).unwrap();
        let words = [0x1111_2222_3333_4444, 0x5555_6666_7777_8888, rip, cs, 0x646, rsp, 0xE02B];
        let stack = frame(&context, USER_ENTRY_TOP, &words);
        entered(&regs, handler, stack);
        assert_eq!(regs.rflags, 0x246, "DF is cleared");
        assert_eq!(context.mask.get(), mask);
    }
    for (call, vector, rip) in
        [(SystemCall::Syscall, 6u64, 0x40_0000), (SystemCall::Syscall32, 6, 0x40_0000), (SystemCall::Sysenter, 13, 0)]
    {
        let (mut cpu, mut regs, mut context) = user();
        cpu.callbacks = Default::default();
        bounce::system_call(&mut cpu, &mut regs, &mut context, call).unwrap();
        assert_eq!(regs.rip, 0xFFFF_FFFF_8200_0000 + vector * 0x1000);
        assert_eq!(context.memory[&(regs.rsp + if vector == 13 { 24 } else { 16 })], rip);
    }
}

#[test]
fn asynchronous_exceptions_block_until_iret() {
    let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
    let mut deliver = |cpu: &mut _, which| bounce::asynchronous(cpu, &mut regs, &mut context, which).unwrap();
    assert_eq!(deliver(&mut cpu, AsyncException::Nmi), Delivery::Entered);
    assert_eq!(deliver(&mut cpu, AsyncException::Nmi), Delivery::Blocked);
    assert_eq!(deliver(&mut cpu, AsyncException::MachineCheck), Delivery::Entered);
    cpu.async_mask.leave();
    assert!(cpu.async_mask.blocks(AsyncException::Nmi), "the inner handler ended first");
    assert!(!cpu.async_mask.blocks(AsyncException::MachineCheck));
    cpu.async_mask.leave();
    assert!(!cpu.async_mask.blocks(AsyncException::Nmi));
    cpu.traps.set(Vector::NMI, TrapGate::default());
    assert_eq!(deliver(&mut cpu, AsyncException::Nmi), Delivery::Dropped);
    assert!(!cpu.async_mask.blocks(AsyncException::Nmi));
}

#[test]
fn software_interrupts_by_level() {
    for (mode, level, allowed) in [
        (Mode::Kernel, 0, false),
        (Mode::Kernel, 1, true),
        (Mode::Kernel, 2, true),
        (Mode::Kernel, 3, true),
        (Mode::User, 0, false),
        (Mode::User, 1, false),
        (Mode::User, 2, false),
        (Mode::User, 3, true),
    ] {
        let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
        cpu.mode = mode;
        cpu.traps.set(Vector(0x21), TrapGate::new(0x9000, 0xE033, level));
        bounce::software_interrupt(&mut cpu, &mut regs, &mut context, 0x21 << 3 | 2).unwrap();
        if allowed {
            assert_eq!(regs.rip, 0x9000);
            assert_eq!(context.memory[&(regs.rsp + 16)], 0xFFFF_FFFF_8100_1236);
        } else {
            assert_eq!(regs.rip, 0xFFFF_FFFF_8200_D000);
            assert_eq!(context.memory[&(regs.rsp + 16)], 0x21 << 3 | 2);
            assert_eq!(context.memory[&(regs.rsp + 24)], 0xFFFF_FFFF_8100_1234);
        }
    }
}

#[test]
fn int_80_ignores_the_level() {
    let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
    cpu.mode = Mode::User;
    cpu.traps.set(Vector::SYSCALL_80, TrapGate::new(0x8000, 0xE033, 0));
    bounce::int_80(&mut cpu, &mut regs, &mut context).unwrap();
    assert_eq!((regs.rip, context.memory[&(regs.rsp + 16)]), (0x8000, 0xFFFF_FFFF_8100_1234));
    cpu.traps.set(Vector::SYSCALL_80, TrapGate::default());
    let mut regs = registers();
    bounce::int_80(&mut cpu, &mut regs, &mut context).unwrap();
    assert_eq!(regs.rip, 0xFFFF_FFFF_8200_D000);
    assert_eq!(context.memory[&(regs.rsp + 16)], 0x80 << 3 | 2);
    assert_eq!(context.memory[&(regs.rsp + 24)], 0xFFFF_FFFF_8100_1232);
}

#[test]
fn what_crashes() {
    let try_stack = |rsp: u64| {
        let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
        regs.rsp = rsp;
        bounce::exception(&mut cpu, &mut regs, &mut context, Vector::DIVIDE, 0)
    };
    for rsp in [
        0xFFFF_8000_0000_0008,
        0xFFFF_8000_0000_1000,
        0xFFFF_8800_0000_0000,
        0xFFFF_8800_0000_0030,
        0x8000_0000_0010,
        0x8000_0000_1000,
        0x10,
        0x30,
    ] {
        let bad = try_stack(rsp);
        assert!(matches!(bad, Err(Crash::StackOutOfRange(_))), "{rsp:#x}: {bad:?}");
    }
    assert_eq!(try_stack(0x8000_0000_0000), Ok(()), "the frame ends where the lower half does");
    assert_eq!(try_stack(0xFFFF_8800_0000_0040), Ok(()));
    let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
    context.unreachable = true;
    let start = KERNEL_STACK_TOP - 56;
    let unwritable = bounce::exception(&mut cpu, &mut regs, &mut context, Vector::DIVIDE, 0);
    assert_eq!(unwritable, Err(Crash::StackUnwritable(start)));
    cpu.traps.clear();
    let missing = bounce::raise(&mut cpu, &mut regs, &mut context, Exception::INVALID_OPCODE);
    assert_eq!(missing, Err(Crash::NoHandler(Vector::INVALID_OPCODE)));
}

#[test]
fn debug_exception_notes_its_cause() {
    let (mut cpu, mut regs, mut context) = (vcpu(), registers(), Context::default());
    regs.rflags |= 0x100;
    let causes = bounce::step_causes(&regs);
    bounce::debug(&mut cpu, &mut regs, &mut context, causes | 2).unwrap();
    assert_eq!(cpu.debug.dr6(), 0xFFFF_4FF2);
    assert_eq!(bounce::step_causes(&regs), 0, "the handler does not single-step");
}
