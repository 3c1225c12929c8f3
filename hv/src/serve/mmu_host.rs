//! The caller as `pv_mmu` sees it: the machine itself, with nothing of its own.

use abi::{DomainId, Mfn, Result};
use pv_mmu::{DropQueue, Frames, IoAccess, MmuHost, PageTable};

use super::Caller;
use crate::{domain, memory::mmu::Machine};

impl MmuHost for Caller<'_> {
    type Table<'a>
        = &'static PageTable
    where
        Self: 'a;

    #[inline(always)]
    fn frames(&self) -> Frames<'_> {
        crate::memory::frame_table::frames()
    }

    #[inline(always)]
    fn table(&self, frame: Mfn) -> &'static PageTable {
        Machine.table(frame)
    }

    #[inline]
    fn out_of_budget(&self) -> bool {
        Machine.out_of_budget()
    }

    fn relax(&self) {
        Machine.relax();
    }

    #[inline]
    fn flush_clock(&self) -> u32 {
        Machine.flush_clock()
    }

    fn flush_before_retype(&self, frame: Mfn, stamp: u32) {
        Machine.flush_before_retype(frame, stamp);
    }

    fn clean_cache(&self, frame: Mfn) {
        Machine.clean_cache(frame);
    }

    fn set_cache_attribute(&self, frame: Mfn, cache_bits: u64) -> Result<()> {
        Machine.set_cache_attribute(frame, cache_bits)
    }

    fn fill_hypervisor_slots(&self, frame: Mfn, table: &PageTable, owner: DomainId) {
        Machine.fill_hypervisor_slots(frame, table, owner);
    }

    fn check_descriptor(&self, owner: DomainId, descriptor: u64) -> Option<u64> {
        Machine.check_descriptor(owner, descriptor)
    }

    fn descriptor_page_unmapped(&self, frame: Mfn, owner: DomainId) {
        Machine.descriptor_page_unmapped(frame, owner);
    }

    #[inline(always)]
    fn may_set_memory_types(&self, domain: DomainId) -> bool {
        if domain == self.domain.id { self.domain.rights.has_io() } else { Machine.may_set_memory_types(domain) }
    }

    fn allows_linear_tables(&self) -> bool {
        Machine.allows_linear_tables()
    }

    fn io_access(&self, domain: DomainId, frame: Mfn) -> IoAccess {
        Machine.io_access(domain, frame)
    }

    fn is_dying(&self, domain: DomainId) -> bool {
        Machine.is_dying(domain)
    }

    fn release_frame(&self, frame: Mfn, owner: DomainId) {
        Machine::release(frame, || if owner == self.domain.id { Some(self.domain) } else { domain::find(owner) });
    }

    #[inline(always)]
    fn drops(&self) -> &DropQueue {
        &self.vcpu.drops
    }
}
