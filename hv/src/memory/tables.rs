//! The hypervisor's own page tables: slots 256 to 271, shared by every address space.
//!
//! Level-3 tables of all slots in use exist before the first guest and never change, so copying 16 entries into a guest's
//! top-level table is all that a new address space takes. No lock: every entry is written by one atomic step, and of a
//! table that two CPUs make at once one copy is kept. A table that was linked stays for good ([`Table`]).

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire},
};

use abi::{Errno, Mfn, Result};
use frame_allocator::Order;

use super::{entry, window};

/// How much one entry maps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// 4 KiB.
    Page,
    /// 2 MiB.
    Large,
}

impl Size {
    /// Bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Size::Page => 1 << 12,
            Size::Large => 1 << 21,
        }
    }

    /// The same, as the frame allocator says it.
    pub const fn order(self) -> Order {
        match self {
            Size::Page => Order(0),
            Size::Large => Order(9),
        }
    }
}

/// Where new table frames come from; frames arrive zeroed.
pub type FrameSource<'a> = &'a mut dyn FnMut() -> Result<Mfn>;

/// A table that is linked, which nothing takes away: a CPU on its way down never finds a freed one (XSA-345). Only this
/// module makes one, from the root or from an entry that it saw or wrote, and its frame cannot be had back from it.
#[derive(Clone, Copy)]
struct Table(Mfn);

impl Table {
    /// The entry for an address, seen as a table of `level`. Errors: `EINVAL`.
    fn slot(self, address: u64, level: u32) -> Result<&'static AtomicU64> {
        window::words(self.0).get(index(address, level)).ok_or(Errno::EINVAL)
    }

    /// The table that an entry links, if it does.
    fn linked(value: u64) -> Option<Self> {
        (value & entry::PRESENT != 0 && value & entry::LARGE == 0).then(|| Table(entry::frame(value)))
    }
}

/// Index into the table of `level` (1 to 4) for an address.
const fn index(address: u64, level: u32) -> usize {
    ((address >> (12 + 9 * (level - 1))) & 511) as usize
}

/// Maps one page at `address`, making tables on the way. Errors: `ENOMEM`; `EEXIST` when something is mapped there.
pub fn map(root: Mfn, address: u64, target: u64, size: Size, rights: u64, frames: FrameSource<'_>) -> Result<()> {
    let leaf_level = if size == Size::Large { 2 } else { 1 };
    let mut table = Table(root);
    for level in (leaf_level + 1..=4).rev() {
        table = descend(table, address, level, frames)?;
    }
    let large = if size == Size::Large { entry::LARGE } else { 0 };
    let slot = table.slot(address, leaf_level)?;
    slot.compare_exchange(0, target | rights | large, AcqRel, Acquire).map_err(|_| Errno::EEXIST)?;
    Ok(())
}

/// Makes sure that every table above level 1 for `address` exists.
pub fn prepare(root: Mfn, address: u64, frames: FrameSource<'_>) -> Result<()> {
    let mut table = Table(root);
    for level in (3..=4).rev() {
        table = descend(table, address, level, frames)?;
    }
    Ok(())
}

fn descend(table: Table, address: u64, level: u32, frames: FrameSource<'_>) -> Result<Table> {
    let slot = table.slot(address, level)?;
    let present = slot.load(Acquire);
    if present & entry::PRESENT != 0 {
        return Table::linked(present).ok_or(Errno::EEXIST);
    }
    let fresh = frames()?;
    let linked = fresh.address().0 | entry::TABLE;
    match slot.compare_exchange(present, linked, AcqRel, Acquire) {
        Ok(_) => Ok(Table(fresh)),
        // Another CPU made the table meanwhile; the spare one, which was never linked, goes back.
        Err(now) => {
            super::physical::free(fresh, Order(0));
            Table::linked(now).ok_or(Errno::EEXIST)
        }
    }
}

/// The leaf entry that maps `address`, if any.
pub fn lookup(root: Mfn, address: u64) -> Option<u64> {
    let mut table = Table(root);
    for level in (1..=4).rev() {
        let value = table.slot(address, level).ok()?.load(Acquire);
        if value & entry::PRESENT == 0 {
            return None;
        }
        if level == 1 || value & entry::LARGE != 0 {
            return Some(value);
        }
        table = Table::linked(value)?;
    }
    None
}

/// Takes the mapping of one page out and returns its entry; nothing when there is none, or a table in its place. The caller
/// owes the TLB flush.
#[must_use = "the translation may still be cached: flush before the frame is used again"]
pub fn unmap(root: Mfn, address: u64, size: Size) -> Option<u64> {
    let leaf_level = if size == Size::Large { 2 } else { 1 };
    let mut table = Table(root);
    for level in (leaf_level + 1..=4).rev() {
        table = Table::linked(table.slot(address, level).ok()?.load(Acquire))?;
    }
    let is_page = |old: u64| old & entry::PRESENT != 0 && (size == Size::Page || old & entry::LARGE != 0);
    let take = |old: u64| is_page(old).then_some(0);
    table.slot(address, leaf_level).ok()?.fetch_update(AcqRel, Acquire, take).ok()
}
