//! MSI-X tables: finding them in a function's memory, making sure that they are no memory of ours or a guest's, keeping
//! dom0 from writing to them, counting who uses them.
//!
//! Where a table lies is what a device says, so it is checked before anything is written there. Mappings are kept for
//! good and used again when a table comes back to the same place. Lock: that of `platform::pci`; rights have one of a
//! lower level and are asked without it. Source: PCI Local Bus 3.0 §6.8.2.

use abi::{DomainId, Errno, Mfn, Result};
use device_interrupts::{
    bar,
    msix::{Msix, Place},
};
use hypercalls::op::physdev::PciAddress;
use locks::{Level, Lock};
use pv_mmu::IoAccess;

use crate::{
    domain::rights::Rights,
    memory::{device::Registers, frame_table},
    platform::pci::{self, Kind, Pci},
};
use alloc::vec::Vec;

/// Configuration register with the decoders' switches.
const COMMAND: u16 = 0x04;
const DECODES_MEMORY: u32 = 1 << 1;

/// A function's table while it is in use.
pub struct Table {
    /// Whose.
    pub address: PciAddress,
    registers: Registers,
    /// Mapped entries, and one more while it is prepared.
    users: u32,
}

/// A mapping that is kept.
struct Kept {
    physical: u64,
    length: u64,
    registers: Registers,
}

static KEPT: Lock<Vec<Kept>> = Lock::new(Level::PageTable, Vec::new());

/// Bytes in memory: first, and how many.
type Range = (u64, u64);

/// Where a function's table and pending bits are.
struct Found {
    table: Range,
    pending: Option<Range>,
}

/// Errors: `ENODEV` never announced or without MSI-X, `EINVAL` no such entry.
pub fn check_entry(address: PciAddress, index: u32) -> Result<()> {
    let capability = pci::with(|pci| pci.known(address))?.msix.ok_or(Errno::ENODEV)?;
    if index < u32::from(capability.entries) { Ok(()) } else { Err(Errno::EINVAL) }
}

/// The capability of a function that answers in its memory now. Errors: `ENODEV`, `ENXIO`.
pub fn reachable(pci: &mut Pci, address: PciAddress) -> Result<Msix> {
    let function = pci.known(address)?;
    let capability = function.msix.ok_or(Errno::ENODEV)?;
    // A virtual function's decoder is its physical function's.
    if function.kind != Kind::Virtual && pci.read(address, COMMAND, 2) & DECODES_MEMORY == 0 {
        return Err(Errno::ENXIO);
    }
    Ok(capability)
}

fn locate(pci: &mut Pci, address: PciAddress, stated_base: u64) -> Result<Found> {
    let capability = reachable(pci, address)?;
    let is_virtual = pci.known(address)?.kind == Kind::Virtual;
    let view = pci.view(address);
    let base = |place: Place| {
        let own = bar::memory_base(&view, place.bar);
        own.or((is_virtual && stated_base != 0 && place.bar == capability.table.bar).then_some(stated_base))
    };
    let range = |place: Place, length| Some((base(place)?.checked_add(u64::from(place.offset))?, length));
    Ok(Found {
        table: range(capability.table, capability.table_size()).ok_or(Errno::ENXIO)?,
        pending: range(capability.pending, capability.pending_size()),
    })
}

fn frames((first, length): Range) -> core::ops::Range<u64> {
    first >> 12..(first.saturating_add(length)).div_ceil(4096)
}

/// Whether a range is plain device memory: no RAM, and nothing that the hypervisor keeps from everybody.
fn is_device_memory(range: Range, rights: &Rights) -> bool {
    let is_ram =
        |frame| frame_table::frames().get(Mfn(frame)).is_some_and(|info| info.reference().owner() != DomainId::IO);
    frames(range).all(|frame| !is_ram(frame) && rights.memory_access(Mfn(frame)) != IoAccess::Denied)
}

fn registers_at((physical, length): Range) -> Result<Registers> {
    let mut kept = KEPT.lock();
    if let Some(found) = kept.iter().find(|kept| kept.physical == physical && kept.length == length) {
        return Ok(found.registers);
    }
    kept.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    let registers = Registers::map(physical, length)?;
    kept.push(Kept { physical, length, registers });
    Ok(registers)
}

/// Finds, checks, guards and maps a function's table unless that has been done. `stated_base` is what dom0 says of its
/// memory; it counts for virtual functions only. Errors: `ENODEV`, `ENXIO` no memory or not reachable, `EINVAL` it lies
/// where no table can lie, `ENOMEM`.
pub fn open(address: PciAddress, stated_base: u64, rights: &Rights) -> Result<()> {
    let found = pci::with(|pci| {
        reachable(pci, address)?;
        if pci.messages.tables.iter().any(|table| table.address == address) {
            return Ok(None);
        }
        locate(pci, address, stated_base).map(Some)
    })?;
    let Some(found) = found else { return Ok(()) };
    for range in core::iter::once(found.table).chain(found.pending) {
        if !is_device_memory(range, rights) {
            return Err(Errno::EINVAL);
        }
        let frames = frames(range);
        if !rights.make_read_only(Mfn(frames.start), Mfn(frames.end)) {
            return Err(Errno::ENOMEM);
        }
    }
    let registers = registers_at(found.table)?;
    pci::with(|pci| {
        pci.known(address)?;
        pci.messages.tables.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        if !pci.messages.tables.iter().any(|table| table.address == address) {
            pci.messages.tables.push(Table { address, registers, users: 0 });
        }
        Ok(())
    })
}

fn table(pci: &mut Pci, address: PciAddress) -> Option<&mut Table> {
    pci.messages.tables.iter_mut().find(|table| table.address == address)
}

/// One more user of an open table; its registers. Errors: `ENODEV` it was closed meanwhile.
pub fn acquire(pci: &mut Pci, address: PciAddress) -> Result<Registers> {
    let table = table(pci, address).ok_or(Errno::ENODEV)?;
    table.users += 1;
    Ok(table.registers)
}

/// One user less; the last one closes it.
pub fn release(pci: &mut Pci, address: PciAddress) {
    if let Some(table) = table(pci, address) {
        table.users = table.users.saturating_sub(1);
    }
    pci.messages.tables.retain(|table| table.address != address || table.users != 0);
}

fn users(address: PciAddress) -> Result<u32> {
    pci::with(|pci| {
        pci.known(address)?.msix.ok_or(Errno::ENODEV)?;
        Ok(table(pci, address).map_or(0, |table| table.users))
    })
}

/// dom0 hands the function on: its table is guarded from now on. Errors: `ENODEV`, `EBUSY` it is in use, and those of
/// [`open`].
pub fn prepare(address: PciAddress, rights: &Rights) -> Result<()> {
    if users(address)? != 0 {
        return Err(Errno::EBUSY);
    }
    open(address, 0, rights)?;
    pci::with(|pci| acquire(pci, address).map(|_| ()))
}

/// dom0 has the function back. Errors: `ENODEV`, `EBUSY` unless there is exactly one user.
pub fn unprepare(address: PciAddress) -> Result<()> {
    if users(address)? != 1 {
        return Err(Errno::EBUSY);
    }
    pci::with(|pci| release(pci, address));
    Ok(())
}
