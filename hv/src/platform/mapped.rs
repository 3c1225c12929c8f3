//! Copies from firmware memory that was mapped read-only.

#![expect(unsafe_code, reason = "reads mapped firmware memory")]

/// Fills `to` from the mapping at `address`, which `memory::physical::map_device` made for at least that many bytes.
pub fn copy(address: u64, to: &mut [u8]) {
    for (offset, byte) in to.iter_mut().enumerate() {
        let pointer = (address + offset as u64) as *const u8;
        // SAFETY: inside the range that the caller has just mapped for good; firmware memory is no Rust object.
        *byte = unsafe { pointer.read_volatile() };
    }
}
