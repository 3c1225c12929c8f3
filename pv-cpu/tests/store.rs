//! Decoded stores: operand address, new value, and what the instruction leaves in registers and flags.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use common::registers;
use proptest::prelude::*;
use pv_cpu::arithmetic::{Arithmetic, compute};
use pv_cpu::decode::{DecodeError, Reader, Segment};
use pv_cpu::opcode;
use pv_cpu::registers::Registers;
use pv_cpu::store::{Store, StoreKind, decode};

fn bases(segment: Segment) -> u64 {
    match segment {
        Segment::Fs => 0x1_0000_0000,
        Segment::Gs => 0x2_0000_0000,
        other => panic!("{other:?} has no base in 64-bit code"),
    }
}

fn regs() -> Registers {
    Registers {
        rip: 0x40_0000,
        rax: 0x1111_2222_3333_4444,
        rbx: 0x9000,
        rsi: 0xFFFF_FFFF_FFFF_FFF0,
        r8: 0x8888_7777_6666_5555,
        r13: 0x1_3000,
        rflags: 0x202,
        ..registers()
    }
}

#[track_caller]
fn store(code: &[u8]) -> Store {
    decode(Reader::new(code), &regs(), &bases).unwrap()
}

/// Runs the store against `old`: address, width, the value written, and the registers after.
#[track_caller]
fn run(code: &[u8], old: u64) -> (u64, u8, Option<u64>, Registers) {
    let mut after = regs();
    let store = store(code);
    let new = store.apply(&after, old);
    store.retire(&mut after, old);
    assert_eq!(after.rip, 0x40_0000 + code.len() as u64, "all bytes are used");
    (store.address, store.width, new, after)
}

#[test]
fn addressing_forms() {
    let cases: &[(&[u8], u64)] = &[
        (&[0x48, 0x89, 0x03], 0x9000),                                  // mov [rbx], rax
        (&[0x48, 0x89, 0x43, 0xF8], 0x8FF8),                            // mov [rbx-8], rax
        (&[0x48, 0x89, 0x83, 0, 1, 0, 0], 0x9100),                      // mov [rbx+0x100], rax
        (&[0x48, 0x89, 0x04, 0x33], 0x8FF0),                            // mov [rbx+rsi], rax
        (&[0x48, 0x89, 0x44, 0xF3, 0x10], 0x9000 - 0x80 + 0x10),        // mov [rbx+rsi*8+0x10], rax
        (&[0x48, 0x89, 0x04, 0x25, 0x00, 0x10, 0x60, 0], 0x60_1000),    // mov [0x601000], rax
        (&[0x48, 0x89, 0x04, 0xF5, 0, 0, 0, 0], 0xFFFF_FFFF_FFFF_FF80), // mov [rsi*8], rax
        (&[0x48, 0x89, 0x05, 0x10, 0, 0, 0], 0x40_0017),                // mov [rip+0x10], rax
        (&[0x48, 0xC7, 0x05, 0x10, 0, 0, 0, 1, 0, 0, 0], 0x40_001B),    // mov qword [rip+0x10], 1
        (&[0x48, 0x89, 0x04, 0x24], 0xFFFF_C900_0000_1F38),             // mov [rsp], rax
        (&[0x49, 0x89, 0x45, 0x00], 0x1_3000),                          // mov [r13+0], rax
        (&[0x4A, 0x89, 0x04, 0x23], 0x9000),                            // mov [rbx+r12], rax
        (&[0x65, 0x48, 0x89, 0x03], 0x2_0000_9000),                     // mov gs:[rbx], rax
        (&[0x64, 0x48, 0x89, 0x03], 0x1_0000_9000),                     // mov fs:[rbx], rax
        (&[0x3E, 0x48, 0x89, 0x03], 0x9000),                            // mov ds:[rbx], rax
        (&[0x67, 0x48, 0x89, 0x04, 0x33], 0x8FF0),                      // mov [ebx+esi], rax
        (&[0x67, 0x48, 0x89, 0x06], 0xFFFF_FFF0),                       // mov [esi], rax
        (&[0x48, 0xA3, 8, 7, 6, 5, 4, 3, 2, 1], 0x0102_0304_0506_0708), // mov [moffs], rax
    ];
    for (code, address) in cases {
        let (found, width, new, _) = run(code, 0);
        assert_eq!((found, width), (*address, 8), "{code:x?}");
        assert!(matches!(new, Some(0x1111_2222_3333_4444 | 1)), "{code:x?}");
    }
}

