//! mmu_update: page-table entries and M2P entries by machine address, in batches. Source: Xen public header `xen.h`.

use abi::mmu::{MmuCommand, MmuUpdate};
use abi::{DomainId, Errno, Gfn, GuestHandle, Mfn, Pfn, Result};
use pv_mmu::{EditMode, Entry, EntryRules, FrameType, OpenFrame, Stop};

use super::{
    MmuCalls, Step,
    batch::{Batch, Begin},
    owners::{frame_owner, may_use},
};
use crate::{authority, outcome::Reply};

/// mmu_update(1). `foreign` holds the owner of data frames in bits 15:0 and, plus one, the owner of the tables in bits
/// 31:16. The result is 0; the number of requests done goes to `done_out`.
///
/// Errors: `EFAULT`, `ESRCH`, `EPERM`; per request `EINVAL` frame or entry bits, `EBUSY` frame in use otherwise,
/// `EPERM` I/O memory, `EACCES` memory type, `ENOSYS` unknown command, `EOPNOTSUPP` tables of a translated domain.
pub fn mmu_update<H: MmuCalls>(
    host: &H,
    list: GuestHandle<MmuUpdate>,
    count: u32,
    done_out: GuestHandle<u32>,
    foreign: u32,
) -> Reply {
    let batch = match Batch::begin(host, list, count, done_out, foreign)? {
        Begin::Run(batch) => batch,
        Begin::Deliver(result) => return Ok(result),
    };
    let table_owner = match foreign >> 16 {
        0 => host.caller(),
        number => authority::find_by_number(host, DomainId((number - 1) as u16))?.id(),
    };
    let frame_owner = frame_owner(host, DomainId(foreign as u16))?;
    let mut updater = Updater {
        host,
        rules: EntryRules::new(host, table_owner, frame_owner),
        open: None,
        permitted: permission(host, table_owner, frame_owner),
        translated: !host.is_paravirtual(frame_owner),
    };
    let mut done = 0;
    let outcome = loop {
        if done == batch.count {
            break Ok(());
        }
        if batch.must_stop(host, done) {
            break Err(Stop::Preempted);
        }
        if let Err(stop) = batch.request(host, done).and_then(|request| updater.apply(request)) {
            break Err(stop);
        }
        done += 1;
    };
    // Closing a table may be what drops its last reference.
    drop(updater);
    batch.end(host, done, outcome)
}

/// May the caller change tables of the one and map frames of the other. I/O memory alone needs no permission here.
fn permission<H: MmuCalls>(host: &H, table_owner: DomainId, frame_owner: DomainId) -> Result<()> {
    if frame_owner != DomainId::IO {
        may_use(host, frame_owner)?;
    }
    may_use(host, table_owner)
}

/// What stays the same, or is likely to, from one request to the next.
struct Updater<'h, H: MmuCalls> {
    host: &'h H,
    rules: EntryRules,
    /// The frame of the last request.
    open: Option<OpenFrame<'h, H>>,
    permitted: Result<()>,
    translated: bool,
}

impl<'h, H: MmuCalls> Updater<'h, H> {
    #[inline]
    fn apply(&mut self, request: MmuUpdate) -> Step {
        let address = request.address();
        let command = request.command();
        if command == MmuCommand::MACHPHYS_UPDATE {
            return Ok(self.machine_to_physical(address.frame(), Pfn(request.value))?);
        }
        if command.0 > MmuCommand::PT_UPDATE_NO_TRANSLATE.0 {
            return Err(Stop::Errno(Errno::ENOSYS));
        }
        if self.open.as_ref().is_none_or(|open| open.mfn() != address.frame()) {
            self.turn_to(address.frame())?;
        }
        let Some(open) = &self.open else { return Err(Stop::Errno(Errno::EINVAL)) };
        self.permitted?;
        let mode = if command == MmuCommand::PT_UPDATE_PRESERVE_AD {
            EditMode::PreserveAccessedDirty
        } else {
            EditMode::Replace
        };
        let mut value = request.value;
        if self.translated && command != MmuCommand::PT_UPDATE_NO_TRANSLATE && open.kind() == FrameType::L1 {
            value = self.translate(value)?;
        }
        open.write(&self.rules, address.page_offset() / 8, value, mode)
    }

    /// Closes the frame of earlier requests and opens another. Errors: `EINVAL`, `EOPNOTSUPP`; preempted when the
    /// closed one left work to do.
    fn turn_to(&mut self, mfn: Mfn) -> Step {
        self.open = None;
        if !self.host.drops().is_empty() {
            return Err(Stop::Preempted);
        }
        if !self.host.is_paravirtual(self.rules.table_owner) {
            return Err(Stop::Errno(Errno::EOPNOTSUPP));
        }
        self.open = Some(OpenFrame::open(self.host, mfn, self.rules.table_owner)?);
        Ok(())
    }

    /// Replaces a frame number of a translated domain by the machine's.
    #[cold]
    fn translate(&self, value: u64) -> Result<u64> {
        let entry = Entry(value);
        if !entry.is_present() {
            return Ok(value);
        }
        let mfn = self.host.machine_frame(self.rules.frame_owner, Gfn(entry.mfn().0))?;
        Ok(value & !Entry::ADDRESS | (mfn.0 << 12) & Entry::ADDRESS)
    }

    #[inline(never)]
    fn machine_to_physical(&self, mfn: Mfn, pfn: Pfn) -> Result<()> {
        if self.rules.table_owner != self.host.caller() {
            return Err(Errno::EPERM);
        }
        if self.translated {
            return Err(Errno::EINVAL);
        }
        self.permitted?;
        let frame = pv_mmu::get_page(self.host, mfn, self.rules.frame_owner)?;
        self.host.set_machine_to_physical(mfn, pfn);
        pv_mmu::put_page(self.host, mfn, frame);
        Ok(())
    }
}
