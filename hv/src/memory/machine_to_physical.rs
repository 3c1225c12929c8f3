//! The machine-to-physical table: which pseudo-physical frame a guest has given each of its frames.
//!
//! Guests read it through slot 256; the hypervisor writes it through its own view. Blocks without memory are not mapped,
//! so an index is checked against the frame table first. Source: Xen public header `arch-x86/xen-x86_64.h`.

#![expect(unsafe_code, reason = "the table lies at a fixed address")]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::{DomainId, Mfn};

use super::{frame_table, layout::MACHINE_TO_PHYSICAL_WRITABLE};

/// What an entry without meaning holds.
pub const INVALID: u64 = u64::MAX;

fn entry(mfn: Mfn) -> Option<&'static AtomicU64> {
    let info = frame_table::frames().get(mfn)?;
    if info.reference().owner() == DomainId::IO {
        return None;
    }
    let pointer = (MACHINE_TO_PHYSICAL_WRITABLE + 8 * mfn.0) as *const AtomicU64;
    // SAFETY: the frame is memory (checked), and the table is mapped wherever there is memory.
    Some(unsafe { &*pointer })
}

/// Sets a frame's entry; frames that are no memory have none.
#[inline]
pub fn set(mfn: Mfn, value: u64) {
    if let Some(entry) = entry(mfn) {
        entry.store(value, Relaxed);
    }
}

/// Takes a frame's entry out.
#[inline]
pub fn invalidate(mfn: Mfn) {
    set(mfn, INVALID);
}
