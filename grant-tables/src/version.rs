//! The version of a table, and changing it (`set_version`).
//!
//! A change goes: status pages are made; the version is marked as changing, so that nobody uses an entry any more; every
//! entry's lock is taken once, so that nobody still does, and none but the first few may be in use; those are rewritten,
//! all others cleared; the new version is published. Who meets the mark waits for the table's lock, which the changer
//! holds. The work is bounded by the table's limit and not preempted: no other domain should find a table that is half
//! one and half the other for as long as its owner is kept from running.

use abi::{
    DomainId, Errno,
    grant_table::{EntryFlags, RESERVED_ENTRIES},
};

use crate::{
    entry::head,
    entry_v2::{IN_USE, Status, WordsV2},
    host::{SharedPage, TableMemory},
    sync::{AtomicU32, Ordering},
    table::{ENTRIES_PER_FRAME, GrantTable, V2_ENTRIES_PER_FRAME, status_frames_for},
};

/// In place of a version's number while it changes.
pub(crate) const CHANGING: u32 = 0;
/// First entries, which a change keeps; fewer under loom, whose pages are small.
pub(crate) const KEPT: u32 = if cfg!(loom) { 1 } else { RESERVED_ENTRIES };

/// A version of the shared entries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum Version {
    /// 8-byte entries that hold their in-use bits.
    #[default]
    One,
    /// 16-byte entries with 64-bit frame numbers and parts of pages; the in-use bits are in pages of their own.
    Two,
}

impl Version {
    /// Its number in the interface.
    #[inline]
    pub const fn number(self) -> u32 {
        match self {
            Version::One => 1,
            Version::Two => 2,
        }
    }

    /// The version of a number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Version::One),
            2 => Some(Version::Two),
            _ => None,
        }
    }

    /// Entries in a page.
    pub(crate) const fn entries_per_frame(self) -> u32 {
        match self {
            Version::One => ENTRIES_PER_FRAME,
            Version::Two => V2_ENTRIES_PER_FRAME,
        }
    }
}

/// The mark; dropping it puts the old version back, or the new one once it is in place.
struct Change<'a> {
    version: &'a AtomicU32,
    to: Version,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.version.store(self.to.number(), Ordering::Release);
    }
}

/// What an entry that survives a change says, in terms of neither version.
#[derive(Clone, Copy, Default)]
struct Kept {
    flags: EntryFlags,
    domain: DomainId,
    frame: u64,
}

impl Kept {
    const fn split(head: u32) -> (EntryFlags, DomainId) {
        (EntryFlags(head as u16), DomainId((head >> u16::BITS) as u16))
    }

    /// As version 1 holds it. Errors: `ERANGE` for what version 1 cannot say.
    fn from_v2(words: WordsV2<'_>) -> Result<Self, Errno> {
        let (flags, domain) = Self::split(words.head());
        let frame = words.frame().0;
        match EntryFlags(flags.0 & EntryFlags::TYPE_MASK.0) {
            EntryFlags::PERMIT_ACCESS if frame > u64::from(u32::MAX) => Err(Errno::ERANGE),
            EntryFlags::PERMIT_ACCESS => Ok(Kept { flags: flags.with(words.status.read()), domain, frame }),
            EntryFlags::TRANSITIVE => Err(Errno::ERANGE),
            _ => Ok(Kept::default()),
        }
    }
}

impl<P: SharedPage> GrantTable<P> {
    /// The version in force; waits while it changes.
    #[inline]
    pub fn version(&self) -> Version {
        loop {
            if let Some(version) = Version::from_number(self.version.load(Ordering::Acquire)) {
                return version;
            }
            drop(self.growth.lock());
        }
    }

