//! domctl: a domain's memory: its limit, what its frames are used as, its hypercall page, which pages changed.

use abi::domctl_domain::{
    AddressSize, FrameKind, HypercallInit, MaxMem, PageFrameInfo, PagingMempool, SHADOW_LOG_DIRTY, SetCacheColors,
    ShadowOp, ShadowOperation, ShadowStatistics,
};
use abi::{Errno, Gfn, Mfn, Result};

use super::lifecycle::others_only;
use super::{Request, Version};
use crate::authority::Target;
use crate::guest::{self, GuestMemory, Preemption};
use crate::outcome::Reply;

/// What a toolstack does to a domain's memory. All answer `ESRCH` if the domain went away.
pub trait DomainMemoryHost {
    /// Changes how many frames the domain may have; it may have more already.
    fn set_max_pages(&mut self, target: Target, pages: u64) -> Result<()>;
    /// What a frame is used as.
    fn frame_kind(&self, target: Target, frame: Gfn) -> FrameKind;
    /// Fills a page with the code by which kernels make hypercalls. Errors: `EINVAL` not the domain's or not
    /// writable.
    fn fill_hypercall_page(&mut self, target: Target, frame: Mfn) -> Result<()>;
    /// Begins to note which pages change. Errors: `EINVAL` it does already.
    fn log_dirty_begin(&mut self, target: Target) -> Result<()>;
    /// Ends it. Errors: `EINVAL` it does not.
    fn log_dirty_end(&mut self, target: Target) -> Result<()>;
    /// The log of changes, if one is kept.
    fn dirty_log(&self, target: Target) -> Result<Option<DirtyLog>>;
}

/// A log of the pages that a domain changes, as a migration has it kept.
#[derive(Clone, Copy)]
pub struct DirtyLog {
    /// One more than the highest page number.
    pub pages: u64,
    /// Whether the domain runs: what it has changed is not all that it is going to.
    pub runs: bool,
}

const KILOBYTE_SHIFT: u32 = 2;
/// Width of the guests that there are.
const GUEST_BITS: u32 = 64;
const COMPAT_BITS: u32 = 32;
/// Entries of one getpageframeinfo3.
const FRAMES_MAX: u64 = 1024;
/// Entries read and written at a time.
const STRIDE: usize = 32;
/// Bytes of a bitmap that are written at a time.
const CHUNK: u64 = 64;

/// max_mem(11).
pub(super) fn max_mem<H: DomainMemoryHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let MaxMem { kilobytes } = request.argument()?;
    host.set_max_pages(target, (kilobytes >> KILOBYTE_SHIFT).min(u64::from(u32::MAX)))
}

/// getpageframeinfo3(61): numbers are replaced by uses. Errors: `E2BIG`, `EFAULT`.
///
/// Of a domain that runs while its changes are noted, page tables are told as frames with nothing to send. Every page
/// counts as changed, so what they hold is sent when it has stopped, whatever is said now; and a table that the guest
/// frees and fills with data between this answer and the reader's look would end the migration (libxenguest takes an
/// entry with bit 7 set for a superpage, and gives up).
pub(super) fn frame_info<H>(host: &H, request: &Request, target: Target) -> Result<()>
where
    H: DomainMemoryHost + GuestMemory,
{
    let asked: PageFrameInfo = request.argument()?;
    if asked.count > FRAMES_MAX {
        return Err(Errno::E2BIG);
    }
    let withholds_tables = host.dirty_log(target)?.is_some_and(|log| log.runs);
    for first in (0..asked.count).step_by(STRIDE) {
        let mut entries = [0_u64; STRIDE];
        let count = (asked.count - first).min(STRIDE as u64) as usize;
        let Some(part) = entries.get_mut(..count) else { return Err(Errno::EINVAL) };
        guest::read_array(host, asked.array, first, part)?;
        for entry in part.iter_mut() {
            let kind = host.frame_kind(target, Gfn(*entry));
            let told = if withholds_tables && kind.is_table() { FrameKind::INVALID } else { kind };
            *entry = u64::from(told.0);
        }
        for (offset, entry) in (0..).zip(part.iter()) {
            guest::write(host, asked.array.element(first + offset), entry)?;
        }
    }
    Ok(())
}

