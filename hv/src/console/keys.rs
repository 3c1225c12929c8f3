//! Input from the serial line: to dom0's console, or, after three Ctrl-a, to the debug keys.
//!
//! Context: the gate or the idle loop, no lock held.

use super::output;

/// Takes in what the serial line has received.
pub fn handle() {
    while let Some(byte) = output::with(|console| console.serial.as_ref().and_then(|serial| serial.receive())) {
        super::input::received(byte);
    }
}
