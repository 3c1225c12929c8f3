//! Results and flags of the arithmetic instructions that can write memory.
//!
//! Source: Intel SDM vol. 1 section 3.4.3.1, vol. 2.

use crate::decode::truncate;
use crate::flags;

/// An operation on a memory operand and a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arithmetic {
    /// ADD.
    Add,
    /// OR.
    Or,
    /// ADC.
    AddCarry,
    /// SBB.
    SubtractBorrow,
    /// AND.
    And,
    /// SUB.
    Subtract,
    /// XOR.
    Xor,
    /// INC, which leaves CF alone.
    Increment,
    /// DEC, which leaves CF alone.
    Decrement,
    /// NOT, which leaves all flags alone.
    Not,
    /// NEG.
    Negate,
}

impl Arithmetic {
    /// By the number of the opcode group; 7 (CMP) writes nothing.
    pub const fn from_group(group: u8) -> Option<Self> {
        Some(match group {
            0 => Arithmetic::Add,
            1 => Arithmetic::Or,
            2 => Arithmetic::AddCarry,
            3 => Arithmetic::SubtractBorrow,
            4 => Arithmetic::And,
            5 => Arithmetic::Subtract,
            6 => Arithmetic::Xor,
            _ => return None,
        })
    }

    /// By opcode 0xF6, 0xF7, 0xFE or 0xFF and its reg field.
    pub const fn from_unary(opcode: u8, reg: u8) -> Option<Self> {
        Some(match (opcode & !1, reg) {
            (0xF6, 2) => Arithmetic::Not,
            (0xF6, 3) => Arithmetic::Negate,
            (0xFE, 0) => Arithmetic::Increment,
            (0xFE, 1) => Arithmetic::Decrement,
            _ => return None,
        })
    }
}

/// The new operand and the six status flags. Arguments: operation, operand, value (1 for INC and DEC), width in bytes, the
/// flags before.
pub const fn compute(what: Arithmetic, old: u64, value: u64, width: u8, before: u64) -> (u64, u64) {
    let (old, value) = (truncate(old, width), truncate(value, width));
    let carry = before & flags::CARRY;
    match what {
        Arithmetic::Add => add(old, value, 0, width),
        Arithmetic::AddCarry => add(old, value, carry, width),
        Arithmetic::Subtract => subtract(old, value, 0, width),
        Arithmetic::SubtractBorrow => subtract(old, value, carry, width),
        Arithmetic::Negate => subtract(0, old, 0, width),
        Arithmetic::Or => logic(old | value, width),
        Arithmetic::And => logic(old & value, width),
        Arithmetic::Xor => logic(old ^ value, width),
        Arithmetic::Not => (truncate(!old, width), before & flags::ARITHMETIC),
        Arithmetic::Increment => {
            let (result, new) = add(old, 1, 0, width);
            (result, new & !flags::CARRY | carry)
        }
        Arithmetic::Decrement => {
            let (result, new) = subtract(old, 1, 0, width);
            (result, new & !flags::CARRY | carry)
        }
    }
}

const fn sign(value: u64, width: u8) -> u64 {
    value >> (8 * width as u32 - 1) & 1
}

const fn result_flags(result: u64, width: u8) -> u64 {
    let mut new = 0;
    if result == 0 {
        new |= flags::ZERO;
    }
    if sign(result, width) != 0 {
        new |= flags::SIGN;
    }
    if (result as u8).count_ones() & 1 == 0 {
        new |= flags::PARITY;
    }
    new
}

const fn logic(result: u64, width: u8) -> (u64, u64) {
    (result, result_flags(result, width))
}

const fn add(left: u64, right: u64, carry: u64, width: u8) -> (u64, u64) {
    let wide = left as u128 + right as u128 + carry as u128;
    let result = truncate(wide as u64, width);
    let mut new = result_flags(result, width) | (left ^ right ^ result) & flags::ADJUST;
    if wide >> (8 * width as u32) != 0 {
        new |= flags::CARRY;
    }
    if sign(!(left ^ right) & (left ^ result), width) != 0 {
        new |= flags::OVERFLOW;
    }
    (result, new)
}

const fn subtract(left: u64, right: u64, borrow: u64, width: u8) -> (u64, u64) {
    let result = truncate(left.wrapping_sub(right).wrapping_sub(borrow), width);
    let mut new = result_flags(result, width) | (left ^ right ^ result) & flags::ADJUST;
    if (left as u128) < right as u128 + borrow as u128 {
        new |= flags::CARRY;
    }
    if sign((left ^ right) & (left ^ result), width) != 0 {
        new |= flags::OVERFLOW;
    }
    (result, new)
}
