//! Reading a guest's own tables: which entry translates an address.
//!
//! The walk holds no references; another vCPU may change the tables meanwhile, and then the answer is one that was
//! true of some moment, or a frame that is no level-1 table any more: callers open it and check its type and owner.

use abi::{GuestVirtual, Mfn};

use crate::{
    entry::{Entry, slot_of},
    host::MmuHost,
    sync::Relaxed,
    type_word::FrameType,
};

/// Whether a slot of a level-4 table belongs to the hypervisor.
#[inline]
pub const fn is_hypervisor_slot(slot: usize) -> bool {
    slot.wrapping_sub(256) < 16
}

/// One entry of a table that may be none any more: only frames that were tables last are opened, for an entry of other
/// contents may name a frame number without memory behind it.
#[inline]
fn read<H: MmuHost>(host: &H, table: Mfn, slot: usize) -> Option<Entry> {
    if !host.frames().get(table)?.type_word().is_table() {
        return None;
    }
    let table = host.table(table);
    let entry = Entry(table.get(slot)?.load(Relaxed));
    entry.is_present().then_some(entry)
}

/// The level-1 table that translates `address` in the tables under `root`; `None` for the hypervisor's addresses and
/// where a table is missing.
#[inline]
pub fn walk_to_level_one<H: MmuHost>(host: &H, root: Mfn, address: GuestVirtual) -> Option<Mfn> {
    if !address.is_guest_range(1) {
        return None;
    }
    let level_three = read(host, root, slot_of(address, FrameType::L4))?.mfn();
    let level_two = read(host, level_three, slot_of(address, FrameType::L3))?.mfn();
    Some(read(host, level_two, slot_of(address, FrameType::L2))?.mfn())
}

/// The present level-1 entry that translates `address` in the tables under `root`.
pub fn guest_entry<H: MmuHost>(host: &H, root: Mfn, address: GuestVirtual) -> Option<Entry> {
    read(host, walk_to_level_one(host, root, address)?, slot_of(address, FrameType::L1))
}
