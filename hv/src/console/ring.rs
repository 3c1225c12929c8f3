//! The console ring: the last bytes that went to the console, for `xl dmesg` and for whoever debugs a dead host.
//!
//! Lock: the caller holds the console's.

use alloc::vec::Vec;

use abi::{Errno, Result};

/// Bytes kept without `conring_size`, and the least that is kept. Xen's default is 16 KiB.
const OWN_SIZE: usize = 32 * 1024;
/// The most that can be asked for.
const MOST: u64 = 1 << 26;

/// Bytes with ever-growing positions; older ones are overwritten.
pub struct Ring {
    own: [u8; OWN_SIZE],
    /// Takes the place of `own` when it is not empty; its size is a power of two.
    larger: Vec<u8>,
    produced: u32,
    /// What stands before this position was forgotten.
    forgotten: u32,
}

impl Ring {
    /// An empty ring.
    pub const fn new() -> Self {
        Self { own: [0; OWN_SIZE], larger: Vec::new(), produced: 0, forgotten: 0 }
    }

    /// Appends one byte.
    pub fn put(&mut self, byte: u8) {
        let position = self.produced as usize % self.size();
        let bytes = if self.larger.is_empty() { &mut self.own[..] } else { &mut self.larger[..] };
        if let Some(slot) = bytes.get_mut(position) {
            *slot = byte;
        }
        self.produced = self.produced.wrapping_add(1);
    }

    /// Bytes that are kept.
    pub fn size(&self) -> usize {
        if self.larger.is_empty() { OWN_SIZE } else { self.larger.len() }
    }

    /// An empty buffer for at least `bytes`, made before the console is locked. Errors: `ENOMEM`, `E2BIG`.
    pub fn buffer(bytes: u64) -> Result<Vec<u8>> {
        if bytes > MOST {
            return Err(Errno::E2BIG);
        }
        let size = (bytes as usize).next_power_of_two().max(OWN_SIZE);
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(size).map_err(|_| Errno::ENOMEM)?;
        buffer.resize(size, 0);
        Ok(buffer)
    }

    /// Goes on in `buffer` (from [`Ring::buffer`]) with all that was printed so far.
    pub fn enlarge(&mut self, mut buffer: Vec<u8>) {
        let size = self.size();
        let kept = (self.produced as usize).min(size);
        for age in 1..=kept {
            let position = (self.produced as usize).wrapping_sub(age);
            let from =
                if self.larger.is_empty() { self.own.get(position % size) } else { self.larger.get(position % size) };
            let into = position % buffer.len().max(1);
            if let (Some(slot), Some(byte)) = (buffer.get_mut(into), from) {
                *slot = *byte;
            }
        }
        self.larger = buffer;
    }

    /// Where the next byte will stand.
    pub fn end(&self) -> u32 {
        self.produced
    }

    /// Where what is kept and was not forgotten begins.
    pub fn begin(&self) -> u32 {
        let size = self.size() as u32;
        if self.produced.wrapping_sub(self.forgotten) <= size {
            self.forgotten
        } else {
            self.produced.wrapping_sub(size)
        }
    }

    /// Forgets what stands before a position.
    pub fn forget(&mut self, until: u32) {
        let begin = self.begin();
        if until.wrapping_sub(begin) <= self.produced.wrapping_sub(begin) {
            self.forgotten = until;
        }
    }

    /// Copies bytes from a position on, or from the beginning if that is not kept; where they stand and how many.
    pub fn copy(&self, from: u32, into: &mut [u8]) -> (u32, usize) {
        let (begin, end) = (self.begin(), self.produced);
        let start = if from.wrapping_sub(begin) <= end.wrapping_sub(begin) { from } else { begin };
        let count = into.len().min(end.wrapping_sub(start) as usize);
        for (offset, slot) in into.iter_mut().enumerate().take(count) {
            *slot = self.byte(start.wrapping_add(offset as u32));
        }
        (start, count)
    }

    fn byte(&self, position: u32) -> u8 {
        let bytes = if self.larger.is_empty() { &self.own[..] } else { &self.larger[..] };
        bytes.get(position as usize % self.size()).copied().unwrap_or(0)
    }
}
