//! Privileged instructions: what works, from which mode, and that everything else is refused.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use common::host::{CODE, Host};
use common::{registers, vcpu};
use pv_cpu::decode::CodeWidth;
use pv_cpu::exception::{Exception, Vector};
use pv_cpu::privileged::{Emulation, emulate, forced_emulation};
use pv_cpu::registers::Registers;
use pv_cpu::trap_table::{Mode, TrapGate};
use pv_cpu::vcpu::{CpuidFaulting, IoBitmap, IoplView, VirtualCpu};

const DONE: Emulation = Emulation::Done { debug_causes: 0 };
const REFUSED: Emulation = Emulation::Fault(Exception::GENERAL_PROTECTION);

struct Run {
    cpu: VirtualCpu,
    regs: Registers,
    host: Host,
}

impl Run {
    fn new(code: &[u8]) -> Self {
        let mut regs = registers();
        regs.rip = CODE;
        regs.rflags = 0x10202;
        Run { cpu: vcpu(), regs, host: Host::with_code(code) }
    }

    fn user(mut self) -> Self {
        self.cpu.mode = Mode::User;
        self
    }

    fn emulate(&mut self) -> Emulation {
        emulate(&mut self.cpu, &mut self.regs, &mut self.host)
    }

    #[track_caller]
    fn done(&mut self, length: u64) {
        assert_eq!(self.emulate(), DONE);
        assert_eq!(self.regs.rip, CODE + length);
        assert_eq!(self.regs.rflags, 0x202, "RF is cleared");
    }

    #[track_caller]
    fn refused(&mut self) {
        let before = self.regs;
        assert_eq!(self.emulate(), REFUSED);
        assert_eq!(self.regs, before);
    }
}

#[test]
fn msrs() {
    let mut run = Run::new(&[0x0F, 0x32]);
    run.host.msrs.insert(0xC000_0080, 0x1_0000_0D01);
    run.regs.rcx = 0xFFFF_FFFF_C000_0080;
    run.done(2);
    assert_eq!((run.regs.rax, run.regs.rdx), (0xD01, 1));

    let mut run = Run::new(&[0x66, 0x48, 0x0F, 0x30]);
    run.host.msrs.insert(0x10, 0);
    (run.regs.rcx, run.regs.rax, run.regs.rdx) = (0x10, 0xFFFF_FFFF_0000_0001, 0xFFFF_FFFF_0000_0002);
    run.done(4);
    assert_eq!(run.host.msrs[&0x10], 0x2_0000_0001);

    for code in [[0x0F, 0x32], [0x0F, 0x30]] {
        let mut run = Run::new(&code);
        run.regs.rcx = 0x9999;
        run.refused();
        let mut run = Run::new(&code).user();
        run.host.msrs.insert(0x10, 0);
        run.regs.rcx = 0x10;
        run.refused();
    }
}

#[test]
fn rdmsr_before_there_is_a_handler() {
    let attempt = |index: u64, code: &[u8]| {
        let mut run = Run::new(code);
        run.cpu.traps.set(Vector::GENERAL_PROTECTION, TrapGate::default());
        run.host.hardware_msrs = vec![0x1A0, 0x4000_0001];
        run.regs.rcx = index;
        (run.emulate(), run.regs.rax, run.regs.rdx)
    };
    assert_eq!(attempt(0x1A0, &[0x0F, 0x32]), (DONE, 0, 0));
    assert_eq!(attempt(0x1A1, &[0x0F, 0x32]).0, REFUSED);
    assert_eq!(attempt(0x4000_0001, &[0x0F, 0x32]).0, REFUSED);
    assert_eq!(attempt(0x1A0, &[0x0F, 0x30]).0, REFUSED);
}