#[test]
fn moves_of_every_width() {
    assert_eq!(run(&[0x88, 0x23], 0).2, Some(0x44), "ah");
    assert_eq!(run(&[0x40, 0x88, 0x23], 0).2, Some(0x38), "spl");
    assert_eq!(run(&[0x66, 0x89, 0x03], 0).2, Some(0x4444));
    assert_eq!(run(&[0x89, 0x03], 0).2, Some(0x3333_4444));
    assert_eq!(run(&[0x4C, 0x89, 0x03], 0).2, Some(0x8888_7777_6666_5555));
    assert_eq!(run(&[0xC6, 0x03, 0x80], 0).2, Some(0x80));
    assert_eq!(run(&[0x48, 0xC7, 0x03, 0xFE, 0xFF, 0xFF, 0xFF], 0).2, Some(u64::MAX - 1));
    assert_eq!(run(&[0x66, 0xC7, 0x03, 0x34, 0x12], 0).2, Some(0x1234));
    assert_eq!(run(&[0x48, 0x0F, 0xC3, 0x03], 0).2, Some(0x1111_2222_3333_4444));
}

#[test]
fn exchanges() {
    let (_, 8, Some(0x1111_2222_3333_4444), after) = run(&[0x48, 0x87, 0x03], 0xABCD) else { panic!() };
    assert_eq!(after.rax, 0xABCD);
    let (_, 4, Some(0x3333_4444), after) = run(&[0x87, 0x03], 0xFFFF_FFFF_0000_ABCD) else { panic!() };
    assert_eq!(after.rax, 0xABCD);
    let (_, 1, Some(0x44), after) = run(&[0x86, 0x23], 0x99) else { panic!() };
    assert_eq!(after.rax, 0x1111_2222_3333_9944);
    // lock xadd [rbx], r8
    let (_, 8, Some(new), after) = run(&[0xF0, 0x4C, 0x0F, 0xC1, 0x03], 2) else { panic!() };
    assert_eq!((new, after.r8), (0x8888_7777_6666_5557, 2));
    assert_eq!(after.rflags & 0x8D5, 0x80, "SF; PF is clear for 0x57");
}

#[test]
fn compare_and_exchange() {
    let code = [0xF0, 0x4C, 0x0F, 0xB1, 0x03];
    let (_, 8, new, after) = run(&code, 0x1111_2222_3333_4444) else { panic!() };
    assert_eq!((new, after.rflags & 0x40, after.rax), (Some(0x8888_7777_6666_5555), 0x40, regs().rax));
    let (_, 8, new, after) = run(&code, 5) else { panic!() };
    assert_eq!((new, after.rflags & 0x40, after.rax), (None, 0, 5));
    // cmpxchg8b [rbx]
    let expected = 0x0000_00D0_3333_4444;
    let (_, 8, new, after) = run(&[0xF0, 0x0F, 0xC7, 0x0B], expected) else { panic!() };
    assert_eq!((new, after.rflags & 0x40), (Some(0x3333_4444_0000_9000), 0x40));
    let (_, 8, new, after) = run(&[0x0F, 0xC7, 0x0B], 0x7_0000_0008) else { panic!() };
    assert_eq!((new, after.rax, after.rdx, after.rflags & 0x40), (None, 8, 7, 0));
}

#[test]
fn bits() {
    // lock btr qword [rbx], 63 ; bts, btc
    let (_, 8, new, after) = run(&[0xF0, 0x48, 0x0F, 0xBA, 0x33, 63], 1 << 63 | 1) else { panic!() };
    assert_eq!((new, after.rflags & 1), (Some(1), 1));
    let (_, 4, new, after) = run(&[0x0F, 0xBA, 0x2B, 33], 0) else { panic!() };
    assert_eq!((new, after.rflags & 1), (Some(2), 0));
    let (_, 4, new, _) = run(&[0x0F, 0xBA, 0x3B, 1], 2) else { panic!() };
    assert_eq!(new, Some(0));
    // bts [rbx], rsi: bit -16 is bit 48 of the word before
    let (address, 8, new, _) = run(&[0x48, 0x0F, 0xAB, 0x33], 0) else { panic!() };
    assert_eq!((address, new), (0x8FF8, Some(1 << 48)));
    // btc dword [rbx], eax: bit 0x33334444
    let (address, 4, new, _) = run(&[0x0F, 0xBB, 0x03], 0) else { panic!() };
    assert_eq!((address, new), (0x9000 + (0x3333_4444 / 32) * 4, Some(1 << 4)));
}

