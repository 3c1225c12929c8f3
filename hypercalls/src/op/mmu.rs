//! Page-table calls of PV guests: mmu_update, mmuext_op, update_va_mapping and its form for other domains.
//! Source: Xen public header `xen.h`.
//!
//! The rules about frames are crate `pv-mmu`; here is what the calls say: whose tables, whose frames, in which order
//! things are looked at, and how a preempted batch goes on. All methods take `&self` of the host: a frame stays open
//! across the entries of a batch.

mod batch;
mod descriptor;
mod extended;
mod flush;
mod owners;
mod update;
mod va_mapping;

use abi::mmu::{MmuCommand, MmuextCommand};
use abi::{DomainId, Errno, Gfn, GuestVirtual, Mfn, Pfn, Result};
use pv_mmu::{MmuHost, Stop};

pub use self::descriptor::{DescriptorCalls, GDT_FRAMES, set_gdt, update_descriptor};
pub use self::extended::mmuext_op;
pub use self::flush::FlushScope;
pub use self::update::mmu_update;
pub use self::va_mapping::{update_va_mapping, update_va_mapping_otherdomain};
use crate::{
    authority::Policy,
    guest::{GuestMemory, Preemption},
    table::{Row, rows},
};

/// The outcome of one request.
type Step = core::result::Result<(), Stop>;

/// The running vCPU, its domain and its machine, as the page-table calls need them.
pub trait MmuCalls: MmuHost + Policy + GuestMemory + Preemption {
    /// Whether a domain that exists is a PV one; true for the special owners.
    fn is_paravirtual(&self, domain: DomainId) -> bool;

    /// The machine frame behind a frame number of a translated (HVM, PVH) domain. Errors: `EINVAL` hole, `ENOENT`.
    fn machine_frame(&self, _domain: DomainId, _gfn: Gfn) -> Result<Mfn> {
        Err(Errno::EINVAL)
    }

    /// The level-4 table that the guest's kernel runs on; always one, held with [`pv_mmu::acquire_root`].
    fn kernel_root(&self) -> Mfn;

    /// The level-4 table that the guest's user mode runs on.
    fn user_root(&self) -> Option<Mfn>;

    /// Makes `root` the kernel's table, shows the read-only M2P in it, drops
    /// mapped LDT pages and loads CR3, also when it is the same table as before: that is a flush.
    fn load_kernel_root(&self, root: Mfn);

    /// Makes `root` the table for user mode; hides the M2P in it if the domain chose `m2p_strict`.
    fn set_user_root(&self, root: Option<Mfn>);

    /// Writes an entry of the machine-to-physical table.
    fn set_machine_to_physical(&self, frame: Mfn, pfn: Pfn);

    /// Flushes this CPU's TLB.
    fn flush_local(&self, scope: FlushScope);

    /// Flushes every CPU that may hold translations of the calling domain.
    fn flush_domain(&self, scope: FlushScope);

    /// Flushes the CPUs of the domain's vCPUs `first + i` for every bit i of `mask`.
    fn flush_vcpus(&self, first: u32, mask: u64, scope: FlushScope);

    /// Number of vCPUs the calling domain may have.
    fn vcpu_limit(&self) -> u32;

    /// Whether the calling domain may write back caches (it has I/O memory).
    fn may_flush_caches(&self) -> bool;

    /// Writes back and invalidates this CPU's caches.
    fn flush_cache_local(&self);

    /// Writes back and invalidates all CPUs' caches.
    fn flush_cache_everywhere(&self);

    /// Replaces the vCPU's LDT, if it differs: drops the mapped pages of the old one, whose flush is part of it.
    fn set_ldt(&self, base: GuestVirtual, entries: u32);

    /// Zeroes a frame.
    fn clear_page(&self, frame: Mfn);

    /// Copies a frame.
    fn copy_page(&self, to: Mfn, from: Mfn);
}

/// What each command of mmu_update is here.
pub const UPDATE_ROWS: &[Row] = rows!(MmuCommand {
    works: NORMAL_PT_UPDATE MACHPHYS_UPDATE PT_UPDATE_PRESERVE_AD PT_UPDATE_NO_TRANSLATE;
});

/// What each command of mmuext_op is here.
pub const EXTENDED_ROWS: &[Row] = rows!(MmuextCommand {
    works: PIN_L1_TABLE PIN_L2_TABLE PIN_L3_TABLE PIN_L4_TABLE UNPIN_TABLE NEW_BASEPTR NEW_USER_BASEPTR;
    works: TLB_FLUSH_LOCAL INVLPG_LOCAL TLB_FLUSH_MULTI INVLPG_MULTI TLB_FLUSH_ALL INVLPG_ALL;
    works: FLUSH_CACHE FLUSH_CACHE_GLOBAL SET_LDT CLEAR_PAGE COPY_PAGE;
    (absent "superpages for PV guests, gone from Xen since 4.8"): MARK_SUPER UNMARK_SUPER;
});