    /// Changes the version. Context: no lock is held; `self` is the caller's own table.
    ///
    /// Errors: `ENOSYS` beyond the table's limit, `ENOMEM` for status pages, `EBUSY` an entry in use other than the
    /// first 8, or a status page that the guest still maps, `ERANGE` one of those 8 that version 1 cannot hold.
    pub fn set_version(&self, wanted: Version, memory: &impl TableMemory<Page = P>) -> Result<(), Errno> {
        if wanted > self.limits().version {
            return Err(Errno::ENOSYS);
        }
        let _growing = self.growth.lock();
        let Some(now) = Version::from_number(self.version.load(Ordering::Acquire)).filter(|now| *now != wanted) else {
            return Ok(());
        };
        if wanted == Version::Two {
            self.make_status_frames(status_frames_for(self.frame_count()), memory).map_err(|_| Errno::ENOMEM)?;
        }
        self.version.store(CHANGING, Ordering::Release);
        let mut change = Change { version: &self.version, to: now };
        self.wait_for_users()?;
        match wanted {
            Version::One => self.leave_two()?,
            Version::Two => self.leave_one(),
        }
        change.to = wanted;
        Ok(())
    }

    /// Takes and leaves every entry's lock: operations from before the mark are over then. Errors: `EBUSY`.
    fn wait_for_users(&self) -> Result<(), Errno> {
        for number in 0..self.frame_count() {
            let Some(frame) = self.frames.get(number as usize) else { continue };
            let kept = if number == 0 { KEPT as usize } else { 0 };
            for (index, active) in frame.active.iter().enumerate() {
                if !active.lock().pins.is_empty() && index >= kept {
                    return Err(Errno::EBUSY);
                }
            }
        }
        Ok(())
    }

    fn leave_one(&self) {
        let mut kept = [Kept::default(); KEPT as usize];
        if let Some(frame) = self.frames.get(0) {
            let (entries, _) = frame.page.words().as_chunks::<2>();
            for (kept, [head, frame]) in kept.iter_mut().zip(entries) {
                let (flags, domain) = Kept::split(head.load(Ordering::Acquire));
                *kept = Kept { flags, domain, frame: frame.load(Ordering::Acquire).into() };
            }
        }
        self.clear_pages();
        for index in 0..status_frames_for(self.frame_count()) {
            self.status.get(index as usize).into_iter().for_each(clear);
        }
        for (index, Kept { flags, domain, frame }) in kept.into_iter().enumerate() {
            if let Some(words) = self.kept_words(index) {
                words.status.write(EntryFlags(flags.0 & IN_USE.0));
                words.write(head(EntryFlags(flags.0 & !IN_USE.0), domain), frame);
            }
        }
    }

    fn leave_two(&self) -> Result<(), Errno> {
        let mut kept = [Kept::default(); KEPT as usize];
        for (index, kept) in kept.iter_mut().enumerate() {
            if let Some(words) = self.kept_words(index) {
                *kept = Kept::from_v2(words)?;
            }
        }
        let shown = status_frames_for(self.frame_count());
        if (0..shown).filter_map(|index| self.status.get(index as usize)).any(SharedPage::is_mapped) {
            return Err(Errno::EBUSY);
        }
        self.clear_pages();
        if let Some(frame) = self.frames.get(0) {
            let (entries, _) = frame.page.words().as_chunks::<2>();
            for (kept, [first, second]) in kept.iter().zip(entries) {
                second.store(kept.frame as u32, Ordering::Relaxed);
                first.store(head(kept.flags, kept.domain), Ordering::Release);
            }
        }
        Ok(())
    }

    fn kept_words(&self, index: usize) -> Option<WordsV2<'_>> {
        let status = Status::at(self.status.get(0)?.words(), index)?;
        WordsV2::at(self.frames.get(0)?.page.words(), index, status)
    }

    fn clear_pages(&self) {
        for number in 0..self.frame_count() {
            self.frames.get(number as usize).map(|frame| &frame.page).into_iter().for_each(clear);
        }
    }
}

fn clear(page: &impl SharedPage) {
    page.words().iter().for_each(|word| word.store(0, Ordering::Release));
}
