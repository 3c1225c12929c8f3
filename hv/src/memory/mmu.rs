//! The machine as `pv_mmu` sees it: contents of frames, flushes, the policies of domains.
//!
//! One value serves every CPU; what belongs to the running vCPU (its budget, its unfinished drops) is found through the
//! CPU. Context: any CPU, no lock above `Level::PageTable` held.

use core::sync::atomic::Ordering::{Relaxed, Release};

use abi::{DomainId, Errno, Mfn, Result};
use pv_cpu::descriptor;
use pv_mmu::{DropQueue, Frames, IoAccess, MmuHost, PageTable};

use super::{frame_table, layout, machine_to_physical, physical, window};
use crate::{
    boot::options,
    cpu::{self, block, features},
    domain,
    interrupt::flush,
    serve::budget,
};

/// The machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl Machine {
    /// A frame without references goes back to the free ones; `owner` finds whose account it is on.
    #[inline]
    pub fn release(frame: Mfn, owner: impl FnOnce() -> Option<&'static domain::Domain>) {
        let charged = frame_table::frames().get(frame).is_some_and(|info| !info.reference().is_xen_heap());
        if charged && let Some(domain) = owner() {
            domain.release_frame();
        }
        machine_to_physical::invalidate(frame);
        super::recycle::put(frame);
    }
}

impl MmuHost for Machine {
    type Table<'a> = &'static PageTable;

    #[inline(always)]
    fn frames(&self) -> Frames<'_> {
        frame_table::frames()
    }

    #[inline(always)]
    fn table(&self, frame: Mfn) -> &'static PageTable {
        window::words(frame)
    }

    #[inline]
    fn out_of_budget(&self) -> bool {
        budget::is_spent()
    }

    fn relax(&self) {
        flush::answer();
        core::hint::spin_loop();
    }

    #[inline]
    fn flush_clock(&self) -> u32 {
        flush::clock()
    }

    fn flush_before_retype(&self, _frame: Mfn, stamp: u32) {
        // All CPUs, not the owner's only: another domain may have mapped the frame by grant and dropped it itself.
        let stale = flush::stale_since(flush::CpuMask(u64::MAX), stamp);
        if stale != flush::CpuMask(0) {
            flush::on(stale);
        }
    }

    fn clean_cache(&self, _frame: Mfn) {
        crate::arch::control::write_back_caches();
    }

    fn set_cache_attribute(&self, _frame: Mfn, _cache_bits: u64) -> Result<()> {
        // The direct map stays write-back: a frame that a guest maps otherwise is cleaned before it gets another type.
        Ok(())
    }

    fn fill_hypervisor_slots(&self, _frame: Mfn, table: &PageTable, owner: DomainId) {
        let own = window::words(physical::root());
        // The machine-to-physical table comes when the table is loaded for a kernel; as on Xen, user mode's never has it.
        let hidden = layout::slot_of(layout::MACHINE_TO_PHYSICAL);
        for slot in layout::HYPERVISOR_SLOTS.filter(|slot| *slot != hidden) {
            if let (Some(to), Some(from)) = (table.get(slot), own.get(slot)) {
                to.store(from.load(Relaxed), Relaxed);
            }
        }
        if let Some(slot) = table.get(hidden) {
            slot.store(0, Relaxed);
        }
        let per_domain = domain::find(owner).map_or(0, |domain| domain.per_domain_entry());
        if let Some(slot) = table.get(layout::PER_DOMAIN_SLOT) {
            slot.store(per_domain, Relaxed);
        }
    }

    fn check_descriptor(&self, _owner: DomainId, value: u64) -> Option<u64> {
        descriptor::Descriptor(value).checked().ok().map(|descriptor| descriptor.0)
    }

    fn descriptor_page_unmapped(&self, frame: Mfn, owner: DomainId) {
        if let Some(domain) = domain::find(owner) {
            domain.drop_descriptor_mappings(frame);
        }
    }

    fn may_set_memory_types(&self, domain: DomainId) -> bool {
        domain::find(domain).is_some_and(|domain| domain.rights.has_io())
    }

    fn allows_linear_tables(&self) -> bool {
        options::get().pv_linear_tables
    }

    fn io_access(&self, domain: DomainId, frame: Mfn) -> IoAccess {
        if frame.0 >> (features::physical_address_bits() - 12) != 0 {
            return IoAccess::Denied;
        }
        domain::find(domain).map_or(IoAccess::Denied, |domain| domain.rights.memory_access(frame))
    }

    fn is_dying(&self, domain: DomainId) -> bool {
        domain::find(domain).is_none_or(|domain| domain.is_dying())
    }

    fn release_frame(&self, frame: Mfn, owner: DomainId) {
        Self::release(frame, || domain::find(owner));
    }

    fn drops(&self) -> &DropQueue {
        own_drops()
    }
}

/// The unfinished drops of whoever this CPU serves.
pub fn own_drops() -> &'static DropQueue {
    match block::this_info().current() {
        Some(vcpu) => &vcpu.drops,
        None => &cpu::this().drops,
    }
}

/// Shows the read-only machine-to-physical table in a table that is loaded for a kernel.
pub fn show_machine_to_physical(root: Mfn) {
    let slot = layout::slot_of(layout::MACHINE_TO_PHYSICAL);
    let own = window::words(physical::root());
    if let (Some(to), Some(from)) = (window::words(root).get(slot), own.get(slot)) {
        let value = from.load(Relaxed);
        if to.load(Relaxed) != value {
            to.store(value, Release);
        }
    }
}

/// Whether an error is the guest's or says "again".
pub fn to_errno(stop: pv_mmu::Stop) -> Errno {
    match stop {
        pv_mmu::Stop::Errno(errno) => errno,
        pv_mmu::Stop::Preempted => Errno::ERESTART,
    }
}