#[test]
fn read_modify_write() {
    assert_eq!(run(&[0x48, 0x83, 0x23, 0xFD], 0x8000_0000_0000_0067).2, Some(0x8000_0000_0000_0065));
    assert_eq!(run(&[0x48, 0x81, 0x0B, 0x42, 0, 0, 0], 1).2, Some(0x43));
    assert_eq!(run(&[0x48, 0x21, 0x03], u64::MAX).2, Some(0x1111_2222_3333_4444));
    assert_eq!(run(&[0x80, 0x33, 0xFF], 0x0F).2, Some(0xF0));
    let (_, 8, new, after) = run(&[0x48, 0xFF, 0x03], u64::MAX) else { panic!() };
    assert_eq!((new, after.rflags & 0x41), (Some(0), 0x40), "INC leaves CF");
    assert_eq!(run(&[0xF6, 0x13], 0x0F).2, Some(0xF0));
    assert_eq!(run(&[0x48, 0xF7, 0x1B], 1).2, Some(u64::MAX));
}

#[test]
fn string_store() {
    let mut start = regs();
    (start.rdi, start.rcx) = (0x5000, 2);
    let store = decode(Reader::new(&[0xF3, 0x48, 0xAB]), &start, &bases).unwrap();
    assert_eq!((store.address, store.apply(&start, 9)), (0x5000, Some(0x1111_2222_3333_4444)));
    store.retire(&mut start, 9);
    assert_eq!((start.rip, start.rcx, start.rdi), (0x40_0000, 1, 0x5008), "one element, then again");
    let store = decode(Reader::new(&[0xF3, 0x48, 0xAB]), &start, &bases).unwrap();
    store.retire(&mut start, 9);
    assert_eq!((start.rip, start.rcx, start.rdi), (0x40_0003, 0, 0x5010));
    start.rflags |= 0x400;
    let store = decode(Reader::new(&[0xAA]), &start, &bases).unwrap();
    store.retire(&mut start, 9);
    assert_eq!((start.rip, start.rdi), (0x40_0004, 0x500F));
    start.rcx = 0;
    assert!(decode(Reader::new(&[0xF3, 0xAA]), &start, &bases).is_err());
}

#[test]
fn what_is_no_store() {
    for code in [
        &[0x48, 0x89, 0xC3][..],      // register form
        &[0x48, 0x8B, 0x03],          // load
        &[0xF0, 0x48, 0x89, 0x03],    // LOCK MOV
        &[0x48, 0x39, 0x03],          // CMP
        &[0x48, 0x83, 0x3B, 0x01],    // CMP imm
        &[0xF6, 0x03, 0x01],          // TEST
        &[0xFF, 0x13],                // CALL
        &[0x48, 0x0F, 0xBA, 0x23, 1], // BT
        &[0x48, 0x0F, 0xC7, 0x0B],    // CMPXCHG16B
        &[0xC6, 0x0B, 1],             // reserved
        &[0x66, 0x0F, 0xC3, 0x03],    // reserved
        &[0x48, 0xA5],                // MOVS
    ] {
        assert_eq!(decode(Reader::new(code), &regs(), &bases), Err(DecodeError::Unknown), "{code:x?}");
    }
}

/// Adds bit by bit; the flags fall out of the carries.
fn slow_add(left: u64, right: u64, mut carry: bool, width: u8) -> (u64, u64) {
    let bits = 8 * u32::from(width);
    let (mut result, mut flags, mut into_sign) = (0, 0, false);
    for bit in 0..bits {
        if bit == bits - 1 {
            into_sign = carry;
        }
        let ones = (left >> bit & 1) + (right >> bit & 1) + u64::from(carry);
        result |= (ones & 1) << bit;
        carry = ones > 1;
        if bit == 3 && carry {
            flags |= 1 << 4;
        }
    }
    flags |= u64::from(carry) | u64::from(carry != into_sign) << 11;
    (result, flags | common_flags(result, bits))
}

