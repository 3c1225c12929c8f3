//! Getting and putting references: general ones, and type references with validation on the way from zero.
//!
//! A holder of a type reference holds a general reference too. No lock is taken; who moves a frame away from count
//! zero, or back to it, has it busy for itself (see `type_word`), and others wait with [`MmuHost::relax`]. A CPU that
//! has a table busy waits only for tables of lower levels, so the waits cannot form a circle.

use abi::{DomainId, Errno, Mfn};

use crate::{
    frame::FrameInfo,
    host::{MmuHost, Stop, TABLE_ENTRIES},
    level_one,
    reference::ReferenceWord,
    segment,
    sync::{AcqRel, Acquire, Relaxed},
    type_word::{FrameType, TypeWord},
    upper,
};

/// A general reference to a frame of RAM that belongs to `owner`. Errors: `EINVAL`.
#[inline]
pub fn get_page<H: MmuHost>(host: &H, mfn: Mfn, owner: DomainId) -> abi::Result<&FrameInfo> {
    let frame = host.frames().get(mfn).ok_or(Errno::EINVAL)?;
    frame.try_get_reference(owner).ok_or(Errno::EINVAL)?;
    Ok(frame)
}

/// Gives a general reference back; the last one frees the frame.
#[inline]
pub fn put_page<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo) {
    if let Some(before) = frame.drop_reference() {
        release(host, mfn, frame, before);
    }
}

#[cold]
#[inline(never)]
fn release<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo, before: ReferenceWord) {
    assert!(frame.type_word().count() == 0, "freed frame has type references");
    if before.cache_bits() != 0 {
        // Back to ordinary memory. It cannot fail: the large mapping that it restores needs no new tables.
        let _ = host.set_cache_attribute(mfn, 0);
    }
    if before.is_non_coherent() {
        host.clean_cache(mfn);
    }
    frame.set_stamp(host.flush_clock());
    host.release_frame(mfn, before.owner());
}

/// A type reference, for a caller with a general reference; validates the contents when the type is new.
///
/// Errors: `EINVAL` when the frame is in use as something else, or the contents do not fit (`EINVAL`, `EPERM`,
/// `EBUSY`, ...); `Preempted` (tables of level 2 and up) with the progress kept in the frame, to be asked again.
#[inline]
pub fn get_type<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo, wanted: FrameType) -> Result<(), Stop> {
    if frame.try_get_type_once(wanted) { Ok(()) } else { get_type_slowly(host, mfn, frame, wanted) }
}

#[cold]
#[inline(never)]
fn get_type_slowly<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo, wanted: FrameType) -> Result<(), Stop> {
    loop {
        if frame.try_get_type(wanted) {
            return Ok(());
        }
        let word = TypeWord(frame.type_word.load(Acquire));
        if word.count() == 0 {
            let busy = TypeWord::new(wanted, 1);
            if frame.type_word.compare_exchange(word.0, busy.0, AcqRel, Relaxed).is_ok() {
                leave_old_type(host, mfn, frame, word.frame_type(), wanted);
                return validate(host, mfn, frame, wanted, 0);
            }
        } else if word.frame_type() != wanted || word.count() == TypeWord::COUNT {
            return Err(Stop::Errno(Errno::EINVAL));
        } else if word.is_partial() {
            if frame.take_partial(word) {
                let outcome = validate(host, mfn, frame, wanted, frame.progress());
                // The partial state's own reference; the caller has another.
                put_page(host, mfn, frame);
                return outcome;
            }
        } else {
            host.relax();
        }
    }
}

/// The new type is visible and busy: now nobody can get the old one, so what the flush removes stays removed.
fn leave_old_type<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo, old: FrameType, new: FrameType) {
    if old != new && old != FrameType::None {
        host.flush_before_retype(mfn, frame.flush_stamp());
    }
    if new != FrameType::Writable && frame.reference().is_non_coherent() {
        // What validation reads must be what the page walker and the guest will read.
        // No writable mapping is left or can come now, so the mark cannot come back meanwhile.
        frame.reference.fetch_and(!ReferenceWord::NON_COHERENT, AcqRel);
        host.clean_cache(mfn);
    }
}

fn validate<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo, wanted: FrameType, progress: usize) -> Result<(), Stop> {
    match wanted {
        FrameType::L1 => level_one::validate(host, mfn, frame)?,
        FrameType::L2 | FrameType::L3 | FrameType::L4 => upper::validate(host, mfn, frame, wanted, progress)?,
        FrameType::Segment => segment::validate(host, mfn, frame)?,
        FrameType::None | FrameType::Shared | FrameType::Writable => {}
    }
    frame.publish(wanted, 1, TypeWord::VALIDATED);
    Ok(())
}

/// Gives a type reference back. The last one of a table drops what its entries hold; what the budget does not allow
/// is left in [`MmuHost::drops`], for [`crate::finish_drops`].
#[inline]
pub fn put_type<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo) {
    if !frame.drop_type_once() {
        put_type_slowly(host, mfn, frame);
    }
}

#[inline(never)]
fn put_type_slowly<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo) {
    match frame.drop_type() {
        None => {}
        Some(FrameType::Writable) => unused(host, frame, FrameType::Writable),
        Some(other) => put_last_type(host, mfn, frame, other),
    }
}

#[inline(never)]
fn put_last_type<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo, frame_type: FrameType) {
    match frame_type {
        FrameType::L1 => level_one::devalidate(host, mfn, frame),
        FrameType::L2 | FrameType::L3 | FrameType::L4 => upper::devalidate(host, mfn, frame, frame_type, TABLE_ENTRIES),
        _ => unused(host, frame, frame_type),
    }
}

/// Ends the busy state with count zero.
#[inline]
pub(crate) fn unused<H: MmuHost>(host: &H, frame: &FrameInfo, frame_type: FrameType) {
    // Stamped while nobody can get or put: the clock of an earlier last put must not survive a later one.
    frame.set_stamp(host.flush_clock());
    let flags = if frame_type == FrameType::Writable { TypeWord::VALIDATED } else { 0 };
    frame.publish(frame_type, 0, flags);
}

/// General and type reference to a frame of `owner`. Errors: as [`get_page`] and [`get_type`].
pub fn get_page_and_type<H: MmuHost>(
    host: &H,
    mfn: Mfn,
    owner: DomainId,
    wanted: FrameType,
) -> Result<&FrameInfo, Stop> {
    let frame = get_page(host, mfn, owner)?;
    if let Err(stop) = get_type(host, mfn, frame, wanted) {
        put_page(host, mfn, frame);
        return Err(stop);
    }
    Ok(frame)
}

/// Gives both references back.
#[inline]
pub fn put_page_and_type<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo) {
    put_type(host, mfn, frame);
    put_page(host, mfn, frame);
}
