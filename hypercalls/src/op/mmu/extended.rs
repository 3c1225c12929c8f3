//! mmuext_op: pins, base pointers, flushes, the LDT, whole pages. Source: Xen public header `xen.h`.

use abi::mmu::{MmuextCommand, MmuextOp};
use abi::{DomainId, Errno, GuestHandle, GuestVirtual, Mfn, Result};
use pv_mmu::{FrameType, Stop};

use super::{
    MmuCalls, Step,
    batch::{Batch, Begin},
    flush::{FlushScope, Owed, vcpus},
    owners::{frame_owner, may_use},
};
use crate::outcome::Reply;

/// Most entries of an LDT.
const LDT_ENTRIES: u32 = 8192;

/// mmuext_op(26). `foreign` names the owner of the frames, which must be a PV domain. The result is 0; the number of
/// requests done goes to `done_out`.
///
/// Errors: `EFAULT`, `ESRCH`, `EPERM`, `EINVAL`; per request as the requests say, `ENOSYS` for an unknown one.
pub fn mmuext_op<H: MmuCalls>(
    host: &H,
    list: GuestHandle<MmuextOp>,
    count: u32,
    done_out: GuestHandle<u32>,
    foreign: u32,
) -> Reply {
    let batch = match Batch::begin(host, list, count, done_out, foreign)? {
        Begin::Run(batch) => batch,
        Begin::Deliver(result) => return Ok(result),
    };
    let owner = frame_owner(host, DomainId(foreign as u16))?;
    if !host.is_paravirtual(owner) {
        return Err(Errno::EINVAL.into());
    }
    may_use(host, owner)?;
    let extended = Extended { host, owner, is_own: owner == host.caller() };
    let mut owed = Owed::default();
    let mut done = 0;
    let outcome = loop {
        if done == batch.count {
            break Ok(());
        }
        if batch.must_stop(host, done) {
            break Err(Stop::Preempted);
        }
        if let Err(stop) = batch.request(host, done).and_then(|request| extended.apply(&mut owed, request)) {
            break Err(stop);
        }
        done += 1;
    };
    owed.pay(host);
    batch.end(host, done, outcome)
}

struct Extended<'h, H: MmuCalls> {
    host: &'h H,
    owner: DomainId,
    is_own: bool,
}

