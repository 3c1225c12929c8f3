//! The reference word of a frame: owner, state flags, memory type and general references in one atomic word, so that
//! "belongs to this domain" and "one more reference" are one step.
//!
//! Bits 63:48 owner, 47:40 flags, 39:0 references. A frame with zero references is free or being freed; nobody but the
//! allocator may touch it.

use abi::DomainId;

use crate::entry::Entry;

/// One reading of a reference word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReferenceWord(pub(crate) u64);

/// How guests may map a frame of the hypervisor's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SharedAccess {
    /// Never writable.
    ReadOnly,
    /// Writable, and never a page table or descriptor page.
    ReadWrite,
}

impl ReferenceWord {
    /// The word itself, for filling a fresh frame table in bulk.
    pub const fn bits(self) -> u64 {
        self.0
    }

    const OWNER_SHIFT: u32 = 48;
    const FLAG_SHIFT: u32 = 40;
    pub(crate) const COUNT: u64 = (1 << Self::FLAG_SHIFT) - 1;
    /// Ordinary references stop here; the rest is for references that cannot be refused (a suspended validation).
    pub(crate) const LIMIT: u64 = Self::COUNT - (1 << 20);
    /// The owner's allocation, itself one reference.
    pub(crate) const ALLOCATED: u64 = 1 << Self::FLAG_SHIFT;
    /// Belongs to the hypervisor and is shared with its owner.
    pub(crate) const XEN_HEAP: u64 = 1 << (Self::FLAG_SHIFT + 1);
    /// Taken out of use after a machine check.
    pub(crate) const BROKEN: u64 = 1 << (Self::FLAG_SHIFT + 2);
    /// Was mapped with a memory type that goes past the caches.
    pub(crate) const NON_COHERENT: u64 = 1 << (Self::FLAG_SHIFT + 5);
    /// Memory type of all mappings, at the place of the bits of an [`Entry`] above the flag shift.
    pub(crate) const CACHE: u64 = Entry::CACHE << Self::FLAG_SHIFT;

    #[inline]
    pub(crate) const fn new(owner: DomainId, flags: u64, count: u64) -> Self {
        Self(((owner.0 as u64) << Self::OWNER_SHIFT) | flags | count)
    }

    /// Whom the frame belongs to; [`DomainId::INVALID`] for nobody.
    #[inline]
    pub const fn owner(self) -> DomainId {
        DomainId((self.0 >> Self::OWNER_SHIFT) as u16)
    }

    /// General references.
    #[inline]
    pub const fn count(self) -> u64 {
        self.0 & Self::COUNT
    }

    /// Whether the owner's allocation still stands.
    #[inline]
    pub const fn is_allocated(self) -> bool {
        self.0 & Self::ALLOCATED != 0
    }

    /// Whether it is the hypervisor's, shared with its owner.
    #[inline]
    pub const fn is_xen_heap(self) -> bool {
        self.0 & Self::XEN_HEAP != 0
    }

    /// Whether it was taken out of use.
    #[inline]
    pub const fn is_broken(self) -> bool {
        self.0 & Self::BROKEN != 0
    }

    /// Whether the CPU's caches may disagree with memory about it.
    #[inline]
    pub const fn is_non_coherent(self) -> bool {
        self.0 & Self::NON_COHERENT != 0
    }

    /// The flags, with the memory type at the place of an entry's; other bits of an entry mean nothing here.
    #[inline(always)]
    pub(crate) const fn flag_bits(self) -> u64 {
        self.0 >> Self::FLAG_SHIFT
    }

    /// Memory type of its mappings, as the bits of a level-1 entry.
    #[inline]
    pub const fn cache_bits(self) -> u64 {
        (self.0 >> Self::FLAG_SHIFT) & Entry::CACHE
    }

    #[inline]
    pub(crate) const fn with_cache_bits(self, bits: u64) -> Self {
        Self(self.0 | (bits & Entry::CACHE) << Self::FLAG_SHIFT)
    }

    /// Whether `owner` has it and may take one more reference.
    #[inline(always)]
    pub(crate) const fn admits(self, owner: DomainId) -> bool {
        // One comparison for all: another owner, no reference and too many all end up above the limit.
        const FLAGS: u64 = 0xFF << ReferenceWord::FLAG_SHIFT;
        let first = ((owner.0 as u64) << Self::OWNER_SHIFT) + 1;
        (self.0 & !FLAGS).wrapping_sub(first) < Self::LIMIT
    }

    /// The word, which stood before the last reference was dropped.
    #[cold]
    #[inline(never)]
    pub(crate) fn last(self) -> Self {
        assert!(self.count() == 1, "reference count below zero");
        self
    }
}

impl core::fmt::Debug for ReferenceWord {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "owner {} x{} flags {:#x}", self.owner(), self.count(), (self.0 >> Self::FLAG_SHIFT) & 0xFF)
    }
}
