//! The console ring: the last bytes that went to the console, for `xl dmesg` and for whoever debugs a dead host.
//!
//! Lock: the caller holds the console's.

/// Bytes kept; must be a power of two. Xen's default is 16 KiB plus 4 KiB for each CPU.
pub const RING_SIZE: usize = 32 * 1024;

/// Bytes with ever-growing positions; older ones are overwritten.
pub struct Ring {
    bytes: [u8; RING_SIZE],
    produced: u32,
}

impl Ring {
    /// An empty ring.
    pub const fn new() -> Self {
        Self { bytes: [0; RING_SIZE], produced: 0 }
    }

    /// Appends one byte.
    pub fn put(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.produced as usize % RING_SIZE) {
            *slot = byte;
        }
        self.produced = self.produced.wrapping_add(1);
    }
}
