//! Input from the serial line: to dom0's console, or, after three Ctrl-a, to the debug keys.
//!
//! Context: the gate or the idle loop, no lock held.

use super::{output, serial};
use crate::{
    cpu::{self, Work},
    interrupt::device,
};

/// ISA interrupt of COM1.
const COM1_LINE: u32 = 4;

/// Has the serial line interrupt when something has come in. Context: boot, after the I/O APICs were found.
pub fn listen() {
    let has_serial = output::with(|console| console.serial.as_ref().is_some_and(|line| line.base() == serial::COM1));
    if !has_serial {
        return;
    }
    match device::claim_line(COM1_LINE, "ns16550", || _ = cpu::this().raise(Work::CONSOLE)) {
        Ok(()) => output::with(|console| {
            if let Some(serial) = &console.serial {
                serial.enable_receive_interrupt();
            }
        }),
        Err(errno) => log::warn!("No interrupt for the serial line ({}): it is deaf.", errno.name()),
    }
}

/// Takes in what the serial line has received, and tells of what was printed.
pub fn handle() {
    while let Some(byte) = output::with(|console| console.serial.as_ref().and_then(|serial| serial.receive())) {
        super::input::received(byte);
    }
    super::guest::tell_of_ring();
}
