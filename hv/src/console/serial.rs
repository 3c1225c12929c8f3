//! A 16550 UART behind I/O ports.
//!
//! Polled output, so that it works from any context; input raises an interrupt once `enable_receive_interrupt` was
//! called. Lock: the caller holds the console's. Source: PC16550D data sheet §8.

use x86_64::instructions::port::Port;

/// First port of COM1.
pub const COM1: u16 = 0x3F8;

/// One UART, identified by its first port.
pub struct Serial {
    base: u16,
}

const DIVISOR_LATCH: u8 = 0x80;
const EIGHT_BITS_NO_PARITY: u8 = 0x03;
const FIFO_ENABLE_AND_CLEAR: u8 = 0x07;
const DTR_RTS_OUT2: u8 = 0x0B;
const LSR_DATA_READY: u8 = 0x01;
const LSR_TRANSMIT_EMPTY: u8 = 0x20;
/// A UART that never drains must not stop the machine: this many polls, then the byte is dropped.
const TRANSMIT_POLLS: u32 = 1_000_000;

impl Serial {
    /// A UART at `base`, left as the firmware set it until [`Serial::set_up`].
    pub const fn new(base: u16) -> Self {
        Self { base }
    }

    /// Sets speed and format: 8 data bits, no parity, one stop bit. `divisor` is 115200 / baud; 0 keeps the speed.
    pub fn set_up(&self, divisor: u16) {
        self.write(1, 0);
        if divisor != 0 {
            self.write(3, DIVISOR_LATCH);
            self.write(0, divisor as u8);
            self.write(1, (divisor >> 8) as u8);
        }
        self.write(3, EIGHT_BITS_NO_PARITY);
        self.write(2, FIFO_ENABLE_AND_CLEAR);
        self.write(4, DTR_RTS_OUT2);
    }

    /// Sends one byte, waiting for room.
    pub fn send(&self, byte: u8) {
        for _ in 0..TRANSMIT_POLLS {
            if self.read(5) & LSR_TRANSMIT_EMPTY != 0 {
                break;
            }
        }
        self.write(0, byte);
    }

    /// A received byte, if there is one.
    pub fn receive(&self) -> Option<u8> {
        (self.read(5) & LSR_DATA_READY != 0).then(|| self.read(0))
    }

    /// Lets the UART interrupt when a byte has come in.
    pub fn enable_receive_interrupt(&self) {
        self.write(1, 1);
    }

    /// First port, so that dom0 can be kept away from the device.
    pub const fn base(&self) -> u16 {
        self.base
    }

    fn read(&self, register: u16) -> u8 {
        crate::arch::port::read_u8(Port::new(self.base + register))
    }

    fn write(&self, register: u16, value: u8) {
        crate::arch::port::write_u8(Port::new(self.base + register), value);
    }
}
