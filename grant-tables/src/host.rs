//! What grant operations need from the rest of the hypervisor.
//!
//! References on frames come in two strengths ([`Access`]) and are explicit here, because a mapping outlives the call
//! that made it: on success [`Mappings::map`] takes over the reference, it then belongs to the page-table entry like
//! that of any ordinary entry, and [`Mappings::unmap`] hands it back. A guest that overwrites such an entry by itself
//! therefore loses the reference through the ordinary page-table path, and teardown of page tables needs no special case.

use core::ops::Deref;

use abi::{
    DomainId, Errno, Gfn, GuestVirtual, MachineAddress, Mfn, Pfn, VcpuId,
    grant_table::{CacheFlushFlags, GrantStatus, MapFlags},
};

use crate::{sync::AtomicU32, table::GrantTable};

/// No frame or no heap memory left, or the domain's allowance is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfMemory;

/// How strongly a frame is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// A general reference: the frame stays allocated.
    Read,
    /// A general reference and a writable-type reference: the frame also stays an ordinary writable page.
    Write,
}

/// Why a frame cannot be held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// No such frame, not memory, not the named domain's, or its count is full.
    NotOwned,
    /// The frame is in use as something that must not be written, such as a page table.
    NotWritable,
}

impl From<Refused> for GrantStatus {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotOwned => GrantStatus::BAD_PAGE,
            Refused::NotWritable => GrantStatus::GENERAL_ERROR,
        }
    }
}

/// A page of shared entries: zeroed when made, a hypervisor page that its domain (and who may act for it) can map.
/// Dropping it gives up the hypervisor's own hold on the page.
pub trait SharedPage: Send + Sync {
    /// Its frame, for `setup_table`.
    fn frame(&self) -> Mfn;
    /// Its 1024 words. The guest writes them at any time.
    fn words(&self) -> &[AtomicU32];
    /// Whether anybody but the hypervisor holds it: a guest that maps it.
    fn is_mapped(&self) -> bool;
}

/// Memory for a table's growth, charged to the domain that owns the table.
pub trait TableMemory {
    /// A page of shared entries.
    type Page: SharedPage;
    /// A new zeroed page for `owner`'s table.
    fn shared_page(&self, owner: DomainId) -> Result<Self::Page, OutOfMemory>;
    /// Charges heap bytes to `owner`; whoever drops the table gives back [`GrantTable::heap_bytes`].
    fn charge(&self, owner: DomainId, bytes: usize) -> Result<(), OutOfMemory>;
    /// Takes back a charge whose allocation failed.
    fn uncharge(&self, owner: DomainId, bytes: usize);
}

/// The caller, other domains, and references on frames. All calls but `domain` are made on hot paths.
pub trait Host: TableMemory {
    /// Keeps another domain's table alive; cheap to clone (a counted reference).
    type Domain: Deref<Target = GrantTable<Self::Page>> + Clone;

    /// The domain the operation runs for.
    fn current(&self) -> DomainId;
    /// The vCPU the operation runs for; picks the list that handles come from.
    fn vcpu(&self) -> VcpuId;
    /// The table of [`Host::current`].
    fn own_table(&self) -> &GrantTable<Self::Page>;
    /// The table of domain `id`. A dead domain must be found as long as any of its frames is referenced.
    fn domain(&self, id: DomainId) -> Option<Self::Domain>;

    /// Takes a reference on frame `gfn` of `owner`'s memory and tells which machine frame that is.
    fn take(&self, owner: DomainId, gfn: Gfn, access: Access) -> Result<Mfn, Refused>;
    /// Takes another reference on a frame that the caller knows to be referenced; checks that `owner` still owns it.
    fn take_again(&self, owner: DomainId, frame: Mfn, access: Access) -> Result<(), Refused>;
    /// Gives a reference back; may free the frame. May be called with an entry lock held.
    fn put(&self, frame: Mfn, access: Access);
}

