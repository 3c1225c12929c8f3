//! A domain's memory as its toolstack sees it.

use core::sync::atomic::Ordering::{AcqRel, Acquire};

use abi::{Errno, Gfn, Mfn, Result, domctl_domain::FrameKind};
use hypercalls::{
    authority::Target,
    op::domctl::{DirtyLog, DomainMemoryHost},
};
use pv_mmu::{FrameType, get_page_and_type, put_page_and_type};

use crate::{
    memory::{frame_table, mmu::Machine},
    serve::{
        Caller, hypercall_page,
        memory::{living, named},
    },
};

impl DomainMemoryHost for Caller<'_> {
    fn set_max_pages(&mut self, target: Target, pages: u64) -> Result<()> {
        named(target)?.memory.set_maximum(pages);
        Ok(())
    }

    fn frame_kind(&self, target: Target, frame: Gfn) -> FrameKind {
        let Some(info) = frame_table::frames().get(Mfn(frame.0)) else { return FrameKind::INVALID };
        if info.reference().owner() != target.id() {
            return FrameKind::INVALID;
        }
        if info.reference().is_broken() {
            return FrameKind::BROKEN;
        }
        let word = info.type_word();
        let kind = match word.frame_type() {
            FrameType::L1 => FrameKind::L1_TABLE,
            FrameType::L2 => FrameKind::L2_TABLE,
            FrameType::L3 => FrameKind::L3_TABLE,
            FrameType::L4 => FrameKind::L4_TABLE,
            _ => return FrameKind::NO_TABLE,
        };
        if word.is_pinned() { kind.with(FrameKind::PINNED_TABLE) } else { kind }
    }

    fn fill_hypercall_page(&mut self, target: Target, frame: Mfn) -> Result<()> {
        let domain = living(target)?;
        let owner = frame_table::frames().get(frame).map(|info| info.reference().owner());
        if owner != Some(domain.id) {
            return Err(Errno::EINVAL);
        }
        let info = get_page_and_type(&Machine, frame, domain.id, FrameType::Writable).map_err(|_| Errno::EINVAL)?;
        hypercall_page::fill(frame);
        put_page_and_type(&Machine, frame, info);
        Ok(())
    }

    fn log_dirty_begin(&mut self, target: Target) -> Result<()> {
        let logs = &living(target)?.logs_dirty;
        if logs.swap(true, AcqRel) { Err(Errno::EINVAL) } else { Ok(()) }
    }

    fn log_dirty_end(&mut self, target: Target) -> Result<()> {
        let logs = &named(target)?.logs_dirty;
        if logs.swap(false, AcqRel) { Ok(()) } else { Err(Errno::EINVAL) }
    }

    fn dirty_log(&self, target: Target) -> Result<Option<DirtyLog>> {
        let domain = named(target)?;
        if !domain.logs_dirty.load(Acquire) {
            return Ok(None);
        }
        let [maximum, ..] = &domain.shared().arch;
        let runs = domain.shutdown().reason().is_none() && !domain.is_paused();
        Ok(Some(DirtyLog { pages: maximum.load(Acquire), runs }))
    }
}
