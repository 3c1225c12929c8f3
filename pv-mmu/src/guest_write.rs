//! Writable page tables: a guest kernel's write to a level-1 table that it maps read-only, done for it.
//!
//! The caller has decoded the faulting instruction: one aligned write or compare-and-exchange of 1, 2, 4 or 8 bytes.
//! Source: Xen public header `xen.h` (`VMASST_TYPE_writable_pagetables`).

use abi::{DomainId, GuestVirtual, Mfn};

use crate::{
    edit::OpenFrame,
    entry::Entry,
    host::MmuHost,
    level_one::{self, EntryRules},
    sync::Relaxed,
    type_word::FrameType,
    walk::guest_entry,
};

/// What the instruction does. Values count from bit 0, bits beyond the size are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuestWrite {
    /// Stores the value.
    Store(u64),
    /// Stores `new` if `expected` is there.
    CompareExchange {
        /// What the guest expects.
        expected: u64,
        /// What it wants there.
        new: u64,
    },
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteOutcome {
    /// Done; the instruction is complete. The value is what stood there before.
    Done(u64),
    /// Compare-and-exchange found this instead; the instruction is complete.
    Mismatch(u64),
    /// Not a write to a level-1 table of the guest's own, or an entry that is refused: the guest gets its page fault.
    NotHandled,
}

/// Whether a write fault at `address` can be a write to a level-1 table: worth decoding the instruction for.
pub fn is_table_write_fault<H: MmuHost>(host: &H, domain: DomainId, root: Mfn, address: GuestVirtual) -> bool {
    table_behind(host, domain, root, address).is_some()
}

fn table_behind<H: MmuHost>(host: &H, domain: DomainId, root: Mfn, address: GuestVirtual) -> Option<Mfn> {
    let entry = guest_entry(host, root, address)?;
    let frame = host.frames().get(entry.mfn())?;
    let word = frame.type_word();
    let is_table = word.frame_type() == FrameType::L1 && word.count() != 0 && word.is_validated();
    (is_table && !entry.is_writable() && frame.reference().owner() == domain).then_some(entry.mfn())
}

/// Applies a write of `size` bytes at `address`, translated under `root`, as an update of a level-1 entry of `domain`.
pub fn apply_guest_write<H: MmuHost>(
    host: &H,
    domain: DomainId,
    root: Mfn,
    address: GuestVirtual,
    size: usize,
    write: GuestWrite,
) -> WriteOutcome {
    let offset = address.0 as usize & 7;
    if !matches!(size, 1 | 2 | 4 | 8) || !offset.is_multiple_of(size) {
        return WriteOutcome::NotHandled;
    }
    let Some(mfn) = table_behind(host, domain, root, address) else { return WriteOutcome::NotHandled };
    let Ok(table) = OpenFrame::open_level_one(host, mfn, domain) else { return WriteOutcome::NotHandled };
    let lane = Lane { shift: 8 * offset as u32, mask: u64::MAX >> (64 - 8 * size as u32) };
    write_lane(&table, domain, (address.0 as usize & 0xFFF) / 8, lane, write)
}

/// The bytes of an entry that an instruction writes.
#[derive(Clone, Copy)]
struct Lane {
    shift: u32,
    mask: u64,
}

impl Lane {
    const fn of(self, entry: Entry) -> u64 {
        (entry.0 >> self.shift) & self.mask
    }

    const fn into(self, entry: Entry, value: u64) -> Entry {
        Entry(entry.0 & !(self.mask << self.shift) | (value & self.mask) << self.shift)
    }
}

fn write_lane<H: MmuHost>(
    table: &OpenFrame<'_, H>,
    domain: DomainId,
    slot: usize,
    lane: Lane,
    write: GuestWrite,
) -> WriteOutcome {
    let rules = EntryRules::new(table.host(), domain, domain);
    let Ok(cell) = table.cell(slot) else { return WriteOutcome::NotHandled };
    loop {
        let old = Entry(cell.load(Relaxed));
        let value = match write {
            GuestWrite::Store(value) => value,
            GuestWrite::CompareExchange { expected, .. } if lane.of(old) != expected & lane.mask => {
                return WriteOutcome::Mismatch(lane.of(old));
            }
            GuestWrite::CompareExchange { new, .. } => new,
        };
        match level_one::edit_exact(table.host(), &rules, cell, old, lane.into(old, value)) {
            Ok(true) => return WriteOutcome::Done(lane.of(old)),
            Ok(false) => {}
            Err(_) => return WriteOutcome::NotHandled,
        }
    }
}
