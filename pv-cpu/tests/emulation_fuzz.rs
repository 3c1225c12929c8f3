//! Emulation of random bytes with random registers: it ends, and what it leaves passes the exit gate.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use common::host::{CODE, Host};
use common::{registers, vcpu};
use proptest::prelude::*;
use pv_cpu::exit::check_return;
use pv_cpu::privileged::{Emulation, emulate, forced_emulation};
use pv_cpu::trap_table::Mode;

/// Bytes that often make something privileged.
fn code() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(vec![
            0x0F, 0x30, 0x32, 0x20, 0x21, 0x22, 0x23, 0x01, 0xD1, 0xF9, 0x06, 0x09, 0x31, 0xA2, 0x6C, 0x6D, 0x6E, 0x6F,
            0xE4, 0xE5, 0xE6, 0xE7, 0xEC, 0xED, 0xEE, 0xEF, 0xFA, 0xFB, 0x66, 0x67, 0xF2, 0xF3, 0x48, 0x65, 0x0B, 0x78,
            0x65, 0x6E,
        ])
    ];
    prop::collection::vec(byte, 15)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn anything_ends_well(code in code(), seed: [u64; 6], offset in 0u64..32, user: bool, selector: u16, mapped: bool) {
        let mut host = Host::with_code(&[]);
        host.preempt_after = Some(5);
        host.permitted.push(0..=0x7FFF);
        if mapped {
            host.map(CODE + 0x1000);
        }
        let (mut cpu, mut regs) = (vcpu(), registers());
        regs.rip = CODE + 0x1000 - offset;
        for (at, byte) in (regs.rip..).zip(&code) {
            if host.peek(at).is_some() {
                host.poke(at, &[*byte]);
            }
        }
        [regs.rax, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rflags] = seed;
        regs.rflags = pv_cpu::flags::guest_flags(regs.rflags);
        if user {
            cpu.mode = Mode::User;
            regs.cs = u64::from(selector | 3);
        }
        cpu.iopl = (seed[0] & 3) as u8;
        let before = regs;
        let outcome = emulate(&mut cpu, &mut regs, &mut host);
        match outcome {
            Emulation::Done { .. } => prop_assert!(regs.rip.wrapping_sub(before.rip) & 0xFFFF_FFFF <= 15),
            Emulation::Retry | Emulation::Fault(_) => prop_assert_eq!(regs.rip, before.rip),
        }
        prop_assert!(check_return(&regs).is_ok());
        if let Some(Emulation::Done { .. }) = forced_emulation(&mut cpu, &mut regs, &mut host) {
            prop_assert!(check_return(&regs).is_ok());
        }
    }
}
