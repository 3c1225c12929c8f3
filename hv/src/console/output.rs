//! Where console bytes go: serial line, VGA screen, ring. One lock around all three.
//!
//! Lock: [`Level::Console`], the last in the order, so that anything may print. A panic prints through
//! [`emergency`], which does not wait for a lock that its own CPU may hold.

use core::fmt::{self, Write};

use locks::{Level, Lock};

use super::{ring::Ring, serial, serial::Serial, vga::Vga};

/// The console's devices.
pub struct Console {
    /// The serial line, if there is one.
    pub serial: Option<Serial>,
    /// The text screen.
    pub vga: Vga,
    /// What was printed.
    pub ring: Ring,
}

static CONSOLE: Lock<Console> =
    Lock::new(Level::Console, Console { serial: Some(Serial::new(serial::COM1)), vga: Vga::new(), ring: Ring::new() });

impl Console {
    /// Writes bytes to every device; a line feed gets its carriage return on the serial line.
    pub fn write_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(serial) = &self.serial {
                if byte == b'\n' {
                    serial.send(b'\r');
                }
                serial.send(byte);
            }
            self.vga.put(byte);
            self.ring.put(byte);
        }
    }
}

impl Console {
    /// Writes bytes of dom0: they go everywhere ours go, byte by byte as they are.
    pub fn write_guest(&mut self, bytes: &[u8]) {
        self.write_bytes(bytes);
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_bytes(text.as_bytes());
        Ok(())
    }
}

/// Runs `action` with the console locked.
pub fn with<R>(action: impl FnOnce(&mut Console) -> R) -> R {
    action(&mut CONSOLE.lock())
}

/// Prints without the lock if it cannot be had: for a CPU that is about to stop the machine.
pub fn emergency(arguments: fmt::Arguments<'_>) {
    for _ in 0..1_000_000 {
        if let Some(mut console) = CONSOLE.try_lock() {
            // Writing to our devices cannot fail.
            let _ = console.write_fmt(arguments);
            return;
        }
        core::hint::spin_loop();
    }
    let _ = SerialOnly(Serial::new(serial::COM1)).write_fmt(arguments);
}

/// The serial line alone: small enough for any stack.
struct SerialOnly(Serial);

impl Write for SerialOnly {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.0.send(b'\r');
            }
            self.0.send(byte);
        }
        Ok(())
    }
}
