//! Descriptor pages: frames of a guest's GDT or LDT. The CPU reads them, so no guest may write them.
//!
//! Source: AMD64 manual volume 2, chapter 4.8 (long-mode segment descriptors).

use abi::{DomainId, Errno, Mfn, Result};

use crate::{
    frame::FrameInfo,
    host::MmuHost,
    sync::Relaxed,
    type_word::FrameType,
    types::{get_page_and_type, put_page_and_type, unused},
};

/// Checks and adjusts all descriptors of a busy frame. Errors: `EINVAL`; the frame is unused then.
pub(crate) fn validate<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo) -> Result<()> {
    let owner = frame.reference().owner();
    let page = host.table(mfn);
    for cell in page.iter() {
        let descriptor = cell.load(Relaxed);
        match host.check_descriptor(owner, descriptor) {
            Some(stored) if stored == descriptor => {}
            Some(stored) => cell.store(stored, Relaxed),
            None => {
                unused(host, frame, FrameType::Segment);
                return Err(Errno::EINVAL);
            }
        }
    }
    Ok(())
}

/// Takes a frame of `owner` into its GDT or LDT; the CPU may be shown it until [`release_segment_page`].
/// Errors: `EINVAL`.
pub fn acquire_segment_page<H: MmuHost>(host: &H, mfn: Mfn, owner: DomainId) -> Result<()> {
    get_page_and_type(host, mfn, owner, FrameType::Segment).map(drop).map_err(|_| Errno::EINVAL)
}

/// Undoes [`acquire_segment_page`], after the last CPU stopped using the page.
pub fn release_segment_page<H: MmuHost>(host: &H, mfn: Mfn) {
    if let Some(frame) = host.frames().get(mfn) {
        put_page_and_type(host, mfn, frame);
    }
}