fn common_flags(result: u64, bits: u32) -> u64 {
    let parity = (0..8).filter(|bit| result >> bit & 1 != 0).count() % 2 == 0;
    u64::from(result == 0) << 6 | (result >> (bits - 1) & 1) << 7 | u64::from(parity) << 2
}

fn widths() -> impl Strategy<Value = u8> {
    prop_oneof![Just(1), Just(2), Just(4), Just(8)]
}

fn edgy() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0u64..4, (0u64..4).prop_map(|x| x.wrapping_neg()), (0u32..64).prop_map(|bit| 1 << bit)]
}

proptest! {
    #[test]
    fn arithmetic_agrees_with_a_slow_adder(left in edgy(), right in edgy(), carry: bool, width in widths()) {
        let mask = u64::MAX >> (64 - 8 * u32::from(width));
        let before = u64::from(carry);
        let (left, right) = (left & mask, right & mask);
        prop_assert_eq!(compute(Arithmetic::Add, left, right, width, before), slow_add(left, right, false, width));
        prop_assert_eq!(compute(Arithmetic::AddCarry, left, right, width, before), slow_add(left, right, carry, width));
        // A borrow is the absence of a carry when the complement is added.
        let inverted = |borrow: bool| {
            let (result, flags) = slow_add(left, !right & mask, !borrow, width);
            (result, flags ^ 0x11)
        };
        prop_assert_eq!(compute(Arithmetic::Subtract, left, right, width, before), inverted(false));
        prop_assert_eq!(compute(Arithmetic::SubtractBorrow, left, right, width, before), inverted(carry));
        let negated = compute(Arithmetic::Subtract, 0, right, width, 0);
        prop_assert_eq!(compute(Arithmetic::Negate, right, 77, width, before), negated);
    }

    /// Random bytes never panic, never read past their end, and never claim more bytes than there were.
    #[test]
    fn decoders_survive_anything(bytes in prop::collection::vec(any::<u8>(), 0..=15), seed: u64) {
        let mut registers = Registers { rip: seed, rax: seed.rotate_left(7), rcx: seed >> 3, rdi: !seed, ..regs() };
        if let Ok(store) = decode(Reader::new(&bytes), &registers, &bases) {
            prop_assert!(usize::from(store.length()) <= bytes.len());
            prop_assert!(matches!(store.width, 1 | 2 | 4 | 8));
            if let Some(new) = store.apply(&registers, seed) {
                prop_assert!(store.width == 8 || new >> (8 * u32::from(store.width)) == 0);
            }
            if let StoreKind::Bit(_, bit) = store.kind {
                prop_assert!(bit < 8 * store.width);
            }
            let rip = registers.rip;
            store.retire(&mut registers, seed);
            prop_assert!(registers.rip.wrapping_sub(rip) <= 15);
            prop_assert_eq!(registers.rflags & !0x1_08D5, 0x202);
        }
        use pv_cpu::decode::CodeWidth::{Long, Protected16, Protected32};
        for width in [Long, Protected32, Protected16] {
            if let Ok(privileged) = opcode::decode(Reader::new(&bytes), width) {
                prop_assert!(usize::from(privileged.length) <= bytes.len());
            }
        }
    }

    /// A decoded instruction does not depend on the bytes behind it, and no prefix of it decodes.
    #[test]
    fn decoding_is_prefix_free(bytes in prop::collection::vec(any::<u8>(), 15)) {
        if let Ok(store) = decode(Reader::new(&bytes), &regs(), &bases) {
            let length = usize::from(store.length());
            prop_assert_eq!(decode(Reader::new(&bytes[..length]), &regs(), &bases), Ok(store));
            for short in 0..length {
                let cut = decode(Reader::new(&bytes[..short]), &regs(), &bases);
                prop_assert_eq!(cut, Err(DecodeError::Truncated));
            }
        }
    }
}
