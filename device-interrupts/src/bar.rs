//! Base address registers. Source: PCI Local Bus 3.0 §6.2.5.1.

use crate::configuration::Configuration;

const FIRST: u16 = 0x10;
const HEADER_TYPE: u16 = 0x0E;
const IS_PORT: u32 = 1;
const KIND: u32 = 6;
const IS_64_BIT: u32 = 4;

/// Physical address of a memory BAR. `None` for a port BAR, one the header has not, or one without an address.
pub fn memory_base(configuration: &impl Configuration, index: u8) -> Option<u64> {
    let count = match configuration.read_byte(HEADER_TYPE) & 0x7F {
        0 => 6,
        1 => 2,
        _ => 0,
    };
    if index >= count {
        return None;
    }
    let register = FIRST + 4 * u16::from(index);
    let low = configuration.read_word(register);
    if low & IS_PORT != 0 {
        return None;
    }
    let high = match low & KIND {
        IS_64_BIT if index + 1 < count => configuration.read_word(register + 4),
        IS_64_BIT => return None,
        _ => 0,
    };
    let base = u64::from(low & !0xF) | u64::from(high) << 32;
    (base != 0 && low != u32::MAX).then_some(base)
}