impl<H: MmuCalls> Extended<'_, H> {
    /// One request. Those that few make, or that take long, are out of line: the loop keeps its values in registers.
    #[inline(always)]
    fn apply(&self, owed: &mut Owed, request: MmuextOp) -> Step {
        if !self.is_own && is_for_self(request.command) {
            return Err(Stop::Errno(Errno::EPERM));
        }
        let page = || page_scope(request.linear_address());
        match request.command {
            MmuextCommand::PIN_L1_TABLE => self.pin(request.mfn(), FrameType::L1),
            MmuextCommand::PIN_L2_TABLE => self.pin(request.mfn(), FrameType::L2),
            MmuextCommand::PIN_L3_TABLE => self.pin(request.mfn(), FrameType::L3),
            MmuextCommand::PIN_L4_TABLE => self.pin(request.mfn(), FrameType::L4),
            MmuextCommand::UNPIN_TABLE => self.unpin(request.mfn()),
            MmuextCommand::CLEAR_PAGE => Ok(self.overwrite(request.mfn(), None)?),
            MmuextCommand::COPY_PAGE => Ok(self.overwrite(request.mfn(), Some(request.source_mfn()))?),
            MmuextCommand::MARK_SUPER | MmuextCommand::UNMARK_SUPER => Err(Stop::Errno(Errno::EOPNOTSUPP)),
            MmuextCommand::NEW_BASEPTR => self.new_kernel_root(request.mfn()),
            MmuextCommand::NEW_USER_BASEPTR => self.new_user_root(request.mfn()),
            MmuextCommand::TLB_FLUSH_LOCAL => owe(Some(FlushScope::Everything), |all| owed.local(all)),
            MmuextCommand::TLB_FLUSH_ALL => owe(Some(FlushScope::Everything), |all| owed.domain(all)),
            MmuextCommand::TLB_FLUSH_MULTI => self.flush_vcpus(request, FlushScope::Everything),
            MmuextCommand::INVLPG_LOCAL => owe(page(), |page| owed.local(page)),
            MmuextCommand::INVLPG_ALL => owe(page(), |page| owed.domain(page)),
            // The bitmap is looked at even where the address has no translation to lose.
            MmuextCommand::INVLPG_MULTI => self.flush_vcpus(request, page().unwrap_or(FlushScope::Everything)),
            MmuextCommand::FLUSH_CACHE => self.flush_cache(Errno::EACCES, H::flush_cache_local),
            MmuextCommand::FLUSH_CACHE_GLOBAL => self.flush_cache(Errno::EINVAL, H::flush_cache_everywhere),
            MmuextCommand::SET_LDT => Ok(self.set_ldt(request.linear_address(), request.entries())?),
            _ => Err(Stop::Errno(Errno::ENOSYS)),
        }
    }

    /// Errors: `refused` for a domain without I/O memory.
    #[inline(never)]
    fn flush_cache(&self, refused: Errno, flush: impl Fn(&H)) -> Step {
        if !self.host.may_flush_caches() {
            return Err(Stop::Errno(refused));
        }
        flush(self.host);
        Ok(())
    }

    #[inline(never)]
    fn unpin(&self, mfn: Mfn) -> Step {
        Ok(pv_mmu::unpin(self.host, mfn, self.owner)?)
    }

    #[inline(never)]
    fn pin(&self, mfn: Mfn, level: FrameType) -> Step {
        pv_mmu::pin(self.host, mfn, self.owner, level)
    }

    #[inline(always)]
    fn new_kernel_root(&self, root: Mfn) -> Step {
        if root != self.host.kernel_root() {
            return self.change_kernel_root(root);
        }
        self.host.load_kernel_root(root);
        Ok(())
    }

    #[inline(never)]
    fn change_kernel_root(&self, root: Mfn) -> Step {
        let old = self.host.kernel_root();
        pv_mmu::acquire_root(self.host, root, self.owner)?;
        self.host.load_kernel_root(root);
        pv_mmu::release_root(self.host, old);
        Ok(())
    }

    #[inline(never)]
    fn new_user_root(&self, root: Mfn) -> Step {
        let root = (root.0 != 0).then_some(root);
        let old = self.host.user_root();
        if old == root {
            return Ok(());
        }
        if let Some(root) = root {
            pv_mmu::acquire_root(self.host, root, self.owner)?;
        }
        self.host.set_user_root(root);
        if let Some(old) = old {
            pv_mmu::release_root(self.host, old);
        }
        Ok(())
    }

    /// Errors: `EINVAL` for a bitmap that cannot be read, where update_va_mapping says `EFAULT`.
    #[inline(never)]
    fn flush_vcpus(&self, request: MmuextOp, scope: FlushScope) -> Step {
        vcpus(self.host, request.vcpu_mask(), scope).map_err(|_| Stop::Errno(Errno::EINVAL))
    }

    /// No entries may be anywhere.
    #[inline(never)]
    fn set_ldt(&self, base: GuestVirtual, entries: u32) -> Result<()> {
        if entries == 0 {
            self.host.set_ldt(GuestVirtual(0), 0);
            return Ok(());
        }
        if base.0 & 0xFFF != 0 || entries > LDT_ENTRIES || !base.is_guest_range(1) {
            return Err(Errno::EINVAL);
        }
        self.host.set_ldt(base, entries);
        Ok(())
    }

    /// Clears a page that is or can be writable, or copies another of the same owner there.
    #[inline(never)]
    fn overwrite(&self, to: Mfn, from: Option<Mfn>) -> Result<()> {
        let source = match from {
            Some(from) => Some((from, pv_mmu::get_page(self.host, from, self.owner)?)),
            None => None,
        };
        let target = pv_mmu::get_page_and_type(self.host, to, self.owner, FrameType::Writable);
        if target.is_ok() {
            match from {
                Some(from) => self.host.copy_page(to, from),
                None => self.host.clear_page(to),
            }
        }
        if let Some((from, frame)) = source {
            pv_mmu::put_page(self.host, from, frame);
        }
        let frame = target.map_err(|_| Errno::EINVAL)?;
        pv_mmu::put_page_and_type(self.host, to, frame);
        Ok(())
    }
}

/// Notes a flush, if there is anything to flush.
#[inline(always)]
fn owe(scope: Option<FlushScope>, note: impl FnOnce(FlushScope)) -> Step {
    if let Some(scope) = scope {
        note(scope);
    }
    Ok(())
}

/// Requests that act on the calling vCPU or its domain only.
#[inline(always)]
fn is_for_self(command: MmuextCommand) -> bool {
    matches!(
        command,
        MmuextCommand::NEW_BASEPTR
            | MmuextCommand::NEW_USER_BASEPTR
            | MmuextCommand::TLB_FLUSH_LOCAL
            | MmuextCommand::INVLPG_LOCAL
            | MmuextCommand::TLB_FLUSH_MULTI
            | MmuextCommand::INVLPG_MULTI
            | MmuextCommand::TLB_FLUSH_ALL
            | MmuextCommand::INVLPG_ALL
            | MmuextCommand::FLUSH_CACHE
            | MmuextCommand::FLUSH_CACHE_GLOBAL
            | MmuextCommand::SET_LDT
    )
}

/// The flush of one page; none for the hypervisor's addresses and those that are not canonical.
fn page_scope(address: GuestVirtual) -> Option<FlushScope> {
    address.is_guest_range(1).then_some(FlushScope::Page(address))
}
