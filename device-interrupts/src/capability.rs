//! The list of capabilities of a function. Source: PCI Local Bus 3.0 §6.7.
//!
//! Devices are not trusted to have a list that ends: no more steps are made than capabilities fit.

use crate::configuration::Configuration;

/// Message-signalled interrupts.
pub const MSI: u8 = 0x05;
/// The same, with a table.
pub const MSIX: u8 = 0x11;

const STATUS: u16 = 0x06;
const HAS_LIST: u16 = 1 << 4;
const HEADER_TYPE: u16 = 0x0E;
const FIRST: u16 = 0x34;
const FIRST_CARDBUS: u16 = 0x14;
/// Where capabilities may begin.
const LOWEST: u8 = 0x40;
/// As many as fit into the space.
const MOST: usize = 48;

/// Where the capability is. `None` when the function has none of the kind, or is not there.
pub fn find(configuration: &impl Configuration, kind: u8) -> Option<u8> {
    let status = configuration.read_half(STATUS);
    if status == u16::MAX || status & HAS_LIST == 0 {
        return None;
    }
    let is_cardbus = configuration.read_byte(HEADER_TYPE) & 0x7F == 2;
    let mut next = configuration.read_byte(if is_cardbus { FIRST_CARDBUS } else { FIRST }) & !3;
    for _ in 0..MOST {
        if next < LOWEST {
            return None;
        }
        let head = configuration.read_half(u16::from(next));
        if head as u8 == kind {
            return Some(next);
        }
        if head as u8 == 0xFF {
            return None;
        }
        next = (head >> 8) as u8 & !3;
    }
    None
}
