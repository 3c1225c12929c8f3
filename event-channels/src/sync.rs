//! Atomics, or loom's in place of them, and the sizes that loom needs small.
//!
//! Accesses that decide between "I saw your flag" and "you see mine" are `SeqCst` on both sides. Loom does not model the
//! total order of `SeqCst` accesses, only that of fences, so [`full_fence`] stands beside each of them; outside loom
//! it is nothing, as on x86-64 the locked instruction before it orders everything already.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

/// Loom's stand-in for the total order of `SeqCst` accesses.
#[inline(always)]
pub(crate) fn full_fence() {
    #[cfg(loom)]
    loom::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}

/// 64-bit words in each 2-level bitmap.
pub(crate) const BITMAP_WORDS: usize = if cfg!(loom) { 1 } else { 64 };
/// vCPUs with a slot in the shared page.
pub(crate) const LEGACY_VCPUS: usize = if cfg!(loom) { 2 } else { abi::shared_info::LEGACY_MAX_VCPUS };
/// Event words in a page of the FIFO array.
pub(crate) const PAGE_WORDS: usize = if cfg!(loom) { 32 } else { abi::event_channel::FIFO_WORDS_PER_PAGE as usize };
/// Ports that come to life together. Guests can tell: a port whose group exists is closed, another is invalid.
pub(crate) const BUCKET_PORTS: usize = if cfg!(loom) { 4 } else { 64 };