#[test]
fn control_registers() {
    // mov rbx, cr0
    let mut run = Run::new(&[0x0F, 0x20, 0xC3]);
    run.done(3);
    assert_eq!(run.regs.rbx, 0x8005_0033, "the host's TS does not show");
    // mov cr0, r9 with TS
    let mut run = Run::new(&[0x41, 0x0F, 0x22, 0xC1]);
    run.regs.r9 = 0x8005_003B;
    run.done(4);
    assert!(run.cpu.control.is_task_switched());
    let mut run = Run::new(&[0x41, 0x0F, 0x22, 0xC1]);
    run.regs.r9 = 0x8005_0032;
    run.refused();
    // clts; the mod field of the ModRM byte below is ignored
    let mut run = Run::new(&[0x0F, 0x06]);
    run.cpu.control.set_task_switched(8);
    run.done(2);
    assert!(!run.cpu.control.is_task_switched());
    // mov cr4, rax; mov rax, cr4
    let mut run = Run::new(&[0x0F, 0x22, 0x20]);
    run.regs.rax = u64::MAX;
    run.done(3);
    assert_eq!(run.cpu.control.cr4(), 0x05_066C);
    // cr2, cr3
    let mut run = Run::new(&[0x0F, 0x22, 0xD0]);
    run.regs.rax = 0xDEAD;
    run.done(3);
    assert_eq!(run.host.cr2, 0xDEAD);
    let mut run = Run::new(&[0x0F, 0x20, 0xD8]);
    run.done(3);
    assert_eq!(run.regs.rax, 0x1234_5000);
    for (value, outcome) in [(0x3000, DONE), (0x1000, REFUSED), (0x2000, Emulation::Retry)] {
        let mut run = Run::new(&[0x0F, 0x22, 0xD8]);
        run.regs.rax = value;
        assert_eq!(run.emulate(), outcome);
    }
    // cr8, cr1, user mode
    for code in [&[0x44, 0x0F, 0x20, 0xC0][..], &[0x0F, 0x20, 0xC8], &[0x44, 0x0F, 0x22, 0xC0]] {
        Run::new(code).refused();
    }
    for code in [&[0x0F, 0x20, 0xC0][..], &[0x0F, 0x22, 0xC0], &[0x0F, 0x06], &[0x0F, 0x09], &[0x0F, 0x21, 0xF8]] {
        Run::new(code).user().refused();
    }
}

#[test]
fn debug_registers() {
    let mut run = Run::new(&[0x0F, 0x23, 0xF8]);
    run.regs.rax = 0x401;
    run.done(3);
    assert_eq!(run.host.log, ["debug 0x401"]);
    let mut run = Run::new(&[0x0F, 0x21, 0xF0]);
    run.done(3);
    assert_eq!(run.regs.rax, 0xFFFF_0FF0);
    let mut run = Run::new(&[0x0F, 0x23, 0xC0]);
    run.regs.rax = 0xFFFF_8000_0000_0000;
    run.refused();
    for modrm in [0xE0, 0xE8, 0xF0, 0xF8] {
        let mut run = Run::new(&[0x0F, 0x23, modrm]);
        run.regs.rax = 1 << 32;
        run.refused();
    }
}

#[test]
fn time_stamps_and_xcr() {
    let mut run = Run::new(&[0x0F, 0x31]);
    run.done(2);
    assert_eq!((run.regs.rax, run.regs.rdx), (2, 1));
    let mut run = Run::new(&[0x0F, 0x01, 0xF9]);
    run.done(3);
    assert_eq!((run.regs.rax, run.regs.rcx, run.regs.rdx), (2, 7, 1));
    let mut run = Run::new(&[0x0F, 0x01, 0xF9]);
    run.host.aux = None;
    assert_eq!(run.emulate(), Emulation::Fault(Exception::INVALID_OPCODE));
    for code in [&[0x0F, 0x31][..], &[0x0F, 0x01, 0xF9]] {
        let mut run = Run::new(code).user();
        run.cpu.control.set_cr4(4, u64::MAX, 0);
        run.refused();
        run.cpu.control.set_cr4(0, u64::MAX, 0);
        run.done(code.len() as u64);
    }
    let mut run = Run::new(&[0x0F, 0x01, 0xD1]);
    (run.regs.rax, run.regs.rdx, run.regs.rcx) = (7, 0, 0);
    assert_eq!(run.emulate(), Emulation::Fault(Exception::INVALID_OPCODE));
    run.cpu.control.set_cr4(1 << 18, u64::MAX, 0);
    run.done(3);
    assert_eq!(run.host.log, ["xcr0 0x7"]);
    let mut run = Run::new(&[0x0F, 0x01, 0xD1]);
    run.cpu.control.set_cr4(1 << 18, u64::MAX, 0);
    run.regs.rcx = 1;
    run.refused();
}

