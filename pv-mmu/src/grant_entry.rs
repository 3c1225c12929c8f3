//! Level-1 entries that the grant table writes and takes back on a guest's behalf.
//!
//! The references of a granted frame belong to the entry while it stands: the caller takes them before
//! `map_grant_*`, which consumes them, and gets them back from `unmap_grant_*`, to be dropped after the TLB flush.
//! A guest that overwrites such an entry itself drops them with it and can never unmap the grant.
//! Source: Xen public header `grant_table.h` (host mappings).

use abi::{DomainId, GuestVirtual, MachineAddress, Mfn};

use crate::{
    edit::{EditMode, OpenFrame},
    entry::{Entry, slot_of},
    host::MmuHost,
    level_one::{exchange, release},
    sync::Relaxed,
    type_word::FrameType,
    walk::walk_to_level_one,
};

/// The entry's place is not one of the guest's level-1 tables, or does not hold what the caller says: `GNTST_general_error`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GrantEntryRefused;

/// The entry for a granted frame. `rights` adds [`Entry::WRITABLE`], [`Entry::USER`] (application mappings),
/// available and memory-type bits.
pub const fn grant_entry(frame: Mfn, rights: u64) -> Entry {
    const BASE: u64 = Entry::PRESENT | Entry::ACCESSED | Entry::DIRTY | Entry::NO_EXECUTE;
    Entry((frame.0 << 12) & Entry::ADDRESS | BASE | rights & !Entry::ADDRESS)
}

type Opened<'h, H> = (OpenFrame<'h, H>, usize);

#[inline(always)]
fn at_va<'h, H: MmuHost>(
    host: &'h H,
    domain: DomainId,
    root: Mfn,
    address: GuestVirtual,
) -> Result<Opened<'h, H>, GrantEntryRefused> {
    let table = walk_to_level_one(host, root, address).ok_or(GrantEntryRefused)?;
    let opened = OpenFrame::open_level_one(host, table, domain).map_err(|_| GrantEntryRefused)?;
    Ok((opened, slot_of(address, FrameType::L1)))
}

#[inline(always)]
fn at_entry<H: MmuHost>(host: &H, domain: DomainId, place: MachineAddress) -> Result<Opened<'_, H>, GrantEntryRefused> {
    if place.0 & 7 != 0 {
        return Err(GrantEntryRefused);
    }
    let opened = OpenFrame::open_level_one(host, place.frame(), domain).map_err(|_| GrantEntryRefused)?;
    Ok((opened, place.page_offset() / 8))
}

#[inline(always)]
fn map<H: MmuHost>((table, slot): Opened<'_, H>, entry: Entry) -> Result<(), GrantEntryRefused> {
    let cell = table.cell(slot).map_err(|_| GrantEntryRefused)?;
    release(table.host(), exchange(cell, entry.adjusted_level_one(), EditMode::Replace));
    Ok(())
}

#[inline(always)]
fn replace<H: MmuHost>((table, slot): Opened<'_, H>, is: Entry, by: Entry) -> Result<(), GrantEntryRefused> {
    const COMPARED: u64 = Entry::ADDRESS | Entry::PRESENT | Entry::WRITABLE;
    let cell = table.cell(slot).map_err(|_| GrantEntryRefused)?;
    loop {
        let now = Entry(cell.load(Relaxed));
        if (now.0 ^ is.0) & COMPARED != 0 {
            return Err(GrantEntryRefused);
        }
        if table.exchange_raw(slot, now, by).is_some() {
            return Ok(());
        }
    }
}

/// Puts `entry` where `address` is translated under `root`; what stood there is released. Errors: no level-1 table of
/// `domain` there; the references stay the caller's.
#[inline(never)]
pub fn map_grant_at_va<H: MmuHost>(
    host: &H,
    domain: DomainId,
    root: Mfn,
    address: GuestVirtual,
    entry: Entry,
) -> Result<(), GrantEntryRefused> {
    map(at_va(host, domain, root, address)?, entry)
}

/// The same for an entry named by its machine address (`GNTMAP_contains_pte`).
pub fn map_grant_at_entry<H: MmuHost>(
    host: &H,
    domain: DomainId,
    place: MachineAddress,
    entry: Entry,
) -> Result<(), GrantEntryRefused> {
    map(at_entry(host, domain, place)?, entry)
}

/// Clears the entry of `address` if it maps what `entry` maps, with the same right to write. The references are the
/// caller's again.
#[inline(never)]
pub fn unmap_grant_at_va<H: MmuHost>(
    host: &H,
    domain: DomainId,
    root: Mfn,
    address: GuestVirtual,
    entry: Entry,
) -> Result<(), GrantEntryRefused> {
    replace(at_va(host, domain, root, address)?, entry, Entry(0))
}

/// The same for an entry named by its machine address.
pub fn unmap_grant_at_entry<H: MmuHost>(
    host: &H,
    domain: DomainId,
    place: MachineAddress,
    entry: Entry,
) -> Result<(), GrantEntryRefused> {
    replace(at_entry(host, domain, place)?, entry, Entry(0))
}

/// `unmap_and_replace`: moves the entry of `source` to `address`, in place of the granted `entry`, and clears
/// `source`. On error the moved entry is put down, not back, as Xen does.
pub fn replace_grant<H: MmuHost>(
    host: &H,
    domain: DomainId,
    root: Mfn,
    address: GuestVirtual,
    entry: Entry,
    source: GuestVirtual,
) -> Result<(), GrantEntryRefused> {
    let (table, slot) = at_va(host, domain, root, source)?;
    let cell = table.cell(slot).map_err(|_| GrantEntryRefused)?;
    let moved = exchange(cell, Entry(0), EditMode::Replace);
    let outcome = at_va(host, domain, root, address).and_then(|place| replace(place, entry, moved));
    if outcome.is_err() {
        release(host, moved);
    }
    outcome
}
