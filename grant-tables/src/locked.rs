//! Finding an entry and locking it, whichever version the table has.
//!
//! Who holds an entry's lock holds the version too: a change of version ([`crate::version`]) announces itself first and
//! then takes every entry's lock once, so an operation either is seen by it or sees it. Which entry a reference names
//! depends on the version, but the first entries, the only ones that may be in use during a change, are the same in
//! both.

use abi::{DomainId, GrantRef, Mfn, grant_table::EntryFlags, grant_table::GrantStatus};
use locks::{Guard, Lock};

use crate::{
    entry::{Active, Part, Words, head},
    entry_v2::{Status, WordsV2},
    host::SharedPage,
    sync::{AtomicU32, Ordering},
    table::{ENTRIES_PER_FRAME, FRAMES_PER_STATUS_FRAME, GrantTable, V2_ENTRIES_PER_FRAME},
    version::Version,
};

/// The granted part of a version 2 entry, under the entry's lock.
#[derive(Clone, Copy)]
pub(crate) struct PartCell<'a>(&'a AtomicU32);

impl PartCell<'_> {
    /// What is granted while there are pins.
    pub(crate) fn get(self) -> Part {
        Part::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Notes it with the first pin.
    pub(crate) fn set(self, part: Part) {
        self.0.store(part.bits(), Ordering::Relaxed);
    }
}

/// The guest's side of an entry.
#[derive(Clone, Copy)]
pub(crate) enum SharedWords<'a> {
    /// Version 1.
    One(Words<'a>),
    /// Version 2, and which part of the frame is granted.
    Two(WordsV2<'a>, PartCell<'a>),
}

/// An entry whose lock is held: both its sides.
pub(crate) struct LockedEntry<'a> {
    pub(crate) active: Guard<'a, Active>,
    pub(crate) shared: SharedWords<'a>,
}

/// An entry that was found and not locked.
struct Slot<'a> {
    active: &'a Lock<Active>,
    shared: SharedWords<'a>,
}

