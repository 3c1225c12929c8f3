//! The hypervisor's own page tables: slots 256 to 271, shared by every address space.
//!
//! Level-3 tables of all slots in use exist before the first guest and never change, so copying 16 entries into a guest's
//! top-level table is all that a new address space takes. No lock: every entry is written by one atomic step, and of a
//! table that two CPUs make at once one copy is kept.

use core::sync::atomic::Ordering::{AcqRel, Acquire};

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

/// Index into the table of `level` (1 to 4) for an address.
const fn index(address: u64, level: u32) -> usize {
    ((address >> (12 + 9 * (level - 1))) & 511) as usize
}

/// Maps one page at `address`, making tables on the way. Errors: `ENOMEM`; `EEXIST` when something is mapped there.
pub fn map(root: Mfn, address: u64, target: u64, size: Size, rights: u64, frames: FrameSource<'_>) -> Result<()> {
    let leaf_level = if size == Size::Large { 2 } else { 1 };
    let mut table = root;
    for level in (leaf_level + 1..=4).rev() {
        table = descend(table, index(address, level), frames)?;
    }
    let large = if size == Size::Large { entry::LARGE } else { 0 };
    let slot = window::words(table).get(index(address, leaf_level)).ok_or(Errno::EINVAL)?;
    slot.compare_exchange(0, target | rights | large, AcqRel, Acquire).map_err(|_| Errno::EEXIST)?;
    Ok(())
}

/// Makes sure that every table above level 1 for `address` exists.
pub fn prepare(root: Mfn, address: u64, frames: FrameSource<'_>) -> Result<()> {
    let mut table = root;
    for level in (3..=4).rev() {
        table = descend(table, index(address, level), frames)?;
    }
    Ok(())
}

fn descend(table: Mfn, index: usize, frames: FrameSource<'_>) -> Result<Mfn> {
    let slot = window::words(table).get(index).ok_or(Errno::EINVAL)?;
    let present = slot.load(Acquire);
    if present & entry::PRESENT != 0 {
        return if present & entry::LARGE == 0 { Ok(entry::frame(present)) } else { Err(Errno::EEXIST) };
    }
    let fresh = frames()?;
    match slot.compare_exchange(present, fresh.address().0 | entry::TABLE, AcqRel, Acquire) {
        Ok(_) => Ok(fresh),
        // Another CPU made the table meanwhile; the spare one goes back.
        Err(now) => {
            super::physical::free(fresh, Order(0));
            if now & entry::LARGE == 0 { Ok(entry::frame(now)) } else { Err(Errno::EEXIST) }
        }
    }
}

/// The leaf entry that maps `address`, if any.
pub fn lookup(root: Mfn, address: u64) -> Option<u64> {
    let mut table = root;
    for level in (1..=4).rev() {
        let value = window::words(table).get(index(address, level))?.load(Acquire);
        if value & entry::PRESENT == 0 {
            return None;
        }
        if level == 1 || value & entry::LARGE != 0 {
            return Some(value);
        }
        table = entry::frame(value);
    }
    None
}

/// Takes the mapping of one page out and returns its entry. The caller owes the TLB flush.
#[must_use = "the translation may still be cached: flush before the frame is used again"]
pub fn unmap(root: Mfn, address: u64, size: Size) -> Option<u64> {
    let leaf_level = if size == Size::Large { 2 } else { 1 };
    let mut table = root;
    for level in (leaf_level + 1..=4).rev() {
        let value = window::words(table).get(index(address, level))?.load(Acquire);
        if value & entry::PRESENT == 0 || value & entry::LARGE != 0 {
            return None;
        }
        table = entry::frame(value);
    }
    let old = window::words(table).get(index(address, leaf_level))?.swap(0, AcqRel);
    (old & entry::PRESENT != 0).then_some(old)
}
