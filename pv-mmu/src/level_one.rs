//! Level-1 tables: what their entries hold, and how one is replaced.
//!
//! A present entry that maps RAM holds a general reference, and a writable one a writable type reference too; an entry
//! that maps I/O memory holds nothing. The entry itself says which, so that whoever exchanges an entry for another
//! releases exactly what the old one held, without a lock.
//! Source of the refusals: the interface as documented in Xen's `xen.h` (MMU update) and observed on Xen 4.17.

use abi::{DomainId, Errno, Mfn, Result};

use crate::{
    edit::EditMode,
    entry::Entry,
    frame::FrameInfo,
    host::{IoAccess, MmuHost, PageTable, TABLE_ENTRIES},
    reference::ReferenceWord,
    sync::{AcqRel, AtomicU64, Relaxed},
    type_word::FrameType,
    types::{get_type, put_page, put_type, unused},
};

/// What holds for all level-1 entries of one call: made once, used for each entry.
#[derive(Clone, Copy, Debug)]
pub struct EntryRules {
    /// The domain whose table the entry is in.
    pub table_owner: DomainId,
    /// The domain whose frames may be mapped; [`DomainId::IO`] for none but I/O memory.
    pub frame_owner: DomainId,
    /// Entry bits that are refused.
    forbidden: u64,
}

/// The frame number with all address bits set, which guests use as "no frame".
const ALL_ONES: Mfn = Mfn(Entry::ADDRESS >> 12);

impl EntryRules {
    /// Rules for tables of `table_owner` that map frames of `frame_owner`.
    #[inline(always)]
    pub fn new<H: MmuHost>(host: &H, table_owner: DomainId, frame_owner: DomainId) -> Self {
        let forbidden = if host.may_set_memory_types(table_owner) { 0 } else { Entry::CACHE };
        Self { table_owner, frame_owner, forbidden }
    }
}

/// Takes what a present entry needs. Returns the entry as it may stand (I/O memory: writable bit or memory type may
/// differ). Errors: `EINVAL` bits, `EBUSY` frame of another domain or used otherwise, `EPERM` I/O memory, `EACCES`
/// hypervisor page with a memory type.
#[inline(always)]
pub(crate) fn acquire<H: MmuHost>(host: &H, rules: &EntryRules, entry: Entry) -> Result<Entry> {
    if entry.0 & rules.forbidden != 0 {
        return Err(Errno::EINVAL);
    }
    if let Some(frame) = host.frames().get(entry.mfn())
        && let Some(word) = frame.try_get_reference_once(rules.frame_owner)
    {
        if entry.0 & Entry::WRITABLE != 0 && !frame.try_get_type_once(FrameType::Writable) {
            acquire_writable(host, frame, entry)?;
        }
        if (word.flag_bits() | entry.0) & Entry::CACHE != 0 {
            choose_memory_type(host, frame, word, entry)?;
        }
        return Ok(entry);
    }
    acquire_slowly(host, rules, entry)
}

/// After another CPU was in the way of the short path, or for frames that are not the owner's.
#[cold]
#[inline(never)]
fn acquire_slowly<H: MmuHost>(host: &H, rules: &EntryRules, entry: Entry) -> Result<Entry> {
    let Some(frame) = host.frames().get(entry.mfn()) else { return acquire_io(host, rules, entry) };
    let Some(word) = frame.try_get_reference(rules.frame_owner) else {
        return if is_io(frame) { acquire_io(host, rules, entry) } else { Err(Errno::EBUSY) };
    };
    if entry.0 & Entry::WRITABLE != 0 {
        acquire_writable(host, frame, entry)?;
    }
    if (word.flag_bits() | entry.0) & Entry::CACHE != 0 {
        choose_memory_type(host, frame, word, entry)?;
    }
    Ok(entry)
}

/// The writable type reference of an entry, by the long way. On error its general reference is given back.
#[inline(never)]
fn acquire_writable<H: MmuHost>(host: &H, frame: &FrameInfo, entry: Entry) -> Result<()> {
    get_type(host, entry.mfn(), frame, FrameType::Writable).map_err(|_| {
        put_page(host, entry.mfn(), frame);
        Errno::EBUSY
    })
}

#[inline(always)]
fn is_io(frame: &FrameInfo) -> bool {
    frame.reference().owner() == DomainId::IO
}

#[cold]
#[inline(never)]
fn acquire_io<H: MmuHost>(host: &H, rules: &EntryRules, entry: Entry) -> Result<Entry> {
    let mfn = entry.mfn();
    // DOMID_IO stands for I/O memory with the rights of the domain whose table it is.
    let owner = if rules.frame_owner == DomainId::IO { rules.table_owner } else { rules.frame_owner };
    let mut access = host.io_access(owner, mfn);
    if owner != rules.table_owner && host.io_access(rules.table_owner, mfn) == IoAccess::Denied {
        access = IoAccess::Denied;
    }
    let mut stored = entry.0;
    match access {
        IoAccess::Denied if mfn == ALL_ONES => return Err(Errno::EINVAL),
        IoAccess::Denied => return Err(Errno::EPERM),
        IoAccess::ReadOnly => stored &= !Entry::WRITABLE,
        IoAccess::ReadWrite => {}
    }
    const WRITE_PROTECTED: u64 = Entry::PAT | Entry::WRITE_THROUGH;
    if matches!(entry.0 & Entry::CACHE, 0 | Entry::WRITE_THROUGH | WRITE_PROTECTED)
        && !host.relaxes_io_caching(rules.table_owner)
    {
        stored = stored & !Entry::CACHE | Entry::UNCACHED;
    }
    Ok(Entry(stored))
}

