//! Decoding of instructions that write memory: page-table writes of a guest kernel and stores to read-only MMIO.
//!
//! A write to a page that the guest may only read faults; the caller decodes it here, turns the old value into the new
//! one by [`Store::apply`], commits it its own way, and ends the instruction by [`Store::retire`]. 64-bit code only.
//! Source: Intel SDM vol. 2.

use crate::arithmetic::{Arithmetic, compute};
use crate::decode::{
    DecodeError, Fetch, InstructionBytes, Prefixes, Reader, Segment, register, register_operand, set_register_operand,
    truncate,
};
use crate::exception::Exception;
use crate::flags;
use crate::registers::Registers;

/// What a store does with the operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreKind {
    /// Replaces it by a value known beforehand: MOV, MOVNTI.
    Write(u64),
    /// Replaces it by rax and moves rdi on: STOS; with REP, once per fault.
    StoreString {
        /// Whether rcx counts.
        repeated: bool,
        /// Bytes of rdi and rcx that count, 4 or 8.
        address_width: u8,
    },
    /// Swaps it with a register.
    Exchange(u8),
    /// Replaces it by `replacement` if it equals `expected`, else loads the accumulator.
    CompareExchange {
        /// Value to compare with, cut to the width.
        expected: u64,
        /// Value to write.
        replacement: u64,
        /// CMPXCHG8B, whose accumulator is edx:eax.
        is_pair: bool,
    },
    /// Adds a register to it and gives the register the old value.
    ExchangeAdd(u8),
    /// Reads, computes with the value, writes.
    Arithmetic(Arithmetic, u64),
    /// Sets, resets or complements one bit, and puts its old value into CF.
    Bit(BitOperation, u8),
}

/// What BTS, BTR and BTC do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BitOperation {
    /// BTS.
    Set,
    /// BTR.
    Reset,
    /// BTC.
    Complement,
}

/// A decoded store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Store {
    /// Linear address of the operand.
    pub address: u64,
    /// Bytes of the operand: 1, 2, 4 or 8.
    pub width: u8,
    /// What is done with it.
    pub kind: StoreKind,
    prefixes: Prefixes,
    length: u8,
}

/// Fetches and decodes the store at rip of 64-bit code. Arguments: the registers, the source of bytes, and the base of FS
/// or GS. `None`: not a store that is known here.
///
/// Errors: a fault on the fetch.
pub fn decode_at(
    registers: &Registers,
    source: &mut impl Fetch,
    segment_base: impl Fn(Segment) -> u64,
) -> Result<Option<Store>, Exception> {
    InstructionBytes::fetch(source, registers.rip)?.decode(source, |reader| decode(reader, registers, &segment_base))
}

/// Decodes one store. Errors: too few bytes, or not a store that is known here.
pub fn decode(
    mut reader: Reader<'_>,
    registers: &Registers,
    segment_base: &impl Fn(Segment) -> u64,
) -> Result<Store, DecodeError> {
    let (prefixes, opcode) = reader.prefixes()?;
    let mut decoder = Decoder { reader, registers, segment_base, prefixes };
    let (address, width, kind) = match opcode {
        0x0F => decoder.two_byte()?,
        _ => decoder.one_byte(opcode)?,
    };
    let lockable = !matches!(kind, StoreKind::Write(_) | StoreKind::StoreString { .. });
    if prefixes.lock && !lockable {
        return Err(DecodeError::Unknown);
    }
    Ok(Store { address, width, kind, prefixes, length: decoder.reader.position() })
}

type Decoded = (u64, u8, StoreKind);

struct Decoder<'a, B> {
    reader: Reader<'a>,
    registers: &'a Registers,
    segment_base: &'a B,
    prefixes: Prefixes,
}

/// A memory operand whose instruction may go on.
struct Memory {
    /// Before a rip-relative operand's instruction end is added.
    address: u64,
    relative: bool,
    /// The reg field with REX.R.
    reg: u8,
}

