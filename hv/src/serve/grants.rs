//! grant_table_op: references on frames, entries in the caller's page tables, copies, transfers.
//!
//! Guests here are PV, so their frame numbers are machine frame numbers. Tables of domains live as long as their records,
//! which are never taken away, so another domain's table is a plain reference. Hot paths: take no lock, allocate nothing.

use core::ops::Deref;

use abi::{
    DomainId, Errno, Gfn, GuestVirtual, Mfn, Pfn, VcpuId,
    grant_table::{CacheFlushFlags, GrantStatus, MapFlags},
};
use grant_tables::{
    Access, Caches, Contents, GrantTable, Host, Mappings, OutOfMemory, Place, Refused, TableMemory, Transfers,
};
use hypercalls::op::grant::GrantCalls;
use pv_mmu::{
    Entry, FrameType, GrantEntryRefused, get_page, get_type, grant_entry, map_grant_at_entry, map_grant_at_va,
    put_page, put_page_and_type, replace_grant, unmap_grant_at_entry, unmap_grant_at_va,
};

use super::{
    Caller,
    grant_memory::{GrantMemory, GrantPage},
    memory,
};
use crate::{
    boot::options,
    cpu,
    domain::{self, Domain},
    interrupt::flush::{self, CpuMask},
    memory::{frame_table, machine_to_physical, recycle, window},
};

/// Another domain's table.
#[derive(Clone, Copy)]
pub struct TableOf(&'static Domain);

impl Deref for TableOf {
    type Target = GrantTable<GrantPage>;

    #[inline(always)]
    fn deref(&self) -> &GrantTable<GrantPage> {
        &self.0.grants
    }
}

impl TableMemory for Caller<'_> {
    type Page = GrantPage;

    fn shared_page(&self, owner: DomainId) -> Result<GrantPage, OutOfMemory> {
        GrantMemory.shared_page(owner)
    }

    fn charge(&self, owner: DomainId, bytes: usize) -> Result<(), OutOfMemory> {
        GrantMemory.charge(owner, bytes)
    }

    fn uncharge(&self, owner: DomainId, bytes: usize) {
        GrantMemory.uncharge(owner, bytes);
    }
}

impl Host for Caller<'_> {
    type Domain = TableOf;

    #[inline(always)]
    fn current(&self) -> DomainId {
        self.domain.id
    }

    #[inline(always)]
    fn vcpu(&self) -> VcpuId {
        self.vcpu.id
    }

    #[inline(always)]
    fn own_table(&self) -> &GrantTable<GrantPage> {
        &self.domain.grants
    }

    #[inline]
    fn domain(&self, id: DomainId) -> Option<TableOf> {
        domain::find_inline(id).map(TableOf)
    }

    #[inline]
    fn take(&self, owner: DomainId, gfn: Gfn, access: Access) -> Result<Mfn, Refused> {
        let frame = Mfn(gfn.0);
        self.take_again(owner, frame, access)?;
        Ok(frame)
    }

    #[inline]
    fn take_again(&self, owner: DomainId, frame: Mfn, access: Access) -> Result<(), Refused> {
        let info = get_page(self, frame, owner).map_err(|_| Refused::NotOwned)?;
        if access == Access::Write && get_type(self, frame, info, FrameType::Writable).is_err() {
            put_page(self, frame, info);
            return Err(Refused::NotWritable);
        }
        Ok(())
    }

    #[inline]
    fn put(&self, frame: Mfn, access: Access) {
        if let Some(info) = frame_table::frames().get(frame) {
            match access {
                Access::Read => put_page(self, frame, info),
                Access::Write => put_page_and_type(self, frame, info),
            }
        }
    }
}

/// The level-1 entry of a mapping.
#[inline]
fn entry_of(frame: Mfn, flags: MapFlags) -> Entry {
    const FIRST_AVAILABLE: u32 = 16;
    let mut rights = u64::from(flags.0 >> FIRST_AVAILABLE) << Entry::AVAILABLE.trailing_zeros() & Entry::AVAILABLE;
    if !flags.contains(MapFlags::READONLY) {
        rights |= Entry::WRITABLE;
    }
    if flags.contains(MapFlags::APPLICATION_MAP) {
        rights |= Entry::USER;
    }
    grant_entry(frame, rights)
}

fn status(_: GrantEntryRefused) -> GrantStatus {
    GrantStatus::GENERAL_ERROR
}

impl Caller<'_> {
    /// The table that addresses in grant operations are looked up in.
    #[inline]
    fn mapping_root(&self) -> Result<Mfn, GrantStatus> {
        self.state.kernel_root.get().ok_or(GrantStatus::GENERAL_ERROR)
    }
}

