//! Pinning of tables, and the tables that a vCPU's CR3 stands for.

use abi::{DomainId, Errno, Mfn};

use crate::{
    host::{MmuHost, Stop},
    sync::AcqRel,
    type_word::{FrameType, TypeWord},
    types::{get_page, get_page_and_type, put_page, put_page_and_type},
    upper::finish_partial,
};

/// Validates a frame of `owner` as a table of `level` and keeps it so until [`unpin`], whether it is used or not.
/// Errors: `EINVAL` not a frame of `owner`, in use otherwise, or pinned already; those of its contents; `Preempted`,
/// to be asked again.
pub fn pin<H: MmuHost>(host: &H, mfn: Mfn, owner: DomainId, level: FrameType) -> Result<(), Stop> {
    if host.is_dying(owner) {
        return refuse_dying(host, mfn, owner);
    }
    let frame = get_page_and_type(host, mfn, owner, level)?;
    let before = TypeWord(frame.type_word.fetch_or(TypeWord::PINNED, AcqRel));
    if before.is_pinned() {
        put_page_and_type(host, mfn, frame);
        return Err(Stop::Errno(Errno::EINVAL));
    }
    // Teardown may have passed this frame between the first look and the pin.
    if host.is_dying(owner) && take_pin(frame) {
        put_page_and_type(host, mfn, frame);
    }
    Ok(())
}

/// A validation that was preempted before its domain died is given up here, not finished.
#[cold]
fn refuse_dying<H: MmuHost>(host: &H, mfn: Mfn, owner: DomainId) -> Result<(), Stop> {
    let frame = get_page(host, mfn, owner)?;
    finish_partial(host, mfn, frame);
    put_page(host, mfn, frame);
    Err(Stop::Errno(Errno::EINVAL))
}

/// Takes the pin's references over from the frame; false if it was not pinned.
pub(crate) fn take_pin(frame: &crate::FrameInfo) -> bool {
    TypeWord(frame.type_word.fetch_and(!TypeWord::PINNED, AcqRel)).is_pinned()
}

/// Ends a pin. What the table held may be left in [`MmuHost::drops`]. Errors: `EINVAL` not a frame of `owner`, or not
/// pinned.
pub fn unpin<H: MmuHost>(host: &H, mfn: Mfn, owner: DomainId) -> abi::Result<()> {
    let frame = get_page(host, mfn, owner)?;
    let was_pinned = take_pin(frame);
    if was_pinned {
        put_page_and_type(host, mfn, frame);
    }
    put_page(host, mfn, frame);
    if was_pinned { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Takes the references that let a vCPU of `owner` run on this level-4 table. Errors: as [`pin`], without the pin.
pub fn acquire_root<H: MmuHost>(host: &H, mfn: Mfn, owner: DomainId) -> Result<(), Stop> {
    get_page_and_type(host, mfn, owner, FrameType::L4).map(drop)
}

/// Gives them back, after the last CPU left the table.
pub fn release_root<H: MmuHost>(host: &H, mfn: Mfn) {
    if let Some(frame) = host.frames().get(mfn) {
        put_page_and_type(host, mfn, frame);
    }
}
