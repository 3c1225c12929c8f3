//! Tables of level 2 to 4: each present entry holds a general and a type reference of the table below, or is a linear one
//! ([`crate::linear`]).
//!
//! Validation takes the entries in ascending order, devalidation gives them back in descending order, so "the first n
//! entries hold references" is the whole state of a preempted one, whichever it was. Slots 256 to 271 of a level-4
//! table are the hypervisor's: skipped here, overwritten before the table is usable.

use abi::{DomainId, Errno, Mfn};

use crate::{
    edit::EditMode,
    entry::Entry,
    frame::FrameInfo,
    host::{MmuHost, Stop},
    level_one::exchange,
    linear::{self, Container},
    sync::{AcqRel, AtomicU64, Relaxed},
    type_word::FrameType,
    types::{get_page, get_type, put_page, put_page_and_type, unused},
    walk::is_hypervisor_slot,
};

/// Takes the references of a present entry in a table. Errors: `EINVAL` bits, no RAM of `owner`, in use otherwise;
/// those of the lower table's contents; `Preempted` with nothing held by the entry.
fn acquire<H: MmuHost>(host: &H, owner: DomainId, container: Container<'_>, entry: Entry) -> Result<(), Stop> {
    if entry.0 & Entry::FORBIDDEN_UPPER != 0 {
        return Err(Stop::Errno(Errno::EINVAL));
    }
    let mfn = entry.mfn();
    let frame = get_page(host, mfn, owner)?;
    let Err(stop) = get_type(host, mfn, frame, container.level.below()) else { return Ok(()) };
    put_page(host, mfn, frame);
    // In use otherwise, perhaps as what this table is itself.
    if stop == Stop::Errno(Errno::EINVAL) { linear::acquire(host, owner, container, entry) } else { Err(stop) }
}

fn release<H: MmuHost>(host: &H, container: Container<'_>, entry: Entry) {
    if entry.is_present()
        && entry.mfn() != container.mfn
        && let Some(frame) = host.frames().get(entry.mfn())
    {
        linear::release(container, frame);
        put_page_and_type(host, entry.mfn(), frame);
    }
}

/// Goes on with a busy table whose first `progress` entries hold references. On any error the table is not busy any
/// more: partial after `Preempted`, and after an errno unused or on its way there through the drop queue.
pub(crate) fn validate<H: MmuHost>(
    host: &H,
    mfn: Mfn,
    frame: &FrameInfo,
    table_type: FrameType,
    progress: usize,
) -> Result<(), Stop> {
    let owner = frame.reference().owner();
    let table = host.table(mfn);
    let container = Container { mfn, frame, level: table_type };
    let mut stepped = false;
    for (slot, cell) in table.iter().enumerate().skip(progress) {
        let entry = Entry(cell.load(Relaxed));
        if !entry.is_present() || (table_type == FrameType::L4 && is_hypervisor_slot(slot)) {
            continue;
        }
        let outcome =
            if stepped && host.out_of_budget() { Err(Stop::Preempted) } else { acquire(host, owner, container, entry) };
        match outcome {
            Ok(()) => {
                let stored = entry.adjusted_upper(table_type);
                if stored != entry {
                    cell.store(stored.0, Relaxed);
                }
                stepped = true;
            }
            Err(Stop::Preempted) => {
                frame.suspend(table_type, slot);
                return outcome;
            }
            Err(Stop::Errno(_)) => {
                devalidate(host, mfn, frame, table_type, slot);
                return outcome;
            }
        }
    }
    if table_type == FrameType::L4 {
        host.fill_hypervisor_slots(mfn, &table, owner);
    }
    Ok(())
}

/// Gives back the references of the first `progress` entries of a busy table; it is unused then, or partial and in
/// the drop queue when the budget ran out. Makes at least one step.
pub(crate) fn devalidate<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo, table_type: FrameType, progress: usize) {
    let table = host.table(mfn);
    let container = Container { mfn, frame, level: table_type };
    let left_over_before = host.drops().len();
    let mut stepped = false;
    for (slot, cell) in table.iter().enumerate().take(progress).rev() {
        let entry = Entry(cell.load(Relaxed));
        if !entry.is_present() || (table_type == FrameType::L4 && is_hypervisor_slot(slot)) {
            continue;
        }
        if stepped && (host.out_of_budget() || host.drops().len() != left_over_before) {
            // The queue's reference first: once partial, the table may be taken over by anybody.
            frame.get_another_reference();
            if !host.drops().push(mfn, table_type) {
                put_page(host, mfn, frame);
            }
            frame.suspend(table_type, slot + 1);
            return;
        }
        release(host, container, entry);
        stepped = true;
    }
    unused(host, frame, table_type);
}

/// Takes over a partial table, if it still is one, and devalidates it.
pub(crate) fn finish_partial<H: MmuHost>(host: &H, mfn: Mfn, frame: &FrameInfo) {
    let word = frame.type_word();
    if frame.take_partial(word) {
        devalidate(host, mfn, frame, word.frame_type(), frame.progress());
        // The partial state's own reference.
        put_page(host, mfn, frame);
    }
}

/// Replaces an entry of a table of `owner`'s on which the caller holds a type reference. Errors: those of [`acquire`];
/// the entry is then unchanged.
pub(crate) fn edit<H: MmuHost>(
    host: &H,
    owner: DomainId,
    container: Container<'_>,
    cell: &AtomicU64,
    new: Entry,
    mode: EditMode,
) -> Result<(), Stop> {
    let stored = new.adjusted_upper(container.level);
    if new.is_present() {
        if new.0 & Entry::FORBIDDEN_UPPER != 0 {
            return Err(Stop::Errno(Errno::EINVAL));
        }
        let mut old = cell.load(Relaxed);
        while Entry(old).is_similar(new) {
            match cell.compare_exchange(old, mode.carry(Entry(old), stored).0, AcqRel, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => old = now,
            }
        }
        acquire(host, owner, container, new)?;
    }
    release(host, container, exchange(cell, stored, mode));
    Ok(())
}