#[test]
fn cpuid_both_ways() {
    let mut run = Run::new(&[0x0F, 0xA2]);
    (run.regs.rax, run.regs.rcx) = (0xFFFF_FFFF_0000_0007, 1);
    run.done(2);
    assert_eq!((run.regs.rax, run.regs.rbx, run.regs.rcx, run.regs.rdx), (1, 2, 3, 4));
    assert_eq!(run.host.log, ["cpuid 0x7.1 Faulted true"]);

    let forced = [0x0F, 0x0B, 0x78, 0x65, 0x6E, 0x0F, 0xA2];
    let mut run = Run::new(&forced).user();
    let outcome = forced_emulation(&mut run.cpu, &mut run.regs, &mut run.host);
    assert_eq!((outcome, run.regs.rip), (Some(DONE), CODE + 7));
    assert_eq!(run.host.log, ["cpuid 0xa0.858997828 Forced false"]);

    for wrong in 0..forced.len() {
        let mut code = forced;
        code[wrong] ^= 1;
        let mut run = Run::new(&code);
        assert_eq!(forced_emulation(&mut run.cpu, &mut run.regs, &mut run.host), None);
    }

    let mut run = Run::new(&[0x0F, 0xA2]).user();
    run.cpu.cpuid_faulting = CpuidFaulting::On;
    run.refused();
    let mut run = Run::new(&forced).user();
    run.cpu.cpuid_faulting = CpuidFaulting::On;
    let outcome = forced_emulation(&mut run.cpu, &mut run.regs, &mut run.host);
    assert_eq!((outcome, run.regs.rip), (Some(REFUSED), CODE + 5));
}

#[test]
fn interrupt_flag_by_virtual_iopl() {
    for code in [[0xFA], [0xFB]] {
        for (mode, iopl, view, allowed) in [
            (Mode::Kernel, 0, IoplView::Hidden, false),
            (Mode::Kernel, 1, IoplView::Hidden, true),
            (Mode::Kernel, 0, IoplView::Architectural, true),
            (Mode::User, 2, IoplView::Hidden, false),
            (Mode::User, 3, IoplView::Hidden, true),
        ] {
            let mut run = Run::new(&code);
            (run.cpu.mode, run.cpu.iopl, run.host.iopl) = (mode, iopl, view);
            if allowed { run.done(1) } else { run.refused() }
        }
    }
}

#[test]
fn ports() {
    let mut run = Run::new(&[0xE4, 0x80]);
    run.cpu.iopl = 1;
    run.host.permitted.push(0x80..=0x80);
    run.regs.rax = 0xFFFF_FFFF_FFFF_FFFF;
    run.done(2);
    assert_eq!(run.regs.rax, 0xFFFF_FFFF_FFFF_FF78);
    for (code, width, result) in [
        (&[0xEC][..], 1, 0xFFFF_FFFF_FFFF_FF78),
        (&[0x66, 0xED], 2, 0xFFFF_FFFF_FFFF_5678),
        (&[0xED], 4, 0x1234_5678),
        (&[0x48, 0xED], 4, 0x1234_5678),
    ] {
        let mut run = Run::new(code);
        run.cpu.iopl = 1;
        run.host.permitted.push(0x3F8..=0x3FF);
        (run.regs.rax, run.regs.rdx) = (u64::MAX, 0xFFFF_0000_03F8);
        run.done(code.len() as u64);
        assert_eq!(run.regs.rax, result);
        assert_eq!(run.host.log, [format!("in{width} 0x3f8")]);
    }
    let mut run = Run::new(&[0x66, 0xE7, 0x80]);
    run.cpu.iopl = 1;
    run.host.permitted.push(0x80..=0x81);
    run.regs.rax = 0x1234_5678;
    run.done(3);
    assert_eq!(run.host.log, ["out2 0x80 0x5678"]);
    Run::new(&[0xEC]).refused();
}

#[test]
fn io_bitmap_decides_below_the_iopl() {
    let bitmap = CODE + 0x1000 - 2;
    let attempt = |port: u64, code: &[u8], ports: u32, mapped: bool| {
        let mut run = Run::new(code).user();
        if mapped {
            run.host.map(CODE + 0x1000);
        }
        run.host.poke(bitmap, &[0b0000_0000, 0b0000_0010]);
        run.cpu.io_bitmap = IoBitmap { address: bitmap, ports };
        run.regs.rdx = port;
        run.emulate()
    };
    assert_eq!(attempt(0, &[0xEC], 16, false), DONE);
    assert_eq!(attempt(8, &[0xEC], 16, true), DONE);
    assert_eq!(attempt(9, &[0xEC], 16, true), REFUSED);
    assert_eq!(attempt(8, &[0x66, 0xED], 16, true), REFUSED);
    assert_eq!(attempt(10, &[0xED], 16, true), DONE);
    assert_eq!(attempt(15, &[0x66, 0xED], 16, true), REFUSED);
    assert_eq!(attempt(15, &[0x66, 0xED], 24, true), DONE);
    assert_eq!(attempt(6, &[0xEC], 16, false), DONE);
    assert_eq!(attempt(15, &[0x66, 0xED], 24, false), REFUSED, "an unreadable second byte denies");
    assert_eq!(attempt(16, &[0xEC], 64, false), REFUSED, "an unreadable first byte denies");
    assert_eq!(attempt(0xFFFF, &[0xED], 65536, true), REFUSED);
}

