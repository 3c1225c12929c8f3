//! What this crate asks of the machine: contents of frames, flushes, budgets and the policies of domains.

use core::ops::Deref;

use abi::{DomainId, Errno, Mfn, Result};

use crate::{drops::DropQueue, frame::Frames, sync::AtomicU64};

/// Contents of a page-table frame; guests' CPUs set accessed and dirty bits in it at any time.
pub type PageTable = [AtomicU64; TABLE_ENTRIES];

/// Entries of a table; few where every interleaving is explored.
pub const TABLE_ENTRIES: usize = if cfg!(loom) { 2 } else { 512 };

/// Why an operation ended without success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The guest asked for something it may not have.
    Errno(Errno),
    /// Out of budget in the middle: the same request again goes on where this one stopped.
    Preempted,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Stop::Errno(errno)
    }
}

/// What a domain may do with a frame that is not RAM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoAccess {
    /// Nothing.
    Denied,
    /// Read; the writable bit of its mappings is dropped silently (MMCFG, IO-APICs, MSI-X tables).
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

/// The machine, as seen by the vCPU that runs (or by the CPU that tears a domain down). No method may call back into
/// this crate, and none may sleep.
pub trait MmuHost {
    /// Access to the contents of one frame, unmapped when dropped. Up to six live at a time.
    type Table<'a>: Deref<Target = PageTable>
    where
        Self: 'a;

    /// The frame table.
    fn frames(&self) -> Frames<'_>;

    /// Contents of a frame of RAM.
    fn table(&self, frame: Mfn) -> Self::Table<'_>;

    /// Whether a long operation should stop at the next clean point. May change to true at any time; operations make
    /// at least one step before they obey.
    fn out_of_budget(&self) -> bool;

    /// One turn of a wait for another CPU: answers its flush requests.
    fn relax(&self);

    /// The flush clock: counts up whenever a CPU is asked to flush. A CPU that flushed when the clock stood at or
    /// below a frame's stamp may hold stale translations of the frame. Must be read with acquire ordering.
    fn flush_clock(&self) -> u32;

    /// Flushes translations and paging-structure caches on every CPU that may have used `frame` and has not flushed
    /// since `stamp`; returns when they are gone. Called with the new type published and not yet usable.
    fn flush_before_retype(&self, frame: Mfn, stamp: u32);

    /// Writes back and drops cache lines of a frame that was mapped with a non-coherent memory type.
    fn clean_cache(&self, frame: Mfn);

    /// Makes the hypervisor's own mapping of `frame` agree with a guest's memory type, given as the [`crate::Entry::CACHE`]
    /// bits of its entry. Errors: any, passed on to the guest.
    fn set_cache_attribute(&self, frame: Mfn, cache_bits: u64) -> Result<()>;

    /// Writes slots 256 to 271 of a table that becomes a level-4 table of `owner`.
    fn fill_hypervisor_slots(&self, frame: Mfn, table: &PageTable, owner: DomainId);

    /// A slot of a validated level-4 table changed; for hosts that run guests on copies of it.
    #[inline]
    fn root_entry_changed(&self, _frame: Mfn, _slot: usize) {}

    /// The descriptor as it may stand in a GDT or LDT of `owner` (adjusted), or `None` if it may not.
    fn check_descriptor(&self, owner: DomainId, descriptor: u64) -> Option<u64>;

    /// A read-only mapping of a descriptor page of `owner` went: mapped LDT pages are dropped, so that the guest can
    /// have its page back.
    fn descriptor_page_unmapped(&self, frame: Mfn, owner: DomainId);

    /// Whether `domain` has any I/O rights, and so may choose memory types.
    fn may_set_memory_types(&self, domain: DomainId) -> bool;

    /// Whether guests may map tables in tables of the same level (`pv-linear-pt`).
    #[inline]
    fn allows_linear_tables(&self) -> bool {
        true
    }

    /// What `domain` may do with an MFN that is not RAM. MFNs beyond the CPU's physical address width are denied.
    fn io_access(&self, domain: DomainId, frame: Mfn) -> IoAccess;

    /// Whether `domain` may map I/O memory cached (`mmio-relax`).
    #[inline]
    fn relaxes_io_caching(&self, _domain: DomainId) -> bool {
        false
    }

    /// Whether `domain` is being destroyed.
    fn is_dying(&self, domain: DomainId) -> bool;

    /// The last reference went. The frame leaves its owner's lists and accounts; it is scrubbed, its M2P entry
    /// invalidated, and it may be handed out again only after CPUs flushed past [`crate::FrameInfo::flush_stamp`].
    fn release_frame(&self, frame: Mfn, owner: DomainId);

    /// Tables that this vCPU started to drop and could not finish.
    fn drops(&self) -> &DropQueue;
}
