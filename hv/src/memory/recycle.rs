//! From a domain's last reference to a free frame: the order of owner, flush and scrub.
//!
//! A frame given up by a domain may still be translated on some CPU until that CPU flushes. It is freed with its stamp in
//! the frame table; whoever allocates it for a domain flushes the CPUs that have not flushed since, then scrubs it. A frame
//! that goes back to the domain that gave it up (balloons breathe) holds nothing that is not the domain's, and stays as it
//! is.

use abi::{DomainId, Mfn, Result};
use frame_allocator::Order;
use pv_mmu::FrameInfo;

use super::{frame_table, physical, window};
use crate::interrupt::flush;

/// Takes a frame without references back into the allocator.
pub fn put(frame: Mfn) {
    if let Some(info) = frame_table::frames().get(frame) {
        info.reset();
    }
    physical::free_used(frame);
}

/// A free block below `limit`: flushed and scrubbed, not yet anybody's. Errors: `ENOMEM`.
pub fn take(order: Order, limit: Mfn) -> Result<Mfn> {
    take_unless(order, limit, |_| false)
}

/// The same for `domain`: frames that hold nothing but its own are not scrubbed.
pub fn take_for(domain: DomainId, order: Order, limit: Mfn) -> Result<Mfn> {
    take_unless(order, limit, |info| info.has_content_of(domain))
}

/// Takes a block, flushes, and scrubs what need not be kept out of it by `is_own`.
#[inline(always)]
fn take_unless(order: Order, limit: Mfn, is_own: impl Fn(&FrameInfo) -> bool) -> Result<Mfn> {
    let first = physical::allocate(order, limit)?;
    let frames = frame_table::frames();
    let everyone = flush::CpuMask(u64::MAX);
    let mut stale = 0;
    for frame in first.0..first.0 + (1 << order.0) {
        if let Some(info) = frames.get(Mfn(frame))
            && info.flush_stamp() != 0
        {
            stale |= flush::stale_since(everyone, info.flush_stamp()).0;
        }
    }
    if stale != 0 {
        flush::on(flush::CpuMask(stale));
    }
    // Only now: a translation that was still in use could have written behind the scrubbing.
    for frame in first.0..first.0 + (1 << order.0) {
        if !frames.get(Mfn(frame)).is_some_and(&is_own) {
            window::zero(Mfn(frame));
        }
    }
    Ok(first)
}