#[test]
fn string_instructions() {
    let data = CODE + 0x800;
    // rep insw
    let mut run = Run::new(&[0xF3, 0x66, 0x6D]);
    run.cpu.iopl = 1;
    run.host.permitted.push(0x1F0..=0x1F7);
    run.host.inputs = [0x1111, 0x2222, 0x3333].into();
    (run.regs.rdx, run.regs.rcx, run.regs.rdi) = (0x1F0, 3, data);
    run.done(3);
    assert_eq!((run.regs.rcx, run.regs.rdi), (0, data + 6));
    assert_eq!(&run.host.pages[&(CODE >> 12)][0x800..0x808], &[0x11, 0x11, 0x22, 0x22, 0x33, 0x33, 0, 0]);
    // outsb from gs, downwards
    let mut run = Run::new(&[0x65, 0x6E]);
    run.cpu.iopl = 1;
    run.host.permitted.push(0..=0xFFFF);
    run.host.segment_base = 0x800;
    run.host.poke(data + 1, &[0xAB]);
    (run.regs.rdx, run.regs.rsi, run.regs.rflags) = (0x80, CODE + 1, 0x602);
    assert_eq!(run.emulate(), DONE);
    assert_eq!(run.regs.rsi, CODE);
    assert_eq!(run.host.log, ["out1 0x80 0xab"]);
    // count 0: nothing happens; without permission it is refused
    let mut run = Run::new(&[0xF3, 0x6C]);
    run.regs.rcx = 0;
    run.refused();
    run.cpu.iopl = 1;
    run.done(2);
    assert!(run.host.log.is_empty());
    // 32-bit addresses and count
    let mut run = Run::new(&[0x67, 0xF3, 0x6C]);
    run.cpu.iopl = 1;
    (run.regs.rcx, run.regs.rdi) = (0xFFFF_FFFF_0000_0002, 0xFFFF_FFFF_0040_0800);
    run.done(3);
    assert_eq!((run.regs.rcx, run.regs.rdi), (0, 0x40_0802));
}

#[test]
fn string_instructions_stop_cleanly() {
    let start = |budget| {
        let mut run = Run::new(&[0xF3, 0x6C]);
        run.cpu.iopl = 1;
        run.host.permitted.push(0x80..=0x80);
        run.host.preempt_after = budget;
        (run.regs.rdx, run.regs.rcx, run.regs.rdi) = (0x80, 8, CODE + 0xFFD);
        run
    };
    let mut run = start(Some(2));
    assert_eq!(run.emulate(), Emulation::Retry);
    assert_eq!((run.regs.rip, run.regs.rcx, run.regs.rdi), (CODE, 6, CODE + 0xFFF));
    let mut run = start(None);
    let fault = Exception::page_fault(CODE + 0x1000, 6);
    assert_eq!(run.emulate(), Emulation::Fault(fault));
    assert_eq!((run.regs.rip, run.regs.rcx, run.regs.rdi), (CODE, 5, CODE + 0x1000));
    let mut run = start(None);
    run.regs.rflags = 0x302;
    assert_eq!(run.emulate(), Emulation::Done { debug_causes: 1 << 14 });
    assert_eq!((run.regs.rip, run.regs.rcx), (CODE, 7));
    for rdi in [0xFFFF_8000_0000_0000, 0x8000_0000_0000, 0xFFFF_87FF_FFFF_FFFF] {
        let mut run = start(None);
        run.regs.rdi = rdi;
        run.refused();
    }
}

