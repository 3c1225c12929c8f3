//! `GNTTABOP_cache_flush`: cleans or invalidates caches over part of a frame of the caller's, or one it has mapped.
//!
//! Whether a foreign frame is granted to the caller is found by looking through the owner's table, which can be long:
//! that search is done in steps.

use abi::{
    DomainId, Errno, GrantRef, Mfn,
    frame::PAGE_SIZE,
    grant_table::{CacheFlush, CacheFlushFlags},
};

use crate::{
    host::{Access, Caches},
    table::GrantTable,
};

/// Entries looked at in one step.
const STEP: u32 = 256;

/// Where an operation stands.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flushed {
    /// It is done.
    Done,
    /// The search goes on from this reference.
    SearchFrom(GrantRef),
}

struct Held<'h, H: Caches>(&'h H, Mfn);

impl<H: Caches> Drop for Held<'_, H> {
    fn drop(&mut self) {
        self.0.put(self.1, Access::Read);
    }
}

/// Runs one operation, or one step of it, from `progress` on (0 at first).
///
/// Errors: `EINVAL` range or operation bits, `EOPNOTSUPP` references instead of addresses and what the CPU cannot do,
/// `EILSEQ` an empty operation that claims progress, `EPERM` without cache rights or for a frame not granted.
pub fn flush<H: Caches>(host: &H, request: &CacheFlush, progress: GrantRef) -> Result<Flushed, Errno> {
    let (offset, length) = (usize::from(request.offset), usize::from(request.length));
    let known = CacheFlushFlags::CLEAN.with(CacheFlushFlags::INVALIDATE).with(CacheFlushFlags::SOURCE_GREF);
    if offset >= PAGE_SIZE || offset + length > PAGE_SIZE || request.operation.0 & !known.0 != 0 {
        return Err(Errno::EINVAL);
    }
    if length == 0 || request.operation.0 == 0 {
        return if progress.0 == 0 { Ok(Flushed::Done) } else { Err(Errno::EILSEQ) };
    }
    if request.operation.contains(CacheFlushFlags::SOURCE_GREF) {
        return Err(Errno::EOPNOTSUPP);
    }
    if !host.may_flush_caches() {
        return Err(Errno::EPERM);
    }
    let frame = abi::MachineAddress(request.target).frame();
    let owner = host.take_any(frame)?;
    let _held = Held(host, frame);
    if owner != host.current() {
        let granter = host.domain(owner).ok_or(Errno::EPERM)?;
        if let Some(next) = search::<H>(&granter, host.current(), frame, progress)? {
            return Ok(Flushed::SearchFrom(next));
        }
    }
    host.flush_cache(frame, offset, length, request.operation)?;
    Ok(Flushed::Done)
}

/// Whether `frame` is in use by `grantee` through one of the next entries; where to go on if it was not among them.
/// Errors: `EPERM` when there are no more.
fn search<H: Caches>(
    granter: &GrantTable<H::Page>,
    grantee: DomainId,
    frame: Mfn,
    from: GrantRef,
) -> Result<Option<GrantRef>, Errno> {
    let end = from.0.saturating_add(STEP).min(granter.entry_count());
    let found = (from.0..end)
        .filter_map(|index| granter.active(GrantRef(index)))
        .any(|active| !active.pins.is_empty() && active.domain == grantee && active.frame == frame);
    if found {
        Ok(None)
    } else if end >= granter.entry_count() {
        Err(Errno::EPERM)
    } else {
        Ok(Some(GrantRef(end)))
    }
}