impl<P: SharedPage> GrantTable<P> {
    /// Locks the entry of `reference`, if the table has grown that far.
    #[inline(always)]
    pub(crate) fn lock(&self, reference: GrantRef) -> Option<LockedEntry<'_>> {
        let slot = self.slot_one(reference)?;
        let active = slot.active.lock();
        if self.version.load(Ordering::Acquire) == Version::One.number() {
            return Some(LockedEntry { active, shared: slot.shared });
        }
        drop(active);
        self.lock_slowly(reference)
    }

    #[cold]
    #[inline(never)]
    fn lock_slowly(&self, reference: GrantRef) -> Option<LockedEntry<'_>> {
        loop {
            let version = self.version();
            let slot = self.slot(reference, version)?;
            let active = slot.active.lock();
            if self.version.load(Ordering::Acquire) == version.number() {
                return Some(LockedEntry { active, shared: slot.shared });
            }
        }
    }

    fn slot(&self, reference: GrantRef, version: Version) -> Option<Slot<'_>> {
        match version {
            Version::One => self.slot_one(reference),
            Version::Two => self.slot_two(reference),
        }
    }

    #[inline]
    fn slot_one(&self, reference: GrantRef) -> Option<Slot<'_>> {
        let frame = self.frames.get((reference.0 / ENTRIES_PER_FRAME) as usize)?;
        let index = (reference.0 % ENTRIES_PER_FRAME) as usize;
        let words = frame.page.words();
        let shared = SharedWords::One(Words { head: words.get(2 * index)?, frame: words.get(2 * index + 1)? });
        Some(Slot { shared, active: frame.active.get(index)? })
    }

    fn slot_two(&self, reference: GrantRef) -> Option<Slot<'_>> {
        let number = reference.0 / V2_ENTRIES_PER_FRAME;
        let frame = self.frames.get(number as usize)?;
        let index = (reference.0 % V2_ENTRIES_PER_FRAME) as usize;
        let status_page = self.status.get((number / FRAMES_PER_STATUS_FRAME) as usize)?;
        let within = reference.0 % (FRAMES_PER_STATUS_FRAME * V2_ENTRIES_PER_FRAME);
        let status = Status::at(status_page.words(), within as usize)?;
        let words = WordsV2::at(frame.page.words(), index, status)?;
        let shared = SharedWords::Two(words, PartCell(frame.parts.get(index)?));
        Some(Slot { shared, active: frame.active.get(index)? })
    }

    /// The shared words of an entry at this moment ({flags, domid}, frame), for audits and the debug key.
    pub fn shared_words(&self, reference: GrantRef) -> Option<(u32, u32)> {
        match self.slot(reference, self.version())?.shared {
            SharedWords::One(words) => Some((words.head.load(Ordering::Acquire), words.frame.load(Ordering::Acquire))),
            SharedWords::Two(words, _) => Some((words.head(), words.frame().0 as u32)),
        }
    }

    /// The status word of a version 2 entry at this moment, for audits.
    pub fn status_word(&self, reference: GrantRef) -> Option<EntryFlags> {
        match self.slot(reference, self.version())?.shared {
            SharedWords::One(_) => None,
            SharedWords::Two(words, _) => Some(words.status.read()),
        }
    }

    /// Grants `frame` to `grantee` in the owner's name, before the owner runs: the console and xenstore pages that a
    /// domain builder offers in the first entries. Answers whether the entry exists.
    pub fn seed(&self, reference: GrantRef, grantee: DomainId, frame: u32) -> bool {
        let Some(entry) = self.lock(reference) else {
            return false;
        };
        let offer = head(EntryFlags::PERMIT_ACCESS, grantee);
        match entry.shared {
            SharedWords::One(words) => words.write(offer, frame),
            SharedWords::Two(words, _) => words.write(offer, frame.into()),
        }
        true
    }

    /// Commits an `accept_transfer` entry of `from` and answers the frame slot it names; nothing if it is none.
    pub(crate) fn commit_transfer(&self, reference: GrantRef, from: DomainId) -> Option<abi::Gfn> {
        match self.lock(reference)?.shared {
            SharedWords::One(words) => words.commit_transfer(from),
            SharedWords::Two(words, _) => words.commit_transfer(from),
        }
    }

    /// Tells the receiver which machine frame it got.
    pub(crate) fn complete_transfer(&self, reference: GrantRef, frame: Mfn) {
        match self.lock(reference).map(|entry| entry.shared) {
            Some(SharedWords::One(words)) => words.complete_transfer(frame),
            Some(SharedWords::Two(words, _)) => words.complete_transfer(frame),
            None => {}
        }
    }

    /// Exchanges two entries of the owner's (`swap_grant_ref`).
    /// Errors: `BAD_GNTREF` for one out of range, `EAGAIN` while one is in use.
    pub fn swap(&self, first: GrantRef, second: GrantRef) -> Result<(), GrantStatus> {
        loop {
            let version = self.version();
            let low = self.slot(first.min(second), version).ok_or(GrantStatus::BAD_GNTREF)?;
            let high = self.slot(first.max(second), version).ok_or(GrantStatus::BAD_GNTREF)?;
            if first == second {
                return Ok(());
            }
            // Two locks of a level: the lower reference first.
            let low_active = low.active.lock();
            let high_active = high.active.lock_second(&low_active);
            if self.version.load(Ordering::Acquire) != version.number() {
                continue;
            }
            if !low_active.pins.is_empty() || !high_active.pins.is_empty() {
                return Err(GrantStatus::EAGAIN);
            }
            match (low.shared, high.shared) {
                (SharedWords::One(low), SharedWords::One(high)) => low.swap(high),
                (SharedWords::Two(low, _), SharedWords::Two(high, _)) => low.swap(high),
                _ => continue,
            }
            return Ok(());
        }
    }
}
