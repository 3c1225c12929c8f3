//! Argument structures as plain bytes, so that a test can put anything anywhere, also what no struct could hold.

/// `N` bytes, 8-aligned, zero at first.
#[repr(C, align(8))]
#[derive(Clone)]
pub struct Buffer<const N: usize> {
    bytes: [u8; N],
}

impl<const N: usize> Default for Buffer<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Buffer<N> {
    /// All zero.
    pub const fn new() -> Self {
        Self { bytes: [0; N] }
    }

    /// All bytes the same, to see what a call writes.
    pub const fn filled(byte: u8) -> Self {
        Self { bytes: [byte; N] }
    }

    /// Puts a 16-bit value at a byte offset.
    pub fn u16(mut self, offset: usize, value: u16) -> Self {
        self.bytes[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Puts a 32-bit value at a byte offset.
    pub fn u32(mut self, offset: usize, value: u32) -> Self {
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Puts a 64-bit value at a byte offset.
    pub fn u64(mut self, offset: usize, value: u64) -> Self {
        self.bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// The 16-bit value at a byte offset.
    pub fn get_u16(&self, offset: usize) -> u16 {
        let mut bytes = [0; 2];
        bytes.copy_from_slice(&self.read()[offset..offset + 2]);
        u16::from_le_bytes(bytes)
    }

    /// The 32-bit value at a byte offset.
    pub fn get_u32(&self, offset: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.read()[offset..offset + 4]);
        u32::from_le_bytes(bytes)
    }

    /// The 64-bit value at a byte offset.
    pub fn get_u64(&self, offset: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.read()[offset..offset + 8]);
        u64::from_le_bytes(bytes)
    }

    /// The address to hand to the hypervisor, which may write through it.
    pub fn address(&mut self) -> u64 {
        self.bytes.as_mut_ptr() as u64
    }

    /// The bytes as the hypervisor left them.
    pub fn read(&self) -> [u8; N] {
        // SAFETY: a plain copy of our own bytes; volatile because the hypervisor wrote them behind the compiler's back.
        unsafe { core::ptr::read_volatile(&self.bytes) }
    }
}
