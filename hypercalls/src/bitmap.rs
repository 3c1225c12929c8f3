//! Maps of CPUs in a toolstack's memory. Source: Xen public header `domctl.h` (`xenctl_bitmap`).
//!
//! Whole bytes are written as far as the caller's room goes, with zeros behind the last CPU.

use abi::domctl_domain::Bitmap;
use abi::{Errno, Result};

use crate::guest::{self, GuestMemory};

/// Most bytes that are written: maps of callers are as large as the largest machine's.
const MOST_BYTES: usize = 1024;

/// The CPUs of a map; what is beyond the last CPU is dropped. Errors: `EFAULT`.
pub fn read(host: &impl GuestMemory, map: &Bitmap, limit: u32) -> Result<u64> {
    let bits = map.bits.min(limit).min(u64::BITS);
    let mut bytes = [0; 8];
    let part = bytes.get_mut(..bits.div_ceil(8) as usize).ok_or(Errno::EINVAL)?;
    if part.is_empty() {
        // Nothing is read, so any address will do.
        return Ok(0);
    }
    guest::copy_in_bytes(host, map.bitmap.address(), part)?;
    Ok(u64::from_le_bytes(bytes) & known(bits))
}

fn known(bits: u32) -> u64 {
    if bits >= u64::BITS { u64::MAX } else { (1 << bits) - 1 }
}

/// Writes the CPUs of `cpus` below `limit`. Errors: `EFAULT`.
pub fn write(host: &impl GuestMemory, map: &Bitmap, cpus: u64, limit: u32) -> Result<()> {
    let mut bytes = [0; MOST_BYTES];
    for (slot, byte) in bytes.iter_mut().zip((cpus & known(limit)).to_le_bytes()) {
        *slot = byte;
    }
    let room = (map.bits.div_ceil(8) as usize).min(MOST_BYTES);
    if room == 0 {
        return Ok(());
    }
    guest::copy_out_bytes(host, map.bitmap.address(), bytes.get(..room).unwrap_or_default())
}
