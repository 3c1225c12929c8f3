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
    /// Whether the ring keeps what guests write, too (`console_to_ring`).
    pub keeps_guest_output: bool,
}

static CONSOLE: Lock<Console> = Lock::new(
    Level::Console,
    Console { serial: Some(Serial::new(serial::COM1)), vga: Vga::new(), ring: Ring::new(), keeps_guest_output: false },
);

impl Console {
    /// Writes our own bytes: to every device and the ring.
    pub fn write_bytes(&mut self, bytes: &[u8]) {
        self.write_devices(bytes);
        bytes.iter().for_each(|byte| self.ring.put(*byte));
    }

    /// Writes bytes of dom0: to the devices, byte by byte as they are, and to the ring if that was asked for.
    pub fn write_guest(&mut self, bytes: &[u8]) {
        self.write_devices(bytes);
        if self.keeps_guest_output {
            bytes.iter().for_each(|byte| self.ring.put(*byte));
        }
    }

    /// A line feed gets its carriage return on the serial line.
    fn write_devices(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(serial) = &self.serial {
                if byte == b'\n' {
                    serial.send(b'\r');
                }
                serial.send(byte);
            }
            self.vga.put(byte);
        }
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_bytes(text.as_bytes());
        Ok(())
    }
}

/// Gives the ring at least `bytes`, or what it has. Context: once there is a heap.
pub fn size_ring(bytes: Option<u64>) {
    if let Some(bytes) = bytes {
        match Ring::buffer(bytes) {
            Ok(buffer) => with(|console| console.ring.enlarge(buffer)),
            Err(errno) => log::warn!("No console ring of {bytes} bytes ({}).", errno.name()),
        }
    }
    log::info!("Allocated console ring of {} KiB.", with(|console| console.ring.size()) >> 10);
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
