//! One grant entry: what is shared with the guest, and the pins the hypervisor keeps beside it; the shared words of
//! version 1. Those of version 2 are in [`crate::entry_v2`].
//!
//! Invariants: an entry with pins has `GTF_reading` set, one with writing pins also `GTF_writing`, and the entry itself
//! holds one general reference on the frame for as long as it has pins; without pins neither bit is ours. The first word
//! holds {flags, domid} and changes by 32-bit compare-and-swap only, so that a guest that revokes or re-purposes the entry
//! meanwhile is noticed. The frame word is read once, after that. Source: public header `grant_table.h`, version 1.

use abi::{
    DomainId, Gfn, Mfn,
    grant_table::{EntryFlags, GrantStatus},
};

use crate::{
    host::Access,
    sync::{AtomicU32, Ordering},
};

/// How often a compare-and-swap is tried on a word that the guest keeps changing.
const ATTEMPTS: usize = 5;
/// Position of the domid in the first word.
const DOMAIN_SHIFT: u32 = 16;

/// The first word of an entry.
pub(crate) const fn head(flags: EntryFlags, domain: DomainId) -> u32 {
    flags.0 as u32 | (domain.0 as u32) << DOMAIN_SHIFT
}

/// What an entry is claimed for: some flags forbid one and not the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A mapping: the entry must not be a sub-page grant.
    Map,
    /// A copy.
    Copy,
}

/// Counts of uses of one entry, four of 8 bits; each may reach 128.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pins(u32);

impl Pins {
    const TOP_BITS: u32 = 0x8080_8080;
    const WRITERS: u32 = 0xFF00_FF00;
    const DEVICE_SHIFT: u32 = 16;

    /// One use by the CPU.
    pub const fn host(access: Access) -> Self {
        match access {
            Access::Read => Pins(1),
            Access::Write => Pins(1 << 8),
        }
    }

    /// One use by devices.
    pub const fn device(access: Access) -> Self {
        Pins(Self::host(access).0 << Self::DEVICE_SHIFT)
    }

    /// Both; the counts must not overlap.
    pub const fn with(self, other: Pins) -> Self {
        Pins(self.0 | other.0)
    }

    /// No use at all.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether any use may write.
    pub const fn has_writer(self) -> bool {
        self.0 & Self::WRITERS != 0
    }

    /// Adds single uses; nothing if one of their counts is full.
    pub const fn add(self, uses: Pins) -> Option<Self> {
        if self.0 & (uses.0 << 7) & Self::TOP_BITS != 0 { None } else { Some(Pins(self.0 + uses.0)) }
    }

    /// Takes uses away that were added before.
    pub const fn remove(self, uses: Pins) -> Self {
        Pins(self.0 - uses.0)
    }

    /// The counts: CPU reading, CPU writing, device reading, device writing.
    pub const fn counts(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }
}

/// The hypervisor's side of an entry, under the entry's lock. Domain and frame mean something while there are pins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Active {
    /// Uses.
    pub pins: Pins,
    /// Who uses it.
    pub domain: DomainId,
    /// The frame, as read when the first pin was made.
    pub frame: Mfn,
}

impl Active {
    /// Not in use.
    pub const IDLE: Active = Active { pins: Pins(0), domain: DomainId::INVALID, frame: Mfn::INVALID };
}

/// Which part of a granted page may be copied; mapping needs all of it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Part(u32);

impl Part {
    /// The whole page.
    pub const WHOLE: Part = Part(0);
    /// Set in every other part, so that an empty one is not the whole.
    const SUB_PAGE: u32 = 1 << 31;
    /// Offsets and lengths in a page, with room for those that no copy can have.
    const LARGEST: u16 = 0x3FFF;
    const END_SHIFT: u32 = 15;

    /// `length` bytes from `offset`, as a guest stated them.
    pub(crate) fn new(offset: u16, length: u16) -> Self {
        let start = offset.min(Self::LARGEST);
        let end = offset.saturating_add(length).min(Self::LARGEST);
        Part(Self::SUB_PAGE | u32::from(start) | u32::from(end) << Self::END_SHIFT)
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Part(bits)
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// Whether `length` bytes from `offset`, which lie within a page, are in it.
    pub(crate) const fn contains(self, offset: usize, length: usize) -> bool {
        let mask = Self::LARGEST as u32;
        let (start, end) = ((self.0 & mask) as usize, (self.0 >> Self::END_SHIFT & mask) as usize);
        self.0 == 0 || (offset >= start && offset + length <= end)
    }
}

/// The guest's side of an entry, of either version. Context: the entry's lock is held.
pub(crate) trait Shared: Copy {
    /// Takes back what a claim set, when dropped, unless it is kept.
    type Claim: Claimed;