/// hypercall_init(22). Errors: `EINVAL`.
pub(super) fn hypercall_init<H: DomainMemoryHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let HypercallInit { frame } = request.argument()?;
    host.fill_hypercall_page(target, frame)
}

/// set_address_size(35). Errors: `EINVAL` for a width that no PV domain has here.
pub(super) fn set_address_size(request: &Request) -> Result<()> {
    match request.argument()? {
        AddressSize { bits: GUEST_BITS } => Ok(()),
        AddressSize { bits: COMPAT_BITS } => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::EINVAL),
    }
}

/// get_address_size(36). Errors: `EFAULT`.
pub(super) fn get_address_size<H: GuestMemory>(host: &H, request: &Request) -> Result<()> {
    request.answer(host, &AddressSize { bits: GUEST_BITS })
}

/// get_paging_mempool_size(85), set_paging_mempool_size(86): PV domains have no pool. Errors: `EOPNOTSUPP`.
pub(super) fn paging_mempool(request: &Request) -> Result<()> {
    let _: PagingMempool = request.argument()?;
    Err(Errno::EOPNOTSUPP)
}

/// set_llc_colors(89): there is no colouring, which toolstacks of Xen 4.20 take for an answer on every domain they make.
/// Errors: `ENOSYS` for a caller whose release did not know it, `EINVAL` if the padding is not zero, else `EOPNOTSUPP`.
pub(super) fn cache_colors(request: &Request) -> Result<()> {
    if request.version < Version::XEN_4_19 {
        return Err(Errno::ENOSYS);
    }
    let asked: SetCacheColors = request.argument()?;
    if asked.pad == 0 { Err(Errno::EOPNOTSUPP) } else { Err(Errno::EINVAL) }
}

/// shadow_op(10): without shadow tables nobody knows which pages changed, so all count as changed.
/// Errors: `EINVAL` for the caller itself, for an operation that a PV domain has not and when nothing is noted; `EFAULT`.
pub(super) fn shadow<H>(host: &mut H, request: &Request, target: Target) -> Reply
where
    H: DomainMemoryHost + GuestMemory + Preemption,
{
    let target = others_only(target)?;
    let asked: ShadowOp = request.argument()?;
    match asked.operation {
        ShadowOperation::OFF => host.log_dirty_end(target)?,
        ShadowOperation::ENABLE_LOGDIRTY => host.log_dirty_begin(target)?,
        ShadowOperation::ENABLE if asked.mode == SHADOW_LOG_DIRTY => host.log_dirty_begin(target)?,
        ShadowOperation::CLEAN | ShadowOperation::PEEK => return report_dirty(host, request, target, asked),
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

/// Says that every page changed. While the domain runs, the number of pages that were seen to change is told as 0, none
/// being watched: another live round would bring the toolstack no further than this one, and from 0 it learns to stop
/// the domain now. A preempted call keeps its progress in the structure's padding, which means nothing to callers:
/// bytes of the bitmap that have been written, in chunks.
fn report_dirty<H>(host: &mut H, request: &Request, target: Target, mut asked: ShadowOp) -> Reply
where
    H: DomainMemoryHost + GuestMemory + Preemption,
{
    let log = host.dirty_log(target)?.ok_or(Errno::EINVAL)?;
    let pages = log.pages.min(asked.pages);
    let bytes = pages.div_ceil(8);
    if !asked.bitmap.is_null() {
        let mut done = u64::from(asked.reserved) * CHUNK;
        while done < bytes {
            let mut chunk = [u8::MAX; CHUNK as usize];
            let length = (bytes - done).min(CHUNK) as usize;
            if done + CHUNK >= bytes
                && let Some(last) = chunk.get_mut(length - 1)
                && !pages.is_multiple_of(8)
            {
                *last = (1 << (pages % 8)) - 1;
            }
            let part = chunk.get(..length).unwrap_or_default();
            guest::copy_out_bytes(host, asked.bitmap.element(done).address(), part)?;
            done += CHUNK;
            if done < bytes && host.preempted() {
                asked.reserved = (done / CHUNK) as u32;
                request.answer(host, &asked)?;
                return Err(request.again());
            }
        }
    }
    asked.reserved = 0;
    asked.pages = pages;
    asked.statistics = ShadowStatistics { faults: 0, dirty: if log.runs { 0 } else { pages as u32 } };
    request.answer(host, &asked)?;
    Ok(0)
}