impl Mappings for Caller<'_> {
    #[inline]
    fn map(&self, place: Place, frame: Mfn, flags: MapFlags) -> Result<(), GrantStatus> {
        let (id, entry) = (self.domain.id, entry_of(frame, flags));
        match place {
            Place::Virtual(address) => map_grant_at_va(self, id, self.mapping_root()?, address, entry),
            Place::Entry(address) => map_grant_at_entry(self, id, address, entry),
        }
        .map_err(status)
    }

    #[inline]
    fn unmap(&self, place: Place, frame: Mfn, flags: MapFlags) -> Result<(), GrantStatus> {
        let (id, entry) = (self.domain.id, entry_of(frame, flags));
        match place {
            Place::Virtual(address) => unmap_grant_at_va(self, id, self.mapping_root()?, address, entry),
            Place::Entry(address) => unmap_grant_at_entry(self, id, address, entry),
        }
        .map_err(status)
    }

    fn replace(&self, at: GuestVirtual, frame: Mfn, flags: MapFlags, donor: GuestVirtual) -> Result<(), GrantStatus> {
        let root = self.mapping_root()?;
        replace_grant(self, self.domain.id, root, at, entry_of(frame, flags), donor).map_err(status)
    }

    #[inline]
    fn flush(&self) {
        let own = 1 << cpu::this().index;
        let users = self.domain.dirty_cpus().0;
        if users & !own != 0 {
            flush::on(CpuMask(users & !own));
        }
        flush::local();
    }
}

impl Contents for Caller<'_> {
    type Window = Mfn;

    #[inline(always)]
    fn window(&self, frame: Mfn, _access: Access) -> Mfn {
        frame
    }

    #[inline]
    fn copy_bytes(&self, from: &Mfn, from_offset: usize, to: &Mfn, to_offset: usize, length: usize) {
        window::copy_between(*to, to_offset, *from, from_offset, length);
    }
}

/// A frame between two domains; free when dropped.
pub struct Stolen(Mfn);

impl Stolen {
    /// The frame, which is the caller's to answer for.
    fn keep(self) -> Mfn {
        let frame = self.0;
        core::mem::forget(self);
        frame
    }
}

impl Drop for Stolen {
    fn drop(&mut self) {
        recycle::put(self.0);
    }
}

impl Transfers for Caller<'_> {
    type Stolen = Stolen;

    fn steal(&self, frame: Gfn) -> Result<Stolen, Refused> {
        let frame = Mfn(frame.0);
        pv_mmu::steal(self, frame, self.domain.id).map_err(|_| Refused::NotOwned)?;
        self.domain.memory.release_one();
        machine_to_physical::invalidate(frame);
        Ok(Stolen(frame))
    }

    fn give(&self, frame: Stolen, to: &TableOf, accept: impl FnOnce() -> Option<Pfn>) -> Option<Mfn> {
        let TableOf(receiver) = *to;
        if receiver.is_dying() || receiver.memory.charge(1).is_err() {
            return None;
        }
        let Some(at) = accept() else {
            receiver.memory.release_one();
            return None;
        };
        let mfn = frame.keep();
        // The receiver gets the contents, so the frame does not pass through the allocator, which would flush.
        let stamp = frame_table::frames().get(mfn).map_or(0, |info| info.flush_stamp());
        let stale = flush::stale_since(CpuMask(u64::MAX), stamp);
        if stale != CpuMask(0) {
            flush::on(stale);
        }
        // Before the frame has an owner who could give it back: a free frame must have no entry.
        machine_to_physical::set(mfn, at.0);
        // The entry was accepted; a receiver that began to die since loses the frame again.
        memory::give(receiver, mfn, 1).ok().map(|()| mfn)
    }
}

impl Caches for Caller<'_> {
    fn may_flush_caches(&self) -> bool {
        self.domain.rights.has_io()
    }

    fn take_any(&self, frame: Mfn) -> Result<DomainId, Errno> {
        let info = frame_table::frames().get(frame).ok_or(Errno::EINVAL)?;
        let owner = info.reference().owner();
        domain::find(owner).ok_or(Errno::EPERM)?;
        get_page(self, frame, owner).map_err(|_| Errno::EPERM)?;
        Ok(owner)
    }

    fn flush_cache(&self, frame: Mfn, offset: usize, length: usize, operation: CacheFlushFlags) -> Result<(), Errno> {
        if !operation.contains(CacheFlushFlags::CLEAN) {
            // No instruction drops a line without writing it back.
            return Err(Errno::EOPNOTSUPP);
        }
        window::flush_cache_lines(frame, offset, length);
        Ok(())
    }
}

impl GrantCalls for Caller<'_> {
    fn transfers_allowed(&self) -> bool {
        options::get().grants.transfer
    }
}
