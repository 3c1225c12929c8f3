//! Upcalls taken by the shortest possible handlers while something is measured.

use super::entries;
use compat_guests::{events, memory, trap};
use core::sync::atomic::Ordering;

/// Opens vCPU 0 for upcalls to a handler while something is measured.
pub fn with_upcalls(handler: &'static u8, measured: impl FnOnce()) {
    entries::INFO[0].store(memory::shared_info(), Ordering::Relaxed);
    trap::register_callback(0, 0, &raw const *handler as u64);
    events::upcall_mask(0).store(0, Ordering::SeqCst);
    measured();
    events::mask_upcalls();
    trap::register_callback(0, 0, trap::stub(trap::EVENT));
}

/// Has a vCPU's handler take events of a 2-level port.
pub fn watch(vcpu: usize, port: u32) {
    entries::WORD[vcpu].store(events::pending_word(port).as_ptr() as u64, Ordering::Relaxed);
    entries::KEEP[vcpu].store(!(1 << (port % 64)), Ordering::Relaxed);
}
