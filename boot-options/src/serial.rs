//! Serial ports: `com1=` and `com2=`, by position (`115200/115200,8n1,0x3f8,4`) or by name (`baud=115200,irq=4`).

use crate::argument::{Argument, BadValue, Parsed};
use crate::number::{number, number32};

/// Parity of a serial line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parity {
    /// No parity bit.
    None,
    /// Odd.
    Odd,
    /// Even.
    Even,
    /// Always one.
    Mark,
    /// Always zero.
    Space,
}

/// How to drive one port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SerialOptions {
    /// Whether the command line has the port at all.
    pub is_given: bool,
    /// Bits a second; `None` to leave the port at the speed it has.
    pub baud: Option<u32>,
    /// Frequency of the port's clock in Hz, 16 times its highest speed.
    pub clock_hz: u32,
    /// 5 to 8.
    pub data_bits: u8,
    /// Parity.
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
    /// First of its eight I/O ports, or the address of its registers in memory if above 0xffff.
    pub io_base: u64,
    /// Interrupt line; 0 to poll.
    pub irq: u32,
}

impl SerialOptions {
    /// The first port as every PC has it.
    pub const COM1: Self = Self::at(0x3f8, 4);
    /// The second.
    pub const COM2: Self = Self::at(0x2f8, 3);

    const fn at(io_base: u64, irq: u32) -> Self {
        Self {
            is_given: false,
            baud: None,
            clock_hz: 1_843_200,
            data_bits: 8,
            parity: Parity::None,
            stop_bits: 1,
            io_base,
            irq,
        }
    }

    /// Applies one option; what was understood stays when a later part is not.
    pub(crate) fn apply<'a>(&mut self, argument: Argument<'a>) -> Parsed<'a> {
        let text = argument.text()?;
        self.is_given = true;
        let mut position = 0;
        for item in text.split(',') {
            let understood = match item.split_once('=') {
                Some((name, value)) => self.set_named(name, value),
                None => {
                    position += 1;
                    item.is_empty() || self.set_positional(position, item).is_some()
                }
            };
            if !understood {
                return Err(BadValue(item));
            }
        }
        Ok(())
    }

    fn set_positional(&mut self, position: u32, item: &str) -> Option<()> {
        match position {
            1 => {
                let (baud, base) = match item.split_once('/') {
                    Some((baud, base)) => (baud, Some(base)),
                    None => (item, None),
                };
                let clock_hz = base.map(|base| number32(base)?.checked_mul(16));
                self.set_baud(baud)?;
                if let Some(clock_hz) = clock_hz {
                    self.clock_hz = clock_hz?;
                }
            }
            2 => self.set_frame(item)?,
            3 => self.io_base = number(item)?,
            4 => self.irq = number32(item)?,
            _ => return None,
        }
        Some(())
    }

    fn set_named(&mut self, name: &str, value: &str) -> bool {
        let mut set = || match name {
            "baud" => self.set_baud(value),
            "clock-hz" => number32(value).map(|clock_hz| self.clock_hz = clock_hz),
            "data-bits" => self.set_data_bits(value),
            "parity" => self.set_parity(value),
            "stop-bits" => self.set_stop_bits(value),
            "io-base" => number(value).map(|io_base| self.io_base = io_base),
            "irq" => number32(value).map(|irq| self.irq = irq),
            _ => None,
        };
        set().is_some()
    }

    fn set_baud(&mut self, text: &str) -> Option<()> {
        self.baud = match text {
            "auto" => None,
            _ => Some(number32(text).filter(|&baud| baud != 0)?),
        };
        Some(())
    }

    /// Data bits, parity and stop bits in three characters.
    fn set_frame(&mut self, text: &str) -> Option<()> {
        if text.len() != 3 {
            return None;
        }
        let before = *self;
        let mut set = || {
            self.set_data_bits(text.get(0..1)?)?;
            self.set_parity(text.get(1..2)?)?;
            self.set_stop_bits(text.get(2..3)?)
        };
        let done = set();
        if done.is_none() {
            *self = before;
        }
        done
    }

    fn set_data_bits(&mut self, text: &str) -> Option<()> {
        self.data_bits = number(text).filter(|bits| (5..=8).contains(bits))? as u8;
        Some(())
    }

    fn set_stop_bits(&mut self, text: &str) -> Option<()> {
        self.stop_bits = number(text).filter(|bits| (1..=2).contains(bits))? as u8;
        Some(())
    }

    fn set_parity(&mut self, text: &str) -> Option<()> {
        self.parity = match text {
            "n" => Parity::None,
            "o" => Parity::Odd,
            "e" => Parity::Even,
            "m" => Parity::Mark,
            "s" => Parity::Space,
            _ => return None,
        };
        Some(())
    }
}
