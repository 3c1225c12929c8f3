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
    #[inline(always)]
    pub const fn new() -> Self {
        Self { bytes: [0; N] }
    }

    /// All bytes the same, to see what a call writes.
    pub const fn filled(byte: u8) -> Self {
        Self { bytes: [byte; N] }
    }

    /// Puts a 16-bit value at a byte offset.
    #[inline(always)]
    pub fn u16(self, offset: usize, value: u16) -> Self {
        self.put(offset, value.to_le_bytes())
    }

    /// Puts a 32-bit value at a byte offset.
    #[inline(always)]
    pub fn u32(self, offset: usize, value: u32) -> Self {
        self.put(offset, value.to_le_bytes())
    }

    /// Puts a 64-bit value at a byte offset.
    #[inline(always)]
    pub fn u64(self, offset: usize, value: u64) -> Self {
        self.put(offset, value.to_le_bytes())
    }

    /// Always inlined, like all that fills an argument, for measurements include it: one store each.
    #[inline(always)]
    fn put<const LENGTH: usize>(mut self, offset: usize, value: [u8; LENGTH]) -> Self {
        assert!(offset + LENGTH <= N);
        // SAFETY: the range lies inside the buffer, which is ours.
        unsafe { self.bytes.as_mut_ptr().add(offset).cast::<[u8; LENGTH]>().write(value) };
        self
    }

    /// The 16-bit value at a byte offset.
    #[inline(always)]
    pub fn get_u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.get(offset))
    }

    /// The 32-bit value at a byte offset.
    #[inline(always)]
    pub fn get_u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.get(offset))
    }

    /// The 64-bit value at a byte offset.
    #[inline(always)]
    pub fn get_u64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.get(offset))
    }

    #[inline(always)]
    fn get<const LENGTH: usize>(&self, offset: usize) -> [u8; LENGTH] {
        assert!(offset + LENGTH <= N);
        // SAFETY: the range lies inside the buffer. Whoever may have written it did so in an asm block that got its
        // address, and such a block may write to all memory.
        unsafe { self.bytes.as_ptr().add(offset).cast::<[u8; LENGTH]>().read() }
    }

    /// The address to hand to the hypervisor, which may write through it.
    #[inline(always)]
    pub fn address(&mut self) -> u64 {
        self.bytes.as_mut_ptr() as u64
    }

    /// The bytes as the hypervisor left them.
    pub fn read(&self) -> [u8; N] {
        // SAFETY: a plain copy of our own bytes; volatile because the hypervisor wrote them behind the compiler's back.
        unsafe { core::ptr::read_volatile(&self.bytes) }
    }
}