impl<B: Fn(Segment) -> u64> Decoder<'_, B> {
    fn width(&self, opcode: u8) -> u8 {
        if opcode & 1 == 0 { 1 } else { self.wide_width() }
    }

    fn wide_width(&self) -> u8 {
        match (self.prefixes.wide(), self.prefixes.operand_size) {
            (true, _) => 8,
            (false, true) => 2,
            (false, false) => 4,
        }
    }

    fn operand(&self, index: u8, width: u8) -> u64 {
        register_operand(self.registers, &self.prefixes, index, width)
    }

    fn one_byte(&mut self, opcode: u8) -> Result<Decoded, DecodeError> {
        let width = self.width(opcode);
        match opcode {
            0x00..=0x37 if opcode & 6 == 0 => {
                let memory = self.memory()?;
                let what = Arithmetic::from_group(opcode >> 3).ok_or(DecodeError::Unknown)?;
                let value = self.operand(memory.reg, width);
                Ok((self.end(&memory), width, StoreKind::Arithmetic(what, value)))
            }
            0x80 | 0x81 | 0x83 => {
                let memory = self.memory()?;
                let what = Arithmetic::from_group(memory.reg & 7).ok_or(DecodeError::Unknown)?;
                let value = self.reader.signed(if opcode == 0x81 { width.min(4) } else { 1 })?;
                Ok((self.end(&memory), width, StoreKind::Arithmetic(what, truncate(value, width))))
            }
            0x86 | 0x87 => {
                let memory = self.memory()?;
                Ok((self.end(&memory), width, StoreKind::Exchange(memory.reg)))
            }
            0x88 | 0x89 => {
                let memory = self.memory()?;
                let value = self.operand(memory.reg, width);
                Ok((self.end(&memory), width, StoreKind::Write(value)))
            }
            0xA2 | 0xA3 => {
                let address = self.reader.signed(if self.prefixes.address_size { 4 } else { 8 })?;
                let address = truncate(address, if self.prefixes.address_size { 4 } else { 8 });
                Ok((self.linear(address), width, StoreKind::Write(truncate(self.registers.rax, width))))
            }
            0xAA | 0xAB => self.store_string(width),
            0xC6 | 0xC7 => {
                let memory = self.memory()?;
                if memory.reg & 7 != 0 {
                    return Err(DecodeError::Unknown);
                }
                let value = self.reader.signed(width.min(4))?;
                Ok((self.end(&memory), width, StoreKind::Write(truncate(value, width))))
            }
            0xF6 | 0xF7 | 0xFE | 0xFF => {
                let memory = self.memory()?;
                let what = Arithmetic::from_unary(opcode, memory.reg & 7).ok_or(DecodeError::Unknown)?;
                Ok((self.end(&memory), width, StoreKind::Arithmetic(what, 1)))
            }
            _ => Err(DecodeError::Unknown),
        }
    }

    fn store_string(&self, width: u8) -> Result<Decoded, DecodeError> {
        let address_width = if self.prefixes.address_size { 4 } else { 8 };
        let repeated = self.prefixes.repeat != 0;
        if repeated && truncate(self.registers.rcx, address_width) == 0 {
            return Err(DecodeError::Unknown);
        }
        let address = truncate(self.registers.rdi, address_width);
        Ok((address, width, StoreKind::StoreString { repeated, address_width }))
    }

    fn two_byte(&mut self) -> Result<Decoded, DecodeError> {
        let opcode = self.reader.byte()?;
        let width = self.width(opcode);
        match opcode {
            0xAB | 0xB3 | 0xBB => {
                let what = BitOperation::from_group(opcode >> 3 & 3).ok_or(DecodeError::Unknown)?;
                self.bit_by_register(what)
            }
            0xBA => {
                let width = self.wide_width();
                let memory = self.memory()?;
                let what = BitOperation::from_group(memory.reg & 7 ^ 4).ok_or(DecodeError::Unknown)?;
                if memory.reg & 4 == 0 {
                    return Err(DecodeError::Unknown);
                }
                let bit = self.reader.byte()? & (8 * width - 1);
                Ok((self.end(&memory), width, StoreKind::Bit(what, bit)))
            }
            0xB0 | 0xB1 => {
                let memory = self.memory()?;
                let kind = StoreKind::CompareExchange {
                    expected: truncate(self.registers.rax, width),
                    replacement: self.operand(memory.reg, width),
                    is_pair: false,
                };
                Ok((self.end(&memory), width, kind))
            }
            0xC0 | 0xC1 => {
                let memory = self.memory()?;
                Ok((self.end(&memory), width, StoreKind::ExchangeAdd(memory.reg)))
            }
            0xC3 if !self.prefixes.operand_size => {
                let memory = self.memory()?;
                let width = self.wide_width();
                let value = self.operand(memory.reg, width);
                Ok((self.end(&memory), width, StoreKind::Write(value)))
            }
            0xC7 if !self.prefixes.wide() => self.compare_exchange_pair(),
            _ => Err(DecodeError::Unknown),
        }
    }

    /// The bit offset is a signed number that reaches beyond the addressed operand.
    fn bit_by_register(&mut self, what: BitOperation) -> Result<Decoded, DecodeError> {
        let width = self.wide_width();
        let memory = self.memory()?;
        let bits = 8 * u32::from(width);
        let offset = self.operand(memory.reg, width);
        let unused = 64 - bits;
        let offset = (offset << unused) as i64 >> unused;
        let elements = offset >> bits.trailing_zeros();
        let address = self.end(&memory).wrapping_add((elements * i64::from(width)) as u64);
        Ok((address, width, StoreKind::Bit(what, (offset & i64::from(bits - 1)) as u8)))
    }

    fn compare_exchange_pair(&mut self) -> Result<Decoded, DecodeError> {
        let memory = self.memory()?;
        if memory.reg & 7 != 1 {
            return Err(DecodeError::Unknown);
        }
        let kind = StoreKind::CompareExchange {
            expected: truncate(self.registers.rax, 4) | self.registers.rdx << 32,
            replacement: truncate(self.registers.rbx, 4) | self.registers.rcx << 32,
            is_pair: true,
        };
        Ok((self.end(&memory), 8, kind))
    }

    /// The ModRM byte, SIB and displacement of a memory operand; a register operand is no store.
    fn memory(&mut self) -> Result<Memory, DecodeError> {
        let modrm = self.reader.byte()?;
        let (mode, low) = (modrm >> 6, modrm & 7);
        if mode == 3 {
            return Err(DecodeError::Unknown);
        }
        let (mut offset, mut relative, mut base) = (0, false, None);
        if low == 4 {
            let sib = self.reader.byte()?;
            let index = sib >> 3 & 7 | self.prefixes.index_high();
            if index != 4 {
                offset = register(self.registers, index) << (sib >> 6);
            }
            if sib & 7 != 5 || mode != 0 {
                base = Some(sib & 7 | self.prefixes.base_high());
            }
        } else if low == 5 && mode == 0 {
            relative = true;
        } else {
            base = Some(low | self.prefixes.base_high());
        }
        let displacement_width = match mode {
            1 => 1,
            2 => 4,
            _ if base.is_none() => 4,
            _ => 0,
        };
        if displacement_width != 0 {
            offset = offset.wrapping_add(self.reader.signed(displacement_width)?);
        }
        let base_value = base.map_or(0, |index| register(self.registers, index));
        let offset = truncate(offset.wrapping_add(base_value), if self.prefixes.address_size { 4 } else { 8 });
        let address = if relative { offset } else { self.linear(offset) };
        Ok(Memory { address, relative, reg: modrm >> 3 & 7 | self.prefixes.reg_high() })
    }

    /// The operand's linear address, once all bytes of the instruction are read.
    fn end(&self, memory: &Memory) -> u64 {
        if !memory.relative {
            return memory.address;
        }
        let next = self.registers.rip.wrapping_add(u64::from(self.reader.position()));
        let offset = next.wrapping_add(memory.address);
        self.linear(truncate(offset, if self.prefixes.address_size { 4 } else { 8 }))
    }

    /// In 64-bit code only FS and GS have a base.
    fn linear(&self, offset: u64) -> u64 {
        match self.prefixes.segment {
            Some(segment @ (Segment::Fs | Segment::Gs)) => offset.wrapping_add((self.segment_base)(segment)),
            _ => offset,
        }
    }
}

