//! Dom0's first page tables: filled by the builder, then validated and pinned like any guest's.
//!
//! The initial region is mapped writable by 4 KiB pages, its page tables read-only; so is a p2m list with a place of its
//! own. Source: reference inventory §3.2; entry bits as a guest of Xen's finds them.

use core::sync::atomic::Ordering::Relaxed;

use abi::{DomainId, Mfn};
use guest_image::{InitialLayout, Table};
use pv_mmu::{Entry, FrameType, Stop, acquire_root, pin};

use super::{Dom0Error, placement::Placement};
use crate::memory::{
    mmu::{Machine, show_machine_to_physical},
    window,
};

/// Bits of a read-only page. No dirty bit: writable and dirty go together.
const READ_ONLY: u64 = Entry::PRESENT | Entry::USER | Entry::ACCESSED | Entry::GUEST_KERNEL;
/// Bits of a writable page.
const WRITABLE: u64 = READ_ONLY | Entry::WRITABLE | Entry::DIRTY;
/// Bits of an entry that names a table.
const TABLE: u64 = Entry::PRESENT | Entry::WRITABLE | Entry::USER | Entry::ACCESSED | Entry::DIRTY;

/// Writes all tables; returns the top one. They lie in frames that hold zeros.
pub fn fill(layout: &InitialLayout, placement: &Placement) -> Result<Mfn, Dom0Error> {
    for table in layout.all_tables() {
        let words = window::words(placement.mfn(table.pfn)?);
        for (slot, word) in (0_u64..).zip(words) {
            if let Some(value) = entry(layout, placement, &table, slot)? {
                word.store(value, Relaxed);
            }
        }
    }
    placement.mfn(layout.tables.first_pfn)
}

/// What stands in a slot of a table.
fn entry(layout: &InitialLayout, placement: &Placement, table: &Table, slot: u64) -> Result<Option<u64>, Dom0Error> {
    let address = canonical(table.base + (slot << (3 + 9 * table.level)));
    let (pfn, rights) = if table.level > 1 {
        let Some(pfn) = layout.table_of(table.level - 1, address) else { return Ok(None) };
        (pfn, TABLE)
    } else {
        let Some(page) = page(layout, address) else { return Ok(None) };
        page
    };
    Ok(Some(placement.mfn(pfn)?.address().0 | rights))
}

/// The frame at an address and the rights to it.
fn page(layout: &InitialLayout, address: u64) -> Option<(u64, u64)> {
    let tables = layout.tables.first_pfn..layout.tables.first_pfn + layout.tables.count;
    if (layout.virt_start..layout.virt_end).contains(&address) {
        let pfn = (address - layout.virt_start) >> 12;
        return Some((pfn, if tables.contains(&pfn) { READ_ONLY } else { WRITABLE }));
    }
    let offset = address.checked_sub(layout.p2m.address)? >> 12;
    (offset < layout.p2m.pages.count).then_some((layout.p2m.pages.first + offset, WRITABLE))
}

/// Bit 47 copied into all higher bits.
const fn canonical(address: u64) -> u64 {
    (((address << 16) as i64) >> 16) as u64
}

/// Validates the tables under `root`, takes the references with which vCPU 0 runs on it, and pins it.
pub fn adopt(root: Mfn, owner: DomainId) -> Result<(), Dom0Error> {
    finish(root, || acquire_root(&Machine, root, owner))?;
    show_machine_to_physical(root);
    finish(root, || pin(&Machine, root, owner, FrameType::L4))
}

/// Repeats what other work of this CPU may interrupt.
fn finish(root: Mfn, mut step: impl FnMut() -> Result<(), Stop>) -> Result<(), Dom0Error> {
    loop {
        match step() {
            Ok(()) => return Ok(()),
            Err(Stop::Preempted) => {}
            Err(Stop::Errno(errno)) => return Err(Dom0Error::Tables(root, errno)),
        }
    }
}
