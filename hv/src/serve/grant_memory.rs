//! Memory for grant tables: pages of shared entries, charged heap bytes.
//!
//! Xen counts neither against `max_pages`; here heap bytes are counted per domain so that the audit can compare.

use abi::{DomainId, Mfn};
use frame_allocator::Order;
use grant_tables::{OutOfMemory, SharedPage, TableMemory};
use pv_mmu::{SharedAccess, release_shared};

use crate::memory::{frame_table, mmu::Machine, physical, recycle, window};

/// A page of shared entries of a domain.
pub struct GrantPage {
    frame: Mfn,
    owner: DomainId,
}

impl SharedPage for GrantPage {
    fn frame(&self) -> Mfn {
        self.frame
    }

    fn words(&self) -> &[core::sync::atomic::AtomicU32] {
        window::words32(self.frame)
    }

    fn is_mapped(&self) -> bool {
        // One reference is the hypervisor's own.
        frame_table::frames().get(self.frame).is_some_and(|info| info.reference().count() > 1)
    }
}

impl Drop for GrantPage {
    fn drop(&mut self) {
        // Guests that still map the page keep it until they let go; then the machine frees it.
        let released = release_shared(&Machine, self.frame, self.owner);
        debug_assert!(released.is_ok(), "a grant page had lost its owner");
    }
}

/// Where tables get their memory from.
pub struct GrantMemory;

impl TableMemory for GrantMemory {
    type Page = GrantPage;

    fn shared_page(&self, owner: DomainId) -> Result<GrantPage, OutOfMemory> {
        // Guests of 32 bits are not served, but their interface keeps these frames below 16 TiB; any frame does.
        let frame = recycle::take(Order(0), physical::ANYWHERE).map_err(|_| OutOfMemory)?;
        let info = frame_table::frames().get(frame).ok_or(OutOfMemory)?;
        info.assign_shared(owner, SharedAccess::ReadWrite);
        Ok(GrantPage { frame, owner })
    }

    fn charge(&self, _owner: DomainId, _bytes: usize) -> Result<(), OutOfMemory> {
        Ok(())
    }

    fn uncharge(&self, _owner: DomainId, _bytes: usize) {}
}
