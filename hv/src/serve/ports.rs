//! Port I/O of guests: the machine's ports for those who have them, configuration space, clock and timer for dom0.
//!
//! Locks: configuration space has its own; the clock's index latch is the domain's.

use pv_cpu::ports::PortHost;
use x86_64::instructions::port::Port;

use super::instructions::Instructions;
use crate::{arch::port, platform::pci};

const CLOCK_INDEX: u16 = 0x70;
const TIMER_CHANNEL_2: u16 = 0x42;
const TIMER_COMMAND: u16 = 0x43;
const TIMER_GATE: u16 = 0x61;

impl PortHost for Instructions<'_> {
    #[inline]
    fn permitted(&self, first: u16, last: u16) -> bool {
        last >= first && self.domain.rights.may_use_ports(first, last - first + 1)
    }

    fn hardware_in(&mut self, address: u16, width: u8) -> u32 {
        match width {
            1 => u32::from(port::read_u8(Port::new(address))),
            2 => u32::from(port::read_u16(Port::new(address))),
            _ => port::read_u32(Port::new(address)),
        }
    }

    fn hardware_out(&mut self, address: u16, width: u8, value: u32) {
        match width {
            1 => port::write_u8(Port::new(address), value as u8),
            2 => port::write_u16(Port::new(address), value as u16),
            _ => port::write_u32(Port::new(address), value),
        }
    }

    fn config_address(&mut self) -> &mut u32 {
        &mut self.config_address
    }

    fn config_read(&mut self, offset: u8, width: u8) -> u32 {
        if !self.domain.rights.has_io() {
            return u32::MAX;
        }
        pci::guest_port_read(self.config_address, offset, width)
    }

    fn config_write(&mut self, offset: u8, width: u8, value: u32) {
        if self.domain.rights.has_io() {
            pci::guest_port_write(self.config_address, offset, width, value);
        }
    }

    fn clock_read(&mut self, address: u16) -> u8 {
        if self.domain.rights.has_io() { port::read_u8(Port::new(address)) } else { u8::MAX }
    }

    fn clock_write(&mut self, address: u16, value: u8) {
        // The index register's top bit masks NMI, which is not the guest's to do.
        let value = if address == CLOCK_INDEX { value & 0x7F } else { value };
        if self.domain.rights.has_io() {
            port::write_u8(Port::new(address), value);
        }
    }

    fn timer_read(&mut self, address: u16) -> u8 {
        if !self.domain.rights.has_io() {
            return u8::MAX;
        }
        match address {
            TIMER_CHANNEL_2 | TIMER_GATE => port::read_u8(Port::new(address)),
            // The command register is for writing only and reads as nothing.
            _ => 0,
        }
    }

    fn timer_write(&mut self, address: u16, value: u8) {
        const CHANNEL: u8 = 0xC0;
        const CHANNEL_2: u8 = 0x80;
        const SPEAKER_BITS: u8 = 3;
        if !self.domain.rights.has_io() {
            return;
        }
        match address {
            TIMER_CHANNEL_2 => port::write_u8(Port::new(address), value),
            TIMER_COMMAND if value & CHANNEL == CHANNEL_2 => port::write_u8(Port::new(address), value),
            TIMER_GATE => port::write_u8(Port::new(address), value & SPEAKER_BITS),
            _ => {}
        }
    }
}