impl BitOperation {
    /// By the low two bits of the group number: 1 set, 2 reset, 3 complement.
    const fn from_group(group: u8) -> Option<Self> {
        match group {
            1 => Some(BitOperation::Set),
            2 => Some(BitOperation::Reset),
            3 => Some(BitOperation::Complement),
            _ => None,
        }
    }
}

impl Store {
    /// The value to write where `old` stands now, or `None` if nothing is to be written (a failed comparison).
    pub fn apply(&self, registers: &Registers, old: u64) -> Option<u64> {
        let old = truncate(old, self.width);
        let new = match self.kind {
            StoreKind::Write(value) => value,
            StoreKind::StoreString { .. } => registers.rax,
            StoreKind::Exchange(index) => self.operand(registers, index),
            StoreKind::CompareExchange { expected, replacement, .. } if old == expected => replacement,
            StoreKind::CompareExchange { .. } => return None,
            StoreKind::ExchangeAdd(index) => old.wrapping_add(self.operand(registers, index)),
            StoreKind::Arithmetic(what, value) => compute(what, old, value, self.width, registers.rflags).0,
            StoreKind::Bit(BitOperation::Set, bit) => old | 1 << bit,
            StoreKind::Bit(BitOperation::Reset, bit) => old & !(1 << bit),
            StoreKind::Bit(BitOperation::Complement, bit) => old ^ 1 << bit,
        };
        Some(truncate(new, self.width))
    }

