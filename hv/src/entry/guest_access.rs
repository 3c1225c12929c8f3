//! Accesses to guest memory of a few bytes whose number is known when the hypervisor is compiled: plain moves, straight
//! to and from registers, where a string instruction costs more to start than to run.
//!
//! Each asm block is one access with its own entry in the fixup table: a fault inside it continues at the block's end and
//! says so. Ranges were checked by the caller to lie outside the hypervisor. Context: a guest's tables are loaded.

#![expect(unsafe_code, reason = "moves between registers and guest memory, with faults fixed up")]

use core::arch::asm;

/// One access: AC is set around `$body` only. A fault clears `fine` and goes on behind it.
macro_rules! access {
    ([$($body:expr),+], $($operands:tt)*) => {{
        let mut fine = 1u32;
        // SAFETY: one side is a register, the other guest memory (checked by the caller), never a Rust object; a fault is
        // fixed up. The stack is not touched.
        unsafe {
            asm!(
                "20: .byte 0x0f, 0x1f, 0x00",
                ".pushsection .stac_sites, \"a\"",
                ".quad 20b",
                ".popsection",
                "21:",
                $($body,)+
                "22: .byte 0x0f, 0x1f, 0x00",
                ".pushsection .clac_sites, \"a\"",
                ".quad 22b",
                ".popsection",
                ".pushsection .text.fixed_up, \"ax\"",
                "23: xor {fine:e}, {fine:e}",
                "jmp 22b",
                ".popsection",
                ".pushsection .fixup, \"a\"",
                ".quad 21b, 22b, 23b",
                ".popsection",
                fine = inout(reg) fine,
                $($operands)*
                options(nostack)
            );
        }
        fine != 0
    }};
}

/// `read!(from, word at offset, ...)`: the words, or `None` when one of them is not mapped.
macro_rules! read {
    ($from:ident, $($word:ident $offset:literal)+) => {{
        $(let $word: u64;)+
        access!([$(concat!("mov {", stringify!($word), "}, [{from} + ", $offset, "]")),+],
            from = in(reg) $from, $($word = out(reg) $word,)+)
            .then_some([$($word),+])
    }};
}

/// `write!(to, words, word at offset, ...)`: whether all of them could be written.
macro_rules! write {
    ($to:ident, $words:ident, $($word:ident $offset:literal)+) => {{
        let [$($word),+] = $words;
        access!([$(concat!("mov [{to} + ", $offset, "], {", stringify!($word), "}")),+],
            to = in(reg) $to, $($word = in(reg) $word,)+)
    }};
}

/// Words that one access can carry.
pub trait Words: Sized {
    /// Reads them from guest memory; `None`: not mapped.
    fn read(from: u64) -> Option<Self>;
    /// Writes them to guest memory; false: not writable.
    fn write(self, to: u64) -> bool;
}

macro_rules! words {
    ($length:literal: $($word:ident $offset:literal)+) => {
        impl Words for [u64; $length] {
            #[inline(always)]
            fn read(from: u64) -> Option<Self> {
                read!(from, $($word $offset)+)
            }

            #[inline(always)]
            fn write(self, to: u64) -> bool {
                write!(to, self, $($word $offset)+)
            }
        }
    };
}

words!(1: a 0);
words!(2: a 0 b 8);
words!(3: a 0 b 8 c 16);
words!(4: a 0 b 8 c 16 d 24);
words!(5: a 0 b 8 c 16 d 24 e 32);
words!(6: a 0 b 8 c 16 d 24 e 32 f 40);
words!(7: a 0 b 8 c 16 d 24 e 32 f 40 g 48);
words!(8: a 0 b 8 c 16 d 24 e 32 f 40 g 48 h 56);
words!(9: a 0 b 8 c 16 d 24 e 32 f 40 g 48 h 56 i 64);

/// Reads four bytes; `None`: not mapped.
#[inline(always)]
pub fn read_half(from: u64) -> Option<u32> {
    let value: u32;
    access!(["mov {value:e}, [{from}]"], from = in(reg) from, value = out(reg) value,).then_some(value)
}

/// Writes four bytes; false: not writable.
#[inline(always)]
pub fn write_half(to: u64, value: u32) -> bool {
    access!(["mov [{to}], {value:e}"], to = in(reg) to, value = in(reg) value,)
}

/// Writes two bytes; false: not writable.
#[inline(always)]
pub fn write_quarter(to: u64, value: u16) -> bool {
    access!(["mov [{to}], {value:x}"], to = in(reg) to, value = in(reg) value,)
}