    /// Sets the in-use bits for one more use. `before` are the pins so far: without any, type and domid are checked, and
    /// bits that those pins stand for stay when the claim is dropped.
    fn claim(
        self,
        before: Pins,
        grantee: DomainId,
        access: Access,
        purpose: Purpose,
    ) -> Result<Self::Claim, GrantStatus>;
    /// The granted frame and which part of it; read once, with a claim.
    fn granted(self) -> (Gfn, Part);
    /// Clears in-use bits.
    fn clear(self, bits: EntryFlags);
}

/// A claim that can be kept.
pub(crate) trait Claimed {
    /// The claim is backed by pins now.
    fn keep(self);
}

/// The shared words of one entry, version 1.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a> {
    pub(crate) head: &'a AtomicU32,
    pub(crate) frame: &'a AtomicU32,
}

/// Bits that were set on a claim that is not yet backed by pins; dropping it clears them again.
#[must_use]
pub(crate) struct Claim<'a> {
    words: Words<'a>,
    bits: EntryFlags,
}

impl Claimed for Claim<'_> {
    #[inline]
    fn keep(mut self) {
        self.bits = EntryFlags::INVALID;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.words.clear(self.bits);
    }
}

impl<'a> Shared for Words<'a> {
    type Claim = Claim<'a>;

    #[inline]
    fn claim(
        self,
        before: Pins,
        grantee: DomainId,
        access: Access,
        purpose: Purpose,
    ) -> Result<Claim<'a>, GrantStatus> {
        let (mut set, mut forbidden) = (EntryFlags::READING, EntryFlags::INVALID);
        let mut mask = EntryFlags::TYPE_MASK;
        if purpose == Purpose::Map {
            mask = mask.with(EntryFlags::SUB_PAGE);
        }
        if access == Access::Write {
            set = set.with(EntryFlags::WRITING);
            forbidden = EntryFlags::READONLY;
        }
        let first = before.is_empty();
        let ours = if first { set } else { EntryFlags(set.0 & EntryFlags::WRITING.0) };
        // A word is good if it has, under the mask, the wanted type and domain, and nothing that is forbidden. An entry
        // with pins was good when it got them; type and domain no longer matter.
        let (mask, wanted) = if first {
            (u32::from(mask.0) | !0 << DOMAIN_SHIFT, head(EntryFlags::PERMIT_ACCESS, grantee))
        } else {
            (0, 0)
        };
        let mask = mask | u32::from(forbidden.0);
        let mut word = self.head.load(Ordering::Acquire);
        for _ in 0..ATTEMPTS {
            if word & mask != wanted {
                return Err(GrantStatus::GENERAL_ERROR);
            }
            match self.exchange(word, word | u32::from(set.0)) {
                Ok(_) => return Ok(Claim { words: self, bits: ours }),
                Err(seen) => word = seen,
            }
        }
        Err(GrantStatus::GENERAL_ERROR)
    }

    #[inline]
    fn granted(self) -> (Gfn, Part) {
        (self.frame(), Part::WHOLE)
    }

    #[inline]
    fn clear(self, bits: EntryFlags) {
        if bits != EntryFlags::INVALID {
            self.head.fetch_and(!u32::from(bits.0), Ordering::AcqRel);
        }
    }
}

impl Words<'_> {
    /// Commits an `accept_transfer` entry of `from` and answers the frame slot it names; nothing if it is none.
    pub(crate) fn commit_transfer(self, from: DomainId) -> Option<Gfn> {
        let wanted = head(EntryFlags::ACCEPT_TRANSFER, from);
        // The only word that will do is known, so there is nothing to retry: any other value is a refusal.
        self.exchange(wanted, wanted | u32::from(EntryFlags::TRANSFER_COMMITTED.0)).ok()?;
        Some(self.frame())
    }

    /// Tells the receiver which machine frame it got.
    pub(crate) fn complete_transfer(self, frame: Mfn) {
        self.frame.store(frame.0 as u32, Ordering::Release);
        self.head.fetch_or(u32::from(EntryFlags::TRANSFER_COMPLETED.0), Ordering::AcqRel);
    }

    /// The granted frame; read it once.
    #[inline]
    pub(crate) fn frame(self) -> Gfn {
        Gfn(u64::from(self.frame.load(Ordering::Acquire)))
    }

    /// Makes it an entry of this head and frame.
    pub(crate) fn write(self, head: u32, frame: u32) {
        self.frame.store(frame, Ordering::Relaxed);
        self.head.store(head, Ordering::Release);
    }

    /// Exchanges the contents of two unpinned entries.
    pub(crate) fn swap(self, other: Words<'_>) {
        let frame = self.frame.load(Ordering::Relaxed);
        self.frame.store(other.frame.load(Ordering::Relaxed), Ordering::Relaxed);
        other.frame.store(frame, Ordering::Relaxed);
        let head = self.head.load(Ordering::Acquire);
        self.head.store(other.head.load(Ordering::Acquire), Ordering::Release);
        other.head.store(head, Ordering::Release);
    }

    #[inline]
    fn exchange(self, old: u32, new: u32) -> Result<u32, u32> {
        self.head.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
    }
}
