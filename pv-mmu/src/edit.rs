//! Opening a guest's frame for changes of its contents: a page table, whose entries are checked, or any page that is
//! or can be writable, whose words are the guest's own affair.

use abi::{DomainId, Errno, Mfn};

use crate::{
    entry::Entry,
    frame::FrameInfo,
    host::{MmuHost, Stop},
    level_one::{self, EntryRules},
    linear::Container,
    sync::{AcqRel, AtomicU64, Relaxed},
    type_word::FrameType,
    types::{get_page, get_type, put_page, put_page_and_type},
    upper,
    walk::is_hypervisor_slot,
};

/// What happens to the accessed and dirty bits of the entry that is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EditMode {
    /// They go.
    Replace,
    /// They are carried into the new entry, without losing one that the CPU sets meanwhile.
    PreserveAccessedDirty,
}

impl EditMode {
    #[inline]
    pub(crate) const fn carry(self, old: Entry, new: Entry) -> Entry {
        match self {
            EditMode::Replace => new,
            EditMode::PreserveAccessedDirty => Entry(new.0 | old.0 & (Entry::ACCESSED | Entry::DIRTY)),
        }
    }
}

/// A frame held with a general and a type reference, so that it stays what it is while it is changed; both go when
/// this is dropped, which can leave work in [`MmuHost::drops`].
pub struct OpenFrame<'h, H: MmuHost> {
    host: &'h H,
    mfn: Mfn,
    owner: DomainId,
    frame: &'h FrameInfo,
    kind: FrameType,
    contents: H::Table<'h>,
}

impl<H: MmuHost> Drop for OpenFrame<'_, H> {
    #[inline]
    fn drop(&mut self) {
        put_page_and_type(self.host, self.mfn, self.frame);
    }
}

impl<'h, H: MmuHost> OpenFrame<'h, H> {
    /// Opens a frame of `owner` as the page table it is, or else as a writable page. Errors: `EINVAL`.
    #[inline]
    pub fn open(host: &'h H, mfn: Mfn, owner: DomainId) -> abi::Result<Self> {
        let frame = get_page(host, mfn, owner)?;
        let now = frame.type_word().frame_type();
        let kind = if now.is_table() && frame.try_get_type(now) { now } else { FrameType::Writable };
        if kind == FrameType::Writable && get_type(host, mfn, frame, kind).is_err() {
            put_page(host, mfn, frame);
            return Err(Errno::EINVAL);
        }
        Ok(Self { host, mfn, owner, frame, kind, contents: host.table(mfn) })
    }

    /// Opens a frame of `owner` that is a level-1 table in use. Errors: `EINVAL`.
    #[inline(always)]
    pub fn open_level_one(host: &'h H, mfn: Mfn, owner: DomainId) -> abi::Result<Self> {
        let frame = get_page(host, mfn, owner)?;
        if !frame.try_get_type(FrameType::L1) {
            put_page(host, mfn, frame);
            return Err(Errno::EINVAL);
        }
        Ok(Self { host, mfn, owner, frame, kind: FrameType::L1, contents: host.table(mfn) })
    }

    /// Which frame it is.
    #[inline]
    pub fn mfn(&self) -> Mfn {
        self.mfn
    }

    /// The type it was opened as: a table of some level, or writable.
    #[inline]
    pub fn kind(&self) -> FrameType {
        self.kind
    }

    pub(crate) fn host(&self) -> &'h H {
        self.host
    }

    /// The word in `slot`, 0 to 511. Errors: `EINVAL`.
    #[inline]
    pub(crate) fn cell(&self, slot: usize) -> abi::Result<&AtomicU64> {
        self.contents.get(slot).ok_or(Errno::EINVAL)
    }

    /// Stores `value` as the word in `slot`, 0 to 511; in a table it is an entry and must pass. Errors: those of the
    /// entry, `EINVAL` for the hypervisor's slots, `Preempted` (levels 2 and up) with nothing changed.
    #[inline]
    pub fn write(&self, rules: &EntryRules, slot: usize, value: u64, mode: EditMode) -> Result<(), Stop> {
        let cell = self.cell(slot)?;
        match self.kind {
            FrameType::L1 => Ok(level_one::edit(self.host, rules, cell, Entry(value), mode)?),
            FrameType::Writable => {
                cell.store(value, Relaxed);
                Ok(())
            }
            level => self.write_upper(level, slot, Entry(value), mode),
        }
    }

    /// The same for what [`Self::open_level_one`] opened. Errors: those of the entry.
    #[inline(always)]
    pub fn write_level_one(&self, rules: &EntryRules, slot: usize, value: u64, mode: EditMode) -> abi::Result<()> {
        if self.kind != FrameType::L1 {
            return Err(Errno::EINVAL);
        }
        level_one::edit(self.host, rules, self.cell(slot)?, Entry(value), mode)
    }

    #[inline(never)]
    fn write_upper(&self, level: FrameType, slot: usize, new: Entry, mode: EditMode) -> Result<(), Stop> {
        let is_root = level == FrameType::L4;
        if is_root && is_hypervisor_slot(slot) {
            return Err(Stop::Errno(Errno::EINVAL));
        }
        let container = Container { mfn: self.mfn, frame: self.frame, level };
        upper::edit(self.host, self.owner, container, self.cell(slot)?, new, mode)?;
        if is_root {
            self.host.root_entry_changed(self.mfn, slot);
        }
        Ok(())
    }

    /// Exchanges a level-1 entry without taking or giving references. `None` if it is not `old` any more.
    pub(crate) fn exchange_raw(&self, slot: usize, old: Entry, new: Entry) -> Option<Entry> {
        let cell = self.cell(slot).ok()?;
        cell.compare_exchange(old.0, new.0, AcqRel, Relaxed).ok().map(Entry)
    }
}