/// Where a host mapping goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The entry that maps this address in the page tables the caller is running on.
    Virtual(GuestVirtual),
    /// The entry at this machine address (`GNTMAP_contains_pte`), 8-byte aligned.
    Entry(MachineAddress),
}

/// Page-table entries of the calling domain. No locks are held over these calls.
pub trait Mappings: Host {
    /// Writes a present entry for `frame`: accessed, dirty, no-execute and with the marks any guest entry gets, writable
    /// unless `READONLY`, for user mode if `APPLICATION_MAP`, with `GUEST_AVAIL_MASK` (from bit 16) in its available bits.
    /// What the entry held before is released like any overwritten entry. On success the entry owns the caller's
    /// reference; on error nothing has changed.
    ///
    /// Errors: `GENERAL_ERROR` if there is no level-1 table of the caller's at `place`.
    fn map(&self, place: Place, frame: Mfn, flags: MapFlags) -> Result<(), GrantStatus>;

    /// Clears the entry and hands its reference to the caller; the flush is owed, see [`Mappings::flush`].
    /// `flags` are those of the map operation, without the available bits.
    ///
    /// Errors, nothing changed: `GENERAL_ERROR` unless the entry is there, present, maps `frame`, and is writable exactly
    /// if `READONLY` is absent.
    fn unmap(&self, place: Place, frame: Mfn, flags: MapFlags) -> Result<(), GrantStatus>;

    /// As [`Mappings::unmap`], but the entry takes over the content of the entry that maps `donor`, which is cleared.
    fn replace(&self, at: GuestVirtual, frame: Mfn, flags: MapFlags, donor: GuestVirtual) -> Result<(), GrantStatus>;

    /// Returns when no CPU can use a translation of the caller's domain that was cleared before.
    fn flush(&self);
}

/// Access to the contents of held frames.
pub trait Contents: Host {
    /// A frame opened for copying.
    type Window;
    /// Opens a frame the caller holds a reference on, for as long as the window lives.
    fn window(&self, frame: Mfn, access: Access) -> Self::Window;
    /// Copies `length` bytes; offsets and length lie within a page. Overlap within one frame gives unspecified bytes.
    fn copy_bytes(&self, from: &Self::Window, from_offset: usize, to: &Self::Window, to_offset: usize, length: usize);
}

/// Moving a frame from one domain to another.
pub trait Transfers: Host {
    /// A frame that left the caller and belongs to nobody yet; dropping it frees the frame.
    type Stolen;
    /// Takes `frame` out of the caller's memory. Errors: any reference but the owner's, or not the caller's page.
    fn steal(&self, frame: Gfn) -> Result<Self::Stolen, Refused>;
    /// Gives the frame to `to` if that domain is alive and below its limit and `accept` then says at which of the
    /// receiver's pseudo-physical frames; updates accounting and the machine-to-physical table. `accept` takes the lock of an
    /// entry.
    /// Answers the machine frame, or nothing if it was not accepted (and is freed).
    fn give(&self, frame: Self::Stolen, to: &Self::Domain, accept: impl FnOnce() -> Option<Pfn>) -> Option<Mfn>;
}

/// Cache maintenance by address.
pub trait Caches: Host {
    /// Whether the caller may do it at all: it has I/O memory or ports.
    fn may_flush_caches(&self) -> bool;
    /// Takes a general reference on any owned frame and names its owner. Errors: `EINVAL` no memory there at all, `EPERM`
    /// nobody's frame, or one whose owner has no grant table.
    fn take_any(&self, frame: Mfn) -> Result<DomainId, Errno>;
    /// Cleans or invalidates `length` bytes from `offset`. Errors: `EOPNOTSUPP` for what the CPU has no instruction for.
    fn flush_cache(&self, frame: Mfn, offset: usize, length: usize, operation: CacheFlushFlags) -> Result<(), Errno>;
}
