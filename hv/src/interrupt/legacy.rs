//! The two 8259 interrupt controllers: moved away from the exceptions and masked for good.
//!
//! Source: Intel 8259A data sheet.

use x86_64::instructions::port::Port;

use crate::arch::port;

/// Initialises both with vectors 0x20 to 0x2F and masks every line.
pub fn silence() {
    let sequence: [(u16, u8); 10] = [
        (0x20, 0x11),
        (0xA0, 0x11),
        (0x21, 0x20),
        (0xA1, 0x28),
        (0x21, 0x04),
        (0xA1, 0x02),
        (0x21, 0x01),
        (0xA1, 0x01),
        (0x21, 0xFF),
        (0xA1, 0xFF),
    ];
    for (address, value) in sequence {
        port::write_u8(Port::new(address), value);
    }
}