    /// Ends the instruction after its write (or its failed comparison) was committed against `old`: registers, flags, rip.
    /// A repeated STOS with elements left keeps its rip.
    pub fn retire(&self, registers: &mut Registers, old: u64) {
        let old = truncate(old, self.width);
        let mut over = true;
        match self.kind {
            StoreKind::Write(_) => {}
            StoreKind::StoreString { repeated, address_width } => {
                over = self.advance_string(registers, address_width, repeated);
            }
            StoreKind::Exchange(index) => self.set_operand(registers, index, old),
            StoreKind::CompareExchange { expected, is_pair, .. } => {
                self.retire_compare(registers, old, expected, is_pair);
            }
            StoreKind::ExchangeAdd(index) => {
                let addend = self.operand(registers, index);
                self.set_flags(registers, compute(Arithmetic::Add, old, addend, self.width, 0).1);
                self.set_operand(registers, index, old);
            }
            StoreKind::Arithmetic(what, value) => {
                let result = compute(what, old, value, self.width, registers.rflags);
                self.set_flags(registers, result.1);
            }
            StoreKind::Bit(_, bit) => {
                registers.rflags = registers.rflags & !flags::CARRY | old >> bit & 1;
            }
        }
        registers.rflags &= !flags::RESUME;
        if over {
            registers.rip = registers.rip.wrapping_add(u64::from(self.length));
        }
    }

    /// Length of the instruction in bytes.
    pub const fn length(&self) -> u8 {
        self.length
    }

    fn operand(&self, registers: &Registers, index: u8) -> u64 {
        register_operand(registers, &self.prefixes, index, self.width)
    }

    fn set_operand(&self, registers: &mut Registers, index: u8, value: u64) {
        set_register_operand(registers, &self.prefixes, index, self.width, value);
    }

    fn set_flags(&self, registers: &mut Registers, new: u64) {
        registers.rflags = registers.rflags & !flags::ARITHMETIC | new;
    }

    fn retire_compare(&self, registers: &mut Registers, old: u64, expected: u64, is_pair: bool) {
        if is_pair {
            registers.rflags &= !flags::ZERO;
            if old == expected {
                registers.rflags |= flags::ZERO;
            } else {
                registers.rax = truncate(old, 4);
                registers.rdx = old >> 32;
            }
            return;
        }
        self.set_flags(registers, compute(Arithmetic::Subtract, expected, old, self.width, 0).1);
        if old != expected {
            set_register_operand(registers, &self.prefixes, 0, self.width, old);
        }
    }

    /// Moves rdi and rcx on; whether the instruction is over.
    fn advance_string(&self, registers: &mut Registers, address_width: u8, repeated: bool) -> bool {
        let step = u64::from(self.width);
        let down = registers.rflags & flags::DIRECTION != 0;
        let next = if down { registers.rdi.wrapping_sub(step) } else { registers.rdi.wrapping_add(step) };
        crate::decode::merge(&mut registers.rdi, address_width, next);
        if !repeated {
            return true;
        }
        let left = truncate(registers.rcx.wrapping_sub(1), address_width);
        crate::decode::merge(&mut registers.rcx, address_width, left);
        left == 0
    }
}
