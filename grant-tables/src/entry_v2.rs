//! The shared words of an entry, version 2: four words of the entry, and a status word that only the hypervisor writes,
//! in a page of its own.
//!
//! Granter and hypervisor each write their own word and then look at the other's: the granter revokes by clearing the
//! flags and reading the status, a claim sets the status and reads the flags again. A full fence between store and load
//! on both sides makes sure that at least one of them sees the other. Transitive entries are not served, as by a Xen
//! started with `gnttab=no-transitive`. Source: public header `grant_table.h`, version 2.

use abi::{
    DomainId, Gfn, Mfn,
    grant_table::{EntryFlags, GrantStatus},
};

use crate::{
    entry::{Claimed, Part, Pins, Purpose, Shared, head},
    host::Access,
    sync::{AtomicU32, Ordering, fence},
};

/// Position of the domid in the first word, of the length in the second, and of the second half of a frame.
const HALF: u32 = 16;
/// The in-use bits.
pub(crate) const IN_USE: EntryFlags = EntryFlags::READING.with(EntryFlags::WRITING);

/// The status of one entry: half of a 32-bit word, the other half of which is a neighbour's.
#[derive(Clone, Copy)]
pub(crate) struct Status<'a> {
    word: &'a AtomicU32,
    shift: u32,
}

impl<'a> Status<'a> {
    /// The status at `index` among the words of a page.
    pub(crate) fn at(words: &'a [AtomicU32], index: usize) -> Option<Self> {
        Some(Status { word: words.get(index / 2)?, shift: index as u32 % 2 * HALF })
    }

    /// Its value.
    pub(crate) fn read(self) -> EntryFlags {
        EntryFlags((self.word.load(Ordering::Acquire) >> self.shift) as u16)
    }

    /// Replaces it.
    pub(crate) fn write(self, value: EntryFlags) {
        self.word.fetch_and(!(u32::from(u16::MAX) << self.shift), Ordering::AcqRel);
        self.set(value);
    }

    fn set(self, bits: EntryFlags) {
        self.word.fetch_or(u32::from(bits.0) << self.shift, Ordering::AcqRel);
    }

    fn clear(self, bits: EntryFlags) {
        self.word.fetch_and(!(u32::from(bits.0) << self.shift), Ordering::AcqRel);
    }
}

/// The shared words of one entry: {flags, domid}, {offset, length}, low and high half of the frame.
#[derive(Clone, Copy)]
pub(crate) struct WordsV2<'a> {
    words: &'a [AtomicU32; 4],
    pub(crate) status: Status<'a>,
}

/// Status bits that are not yet backed by pins; dropping it clears them again.
#[must_use]
pub(crate) struct ClaimV2<'a> {
    status: Status<'a>,
    bits: EntryFlags,
}

impl Claimed for ClaimV2<'_> {
    fn keep(mut self) {
        self.bits = EntryFlags::INVALID;
    }
}

impl Drop for ClaimV2<'_> {
    fn drop(&mut self) {
        if self.bits != EntryFlags::INVALID {
            self.status.clear(self.bits);
        }
    }
}

impl<'a> Shared for WordsV2<'a> {
    type Claim = ClaimV2<'a>;

    fn claim(
        self,
        before: Pins,
        grantee: DomainId,
        access: Access,
        purpose: Purpose,
    ) -> Result<ClaimV2<'a>, GrantStatus> {
        let (mut set, mut forbidden) = (EntryFlags::READING, 0);
        if access == Access::Write {
            set = IN_USE;
            forbidden = u32::from(EntryFlags::READONLY.0);
        }
        // As in version 1: an entry with pins was good when it got them, and only the right to write is asked again.
        let (mut mask, mut wanted, mut ours) = (forbidden, 0, EntryFlags(set.0 & EntryFlags::WRITING.0));
        if before.is_empty() {
            mask |= u32::from(EntryFlags::TYPE_MASK.0) | u32::from(u16::MAX) << HALF;
            if purpose == Purpose::Map {
                mask |= u32::from(EntryFlags::SUB_PAGE.0);
            }
            wanted = head(EntryFlags::PERMIT_ACCESS, grantee);
            ours = set;
        }
        if self.head() & mask != wanted {
            return Err(GrantStatus::GENERAL_ERROR);
        }
        self.status.set(set);
        let claim = ClaimV2 { status: self.status, bits: ours };
        fence(Ordering::SeqCst);
        if self.head() & mask != wanted {
            return Err(GrantStatus::GENERAL_ERROR);
        }
        Ok(claim)
    }

    fn granted(self) -> (Gfn, Part) {
        let part = match self.flags().contains(EntryFlags::SUB_PAGE) {
            true => {
                let range = self.word(1);
                Part::new(range as u16, (range >> HALF) as u16)
            }
            false => Part::WHOLE,
        };
        (self.frame(), part)
    }

    fn clear(self, bits: EntryFlags) {
        self.status.clear(bits);
    }
}

impl<'a> WordsV2<'a> {
    /// The entry at `index` among the words of its page.
    pub(crate) fn at(words: &'a [AtomicU32], index: usize, status: Status<'a>) -> Option<Self> {
        let (entries, _) = words.as_chunks::<4>();
        Some(WordsV2 { words: entries.get(index)?, status })
    }

    fn word(self, index: usize) -> u32 {
        self.words.get(index).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Flags and domid.
    pub(crate) fn head(self) -> u32 {
        self.word(0)
    }

    fn flags(self) -> EntryFlags {
        EntryFlags(self.head() as u16)
    }

    /// The frame.
    pub(crate) fn frame(self) -> Gfn {
        Gfn(u64::from(self.word(2)) | u64::from(self.word(3)) << u32::BITS)
    }

    fn set_frame(self, frame: u64) {
        for (word, half) in self.words.iter().skip(2).zip([frame as u32, (frame >> u32::BITS) as u32]) {
            word.store(half, Ordering::Release);
        }
    }

    /// Makes it an entry of this head and frame about a whole page.
    pub(crate) fn write(self, head: u32, frame: u64) {
        let [first, range, ..] = self.words;
        range.store(0, Ordering::Relaxed);
        self.set_frame(frame);
        first.store(head, Ordering::Release);
    }

    /// Commits an `accept_transfer` entry of `from` and answers the frame slot it names; nothing if it is none.
    pub(crate) fn commit_transfer(self, from: DomainId) -> Option<Gfn> {
        let wanted = head(EntryFlags::ACCEPT_TRANSFER, from);
        let committed = wanted | u32::from(EntryFlags::TRANSFER_COMMITTED.0);
        let [first, ..] = self.words;
        first.compare_exchange(wanted, committed, Ordering::AcqRel, Ordering::Acquire).ok()?;
        Some(self.frame())
    }

    /// Tells the receiver which machine frame it got.
    pub(crate) fn complete_transfer(self, frame: Mfn) {
        self.set_frame(frame.0);
        let [first, ..] = self.words;
        first.fetch_or(u32::from(EntryFlags::TRANSFER_COMPLETED.0), Ordering::AcqRel);
    }

    /// Exchanges the contents of two unpinned entries, status and all.
    pub(crate) fn swap(self, other: WordsV2<'_>) {
        for (own, others) in self.words.iter().zip(other.words).rev() {
            let value = own.load(Ordering::Acquire);
            own.store(others.load(Ordering::Acquire), Ordering::Release);
            others.store(value, Ordering::Release);
        }
        let status = self.status.read();
        self.status.write(other.status.read());
        other.status.write(status);
    }
}
