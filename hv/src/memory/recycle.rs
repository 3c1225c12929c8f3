//! From a domain's last reference to a free frame: the order of owner, flush and scrub.
//!
//! A frame given up by a domain may still be translated on some CPU until that CPU flushes. It is freed with its stamp in
//! the frame table; whoever allocates it for a domain flushes the CPUs that have not flushed since, then scrubs it.

use abi::{Mfn, Result};
use frame_allocator::Order;

use super::{frame_table, physical, window};
use crate::interrupt::flush;

/// Takes a frame without references back into the allocator.
pub fn put(frame: Mfn) {
    if let Some(info) = frame_table::frames().get(frame) {
        info.reset();
    }
    physical::free(frame, Order(0));
}

/// A free block below `limit` for a domain: flushed and scrubbed, not yet anybody's. Errors: `ENOMEM`.
pub fn take(order: Order, limit: Mfn) -> Result<Mfn> {
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
    for frame in first.0..first.0 + (1 << order.0) {
        window::zero(Mfn(frame));
    }
    Ok(first)
}
