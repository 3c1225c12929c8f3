//! How frames leave their domain: ballooned out, exchanged, or with the whole domain.

use abi::{DomainId, Errno, Mfn, Result};

use crate::{
    drops::finish_drops,
    frame::FrameInfo,
    host::{MmuHost, Stop},
    pin::take_pin,
    reference::ReferenceWord,
    sync::{AcqRel, Relaxed},
    types::{get_page, put_page, put_page_and_type, unused},
    upper::finish_partial,
};

fn take_allocation(frame: &FrameInfo) -> bool {
    ReferenceWord(frame.reference.fetch_and(!ReferenceWord::ALLOCATED, AcqRel)).is_allocated()
}

/// Ends the owner's allocation of a frame (decrease_reservation): it is freed with its last reference, now or when
/// the last mapping goes. Errors: `EINVAL` not a frame of `owner`, allocation gone already, or the hypervisor's.
pub fn release_allocation<H: MmuHost>(host: &H, mfn: Mfn, owner: DomainId) -> Result<()> {
    let frame = get_page(host, mfn, owner)?;
    let released = !frame.reference().is_xen_heap() && take_allocation(frame);
    if released {
        put_page(host, mfn, frame);
    }
    put_page(host, mfn, frame);
    if released { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Undoes [`FrameInfo::assign_shared`]: ends the hypervisor's use of a frame that it shared with `owner`; freed with
/// the last mapping. Errors: `EINVAL` not such a frame, or released already.
pub fn release_shared<H: MmuHost>(host: &H, mfn: Mfn, owner: DomainId) -> Result<()> {
    let frame = get_page(host, mfn, owner)?;
    let released = frame.reference().is_xen_heap() && take_allocation(frame);
    if released {
        if let Some(frame_type) = frame.drop_type() {
            unused(host, frame, frame_type);
        }
        put_page(host, mfn, frame);
    }
    put_page(host, mfn, frame);
    if released { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Takes a frame away from `owner` in one step, if nobody uses it (exchange, transfer): it has no owner afterwards and
/// belongs to the caller, with [`FrameInfo::flush_stamp`] saying what flush its reuse owes. Errors: `EINVAL` not a
/// frame of `owner`, or with references beside the allocation.
pub fn steal<H: MmuHost>(host: &H, mfn: Mfn, owner: DomainId) -> Result<()> {
    let frame = host.frames().get(mfn).ok_or(Errno::EINVAL)?;
    let word = frame.reference();
    let flags = word.0 & (ReferenceWord::CACHE | ReferenceWord::NON_COHERENT);
    let alone = ReferenceWord::new(owner, ReferenceWord::ALLOCATED | flags, 1);
    let free = ReferenceWord::new(DomainId::INVALID, 0, 0);
    frame.reference.compare_exchange(alone.0, free.0, AcqRel, Relaxed).map_err(|_| Errno::EINVAL)?;
    assert!(frame.type_word().count() == 0, "unreferenced frame has type references");
    if alone.cache_bits() != 0 {
        let _ = host.set_cache_attribute(mfn, 0);
    }
    if alone.is_non_coherent() {
        host.clean_cache(mfn);
    }
    frame.set_stamp(host.flush_clock());
    Ok(())
}

/// One step of a domain's destruction: takes the pin, unfinished validation and allocation from one of its frames.
/// The frame goes with its last reference, which may be held by a table that comes later, or by another domain.
/// Errors: `Preempted` before or after the step, which may be repeated.
///
/// Call it for every frame of a domain whose vCPUs stopped and gave up their roots and descriptor pages.
pub fn relinquish_frame<H: MmuHost>(host: &H, mfn: Mfn, owner: DomainId) -> core::result::Result<(), Stop> {
    finish_drops(host)?;
    let Ok(frame) = get_page(host, mfn, owner) else { return Ok(()) };
    if take_pin(frame) {
        put_page_and_type(host, mfn, frame);
    }
    finish_partial(host, mfn, frame);
    if !frame.reference().is_xen_heap() && take_allocation(frame) {
        put_page(host, mfn, frame);
    }
    put_page(host, mfn, frame);
    finish_drops(host)
}