#[test]
fn single_step_and_io_breakpoints() {
    let mut run = Run::new(&[0x0F, 0x31]);
    run.regs.rflags = 0x302;
    assert_eq!(run.emulate(), Emulation::Done { debug_causes: 1 << 14 });
    let mut run = Run::new(&[0xE4, 0x71]);
    run.cpu.iopl = 1;
    let cr4 = 8;
    let _reload = run.cpu.debug.set(1, 0x70, cr4).unwrap();
    let _reload = run.cpu.debug.set(7, 0b0110 << 20 | 1 << 2, cr4).unwrap();
    assert_eq!(run.cpu.debug.hardware_dr7(), 0b0110 << 20 | 0x400, "the CPU does not see it");
    assert_eq!(run.cpu.debug.get(7, cr4), Ok(0b0110 << 20 | 0x404));
    assert_eq!(run.emulate(), Emulation::Done { debug_causes: 2 });
}

#[test]
fn what_is_not_emulated() {
    let refused: &[&[u8]] = &[
        &[0xF4],
        &[0x0F, 0x01, 0x38],
        &[0x0F, 0x01, 0x10],
        &[0x0F, 0x01, 0x18],
        &[0x0F, 0x01, 0xF0],
        &[0x0F, 0x01, 0xF8],
        &[0x0F, 0x01, 0xCA],
        &[0x0F, 0x00, 0xD0],
        &[0x0F, 0x07],
        &[0x48, 0x0F, 0x07],
        &[0xCF],
        &[0x48, 0xCF],
        &[0xF0, 0x0F, 0x32],
        &[0x90],
        &[0x0F, 0x35],
    ];
    for code in refused {
        Run::new(code).refused();
    }
    let endless = [0x66; 15];
    Run::new(&endless).refused();
}

#[test]
fn wbinvd_and_its_kin() {
    for code in [&[0x0F, 0x08][..], &[0x0F, 0x09], &[0xF3, 0x0F, 0x09]] {
        let mut run = Run::new(code);
        run.done(code.len() as u64);
        assert_eq!(run.host.log, ["wbinvd"]);
    }
}

#[test]
fn fetches_stop_at_the_page_unless_they_need_the_next() {
    let place = |code: &[u8], before: u64| {
        let mut run = Run::new(&[]);
        run.regs.rip = CODE + 0x1000 - before;
        run.host.poke(run.regs.rip, &code[..before as usize]);
        (run, code.to_vec())
    };
    // The whole instruction fits: the unmapped next page is not touched.
    let (mut run, _) = place(&[0x0F, 0x31], 2);
    assert_eq!(run.emulate(), DONE);
    assert_eq!(run.host.fetches, 1);
    // It does not: the fault names the first byte that is missing.
    let (mut run, code) = place(&[0x0F, 0x31], 1);
    assert_eq!(run.emulate(), Emulation::Fault(Exception::page_fault(CODE + 0x1000, 0x14)));
    run.host.map(CODE + 0x1000);
    run.host.poke(CODE + 0x1000, &code[1..]);
    assert_eq!(run.emulate(), DONE);
    assert_eq!(run.regs.rip, CODE + 0x1001);
    // Addresses that are no guest's.
    for rip in [0xFFFF_8000_0000_0000, 0x8000_0000_0000, 0x7FFF_FFFF_FFFF] {
        let mut run = Run::new(&[]);
        run.regs.rip = rip;
        run.host.map(rip);
        run.host.poke(rip & !0xFFF, &[0x66; 4096]);
        run.refused();
    }
}

#[test]
fn compatibility_code() {
    let mut run = Run::new(&[0x40, 0xEC]).user();
    run.cpu.iopl = 3;
    run.regs.cs = 0xE023;
    run.refused();
    let mut run = Run::new(&[0xED]).user();
    run.cpu.iopl = 3;
    (run.regs.cs, run.regs.rdx) = (0xE023, 0xCFC);
    run.done(1);
    // 16-bit code: the operand size prefix widens
    for (code, width) in [(&[0xED][..], 2), (&[0x66, 0xED], 4)] {
        let mut run = Run::new(code).user();
        run.cpu.iopl = 3;
        run.regs.cs = 0x0F;
        run.host.code_width = Some(CodeWidth::Protected16);
        run.host.permitted.push(0..=0xFFFF);
        run.regs.rdx = 0x80;
        run.done(code.len() as u64);
        assert_eq!(run.host.log, [format!("in{width} 0x80")]);
    }
    let mut run = Run::new(&[0xED]).user();
    run.regs.cs = 0x0F;
    run.refused();
}
