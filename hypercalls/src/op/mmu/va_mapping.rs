//! update_va_mapping: one level-1 entry, named by the address it translates, with the flush in the same call.
//! Source: Xen public header `xen.h` (`UVMF_*`).

use abi::mmu::UpdateFlags;
use abi::{DomainId, Errno, GuestHandle, GuestVirtual, Result};
use pv_mmu::{EditMode, EntryRules, FrameType, OpenFrame};

use super::{
    MmuCalls,
    flush::{FlushScope, vcpus},
    owners::{frame_owner, may_use},
};
use crate::outcome::Reply;

/// update_va_mapping(14). Errors: `EINVAL` no level-1 table there or entry bits, `EFAULT` a bad vCPU bitmap (then the entry
/// is changed already); `EBUSY`, `EPERM`, `EACCES` as for mmu_update.
#[inline]
pub fn update_va_mapping<H: MmuCalls>(host: &H, address: GuestVirtual, value: u64, flags: UpdateFlags) -> Reply {
    let caller = host.caller();
    update(host, address, value, caller)?;
    if flags.0 & UpdateFlags::FLUSHTYPE_MASK.0 != 0 {
        flush(host, address, flags)?;
    }
    Ok(0)
}

/// update_va_mapping_otherdomain(22): the same with frames of domain `owner`. Errors: `ESRCH` and `EPERM` too.
pub fn update_va_mapping_otherdomain<H: MmuCalls>(
    host: &H,
    address: GuestVirtual,
    value: u64,
    flags: UpdateFlags,
    owner: DomainId,
) -> Reply {
    let owner = frame_owner(host, owner)?;
    may_use(host, owner)?;
    update(host, address, value, owner)?;
    flush(host, address, flags)?;
    Ok(0)
}

#[inline]
fn update<H: MmuCalls>(host: &H, address: GuestVirtual, value: u64, frame_owner: DomainId) -> Result<()> {
    let caller = host.caller();
    let table = pv_mmu::walk_to_level_one(host, host.kernel_root(), address).ok_or(Errno::EINVAL)?;
    let table = OpenFrame::open_level_one(host, table, caller)?;
    let rules = EntryRules::new(host, caller, frame_owner);
    table.write_level_one(&rules, pv_mmu::slot_of(address, FrameType::L1), value, EditMode::Replace)
}

fn flush<H: MmuCalls>(host: &H, address: GuestVirtual, flags: UpdateFlags) -> Result<()> {
    let scope = match UpdateFlags(flags.0 & UpdateFlags::FLUSHTYPE_MASK.0) {
        UpdateFlags::TLB_FLUSH => FlushScope::Everything,
        UpdateFlags::INVLPG => FlushScope::Page(address),
        _ => return Ok(()),
    };
    match UpdateFlags(flags.0 & !UpdateFlags::FLUSHTYPE_MASK.0) {
        UpdateFlags::LOCAL => host.flush_local(scope),
        UpdateFlags::ALL => host.flush_domain(scope),
        bitmap => vcpus(host, GuestHandle::new(bitmap.0), scope)?,
    }
    Ok(())
}