/// Brings the frame's memory type in line with the entry's. On error the entry's references are given back.
#[cold]
#[inline(never)]
fn choose_memory_type<H: MmuHost>(host: &H, frame: &FrameInfo, word: ReferenceWord, entry: Entry) -> Result<()> {
    let (mfn, bits) = (entry.mfn(), entry.0 & Entry::CACHE);
    let outcome = if word.is_xen_heap() && bits != 0 {
        Err(Errno::EACCES)
    } else if frame.set_cache_bits(bits) == bits {
        Ok(())
    } else {
        host.set_cache_attribute(mfn, bits).inspect_err(|_| {
            frame.set_cache_bits(word.cache_bits());
        })
    };
    let past_caches = bits & Entry::CACHE_DISABLE != 0 || bits == Entry::PAT;
    if past_caches && entry.is_writable() {
        frame.mark_non_coherent();
    }
    if outcome.is_err() {
        release(host, entry);
    }
    outcome
}

/// Gives back what an entry held.
#[inline(always)]
pub(crate) fn release<H: MmuHost>(host: &H, entry: Entry) {
    if !entry.is_present() {
        return;
    }
    let mfn = entry.mfn();
    let Some(frame) = host.frames().get(mfn) else { return };
    if is_io(frame) {
        return;
    }
    if entry.0 & Entry::WRITABLE != 0 {
        put_type(host, mfn, frame);
    } else if frame.type_word().frame_type_is_segment() {
        segment_unmapped(host, mfn, frame);
    }
    put_page(host, mfn, frame);
}

#[cold]
#[inline(never)]
fn segment_unmapped<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo) {
    if frame.type_word().count() != 0 {
        host.descriptor_page_unmapped(mfn, frame.reference().owner());
    }
}

/// Replaces an entry of a level-1 table on which the caller holds a type reference. Errors: as [`acquire`]; the entry
/// is then unchanged.
#[inline(always)]
pub(crate) fn edit<H: MmuHost>(
    host: &H,
    rules: &EntryRules,
    cell: &AtomicU64,
    new: Entry,
    mode: EditMode,
) -> Result<()> {
    let mut stored = new;
    if new.is_present() {
        if new.0 & rules.forbidden == 0 {
            let mut old = cell.load(Relaxed);
            while Entry(old).is_similar(new) {
                let kept = mode.carry(Entry(old), new.adjusted_level_one());
                match cell.compare_exchange(old, kept.0, AcqRel, Relaxed) {
                    Ok(_) => return Ok(()),
                    Err(now) => old = now,
                }
            }
        }
        stored = acquire(host, rules, new)?.adjusted_level_one();
    }
    release(host, exchange(cell, stored, mode));
    Ok(())
}

/// Replaces an entry only if it still is `old`. False, and nothing changed, if it is not. Errors: as [`acquire`].
pub(crate) fn edit_exact<H: MmuHost>(
    host: &H,
    rules: &EntryRules,
    cell: &AtomicU64,
    old: Entry,
    new: Entry,
) -> Result<bool> {
    let new = if new.is_present() { acquire(host, rules, new)?.adjusted_level_one() } else { new };
    let done = cell.compare_exchange(old.0, new.0, AcqRel, Relaxed).is_ok();
    release(host, if done { old } else { new });
    Ok(done)
}

/// Exchanges a cell's contents without regard to references; the old entry.
#[inline]
pub(crate) fn exchange(cell: &AtomicU64, new: Entry, mode: EditMode) -> Entry {
    if mode == EditMode::Replace {
        return Entry(cell.swap(new.0, AcqRel));
    }
    let mut old = cell.load(Relaxed);
    loop {
        match cell.compare_exchange(old, mode.carry(Entry(old), new).0, AcqRel, Relaxed) {
            Ok(_) => return Entry(old),
            Err(now) => old = now,
        }
    }
}

/// Takes the references of all entries of a busy frame. Errors: those of [`acquire`]; the frame is unused then.
pub(crate) fn validate<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo) -> Result<()> {
    let owner = frame.reference().owner();
    let rules = EntryRules::new(host, owner, owner);
    let table = host.table(mfn);
    for (slot, cell) in table.iter().enumerate() {
        let entry = Entry(cell.load(Relaxed));
        if !entry.is_present() {
            continue;
        }
        match acquire(host, &rules, entry) {
            Ok(stored) => {
                let stored = stored.adjusted_level_one();
                if stored != entry {
                    cell.store(stored.0, Relaxed);
                }
            }
            Err(errno) => {
                release_first(host, &table, slot);
                unused(host, frame, FrameType::L1);
                return Err(errno);
            }
        }
    }
    Ok(())
}

/// Gives back the references of all entries of a busy table; it is unused then. Bounded by 512 entries.
pub(crate) fn devalidate<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo) {
    release_first(host, &host.table(mfn), TABLE_ENTRIES);
    unused(host, frame, FrameType::L1);
}

#[inline]
fn release_first<H: MmuHost>(host: &H, table: &PageTable, count: usize) {
    for cell in table.iter().take(count) {
        release(host, Entry(cell.load(Relaxed)));
    }
}
