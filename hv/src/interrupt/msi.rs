//! Message-signalled interrupts of PCI functions: programming MSI registers and MSI-X tables, and guarding them.
//!
//! The hypervisor decides address, data and masks; enabling a capability is dom0's. A table lies in memory that a device
//! states, so it is checked to be nobody's memory before anything is written there, and dom0 may only read its pages from
//! then on. Plain MSI uses one vector a function: several need interrupt remapping, as in Xen. The same vector of a
//! function may be mapped again; the newest mapping has the registers.
//!
//! Lock: that of `platform::pci`, which holds the [`Messages`]. Source: PCI Local Bus 3.0 §6.8.

use alloc::vec::Vec;

use abi::{Errno, Result};
use device_interrupts::{
    Irq, Message, capability,
    intercept::{self, Held, Verdict},
    msi::{self, Msi},
    msix::{self, entry},
};
use hypercalls::op::physdev::PciAddress;

use super::{
    msix_table::{self, Table},
    vector::Vector,
};
use crate::{
    domain::rights::Rights,
    memory::device::Registers,
    platform::pci::{self, Function, Pci},
};

/// Which message of a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// The one of plain MSI.
    Plain,
    /// An entry of the MSI-X table.
    Entry(u32),
}

/// Registers behind a message.
#[derive(Clone, Copy)]
enum Behind {
    Plain(Msi),
    /// Index of the entry, and the table.
    Entry(u32, Registers),
}

impl Behind {
    fn is_same(self, other: Behind) -> bool {
        match (self, other) {
            (Behind::Plain(_), Behind::Plain(_)) => true,
            (Behind::Entry(one, _), Behind::Entry(another, _)) => one == another,
            _ => false,
        }
    }
}

/// A message somebody has.
#[derive(Clone, Copy)]
struct Mapping {
    irq: Irq,
    address: PciAddress,
    behind: Behind,
    vector: Vector,
    destination: u8,
    held: Held,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The registers are this mapping's.
    Current,
    /// A newer mapping has them.
    Replaced,
    /// The function is gone.
    Orphaned,
}

/// All messages and tables in use.
pub struct Messages {
    mappings: Vec<Mapping>,
    pub(super) tables: Vec<Table>,
}

impl Messages {
    /// None.
    pub const fn new() -> Self {
        Self { mappings: Vec::new(), tables: Vec::new() }
    }

    fn mapping(&mut self, irq: Irq) -> Option<&mut Mapping> {
        self.mappings.iter_mut().find(|mapping| mapping.irq == irq)
    }

    /// Judges a dom0's write to a function's configuration space.
    pub fn judge(&self, function: Function, offset: u16, width: u8, value: u32) -> Verdict {
        if let Some(capability) = function.msix {
            return intercept::msix_write(capability, Held::Open, offset, width, value);
        }
        let plain = self.mappings.iter().find_map(|mapping| match mapping.behind {
            Behind::Plain(capability) if mapping.address == function.address && mapping.state == State::Current => {
                Some((capability, mapping.held))
            }
            _ => None,
        });
        match plain {
            Some((capability, held)) => intercept::msi_write(capability, held, offset, width, value),
            None => Verdict::Pass(value),
        }
    }

    /// Makes room for one more. Errors: `ENOMEM`.
    fn reserve(&mut self) -> Result<()> {
        self.mappings.try_reserve(1).map_err(|_| Errno::ENOMEM)
    }

    /// Adds a mapping in room that was made; it gets the registers.
    fn add(&mut self, mapping: Mapping) {
        for older in self.mappings.iter_mut().filter(|older| older.state == State::Current) {
            if older.address == mapping.address && older.behind.is_same(mapping.behind) {
                older.state = State::Replaced;
            }
        }
        self.mappings.push(mapping);
    }

    fn has(&self, address: PciAddress, is_kind: impl Fn(Behind) -> bool) -> bool {
        self.mappings
            .iter()
            .any(|mapping| mapping.address == address && mapping.state != State::Orphaned && is_kind(mapping.behind))
    }
}

fn change_half(pci: &mut Pci, address: PciAddress, offset: u16, change: impl FnOnce(u16) -> u16) {
    let value = pci.read(address, offset, 2) as u16;
    pci.write(address, offset, 2, u32::from(change(value)));
}

impl Mapping {
    /// Writes address and data.
    fn program(&self, pci: &mut Pci) {
        let message = Message::new(self.vector.0, self.destination);
        match self.behind {
            Behind::Plain(capability) => {
                pci.write(self.address, capability.address(), 4, message.address);
                if let Some(high) = capability.address_high() {
                    pci.write(self.address, high, 4, 0);
                }
                pci.write(self.address, capability.data(), 2, message.data);
                change_half(pci, self.address, capability.control(), |control| control & !msi::VECTORS_IN_USE);
            }
            Behind::Entry(index, table) => {
                let first = u64::from(index) * msix::ENTRY_SIZE;
                table.write(first + entry::ADDRESS, message.address);
                table.write(first + entry::ADDRESS_HIGH, 0);
                table.write(first + entry::DATA, message.data);
            }
        }
    }

    /// Brings the mask in line with what is held; without a mask register nothing can be held.
    fn apply_mask(&self, pci: &mut Pci) {
        match self.behind {
            Behind::Plain(capability) => {
                if let Some(mask) = capability.mask() {
                    let others = pci.read(self.address, mask, 4) & !1;
                    pci.write(self.address, mask, 4, others | u32::from(self.held == Held::Masked));
                }
            }
            Behind::Entry(index, table) => {
                let control = u64::from(index) * msix::ENTRY_SIZE + entry::CONTROL;
                let others = table.read(control) & !msix::ENTRY_MASKED;
                let own = if self.held == Held::Masked { msix::ENTRY_MASKED } else { 0 };
                table.write(control, others | own);
                // A read back: the write has reached the device when this returns.
                let _ = table.read(control);
            }
        }
    }
}

/// Makes a function's message raise `vector` at the CPU with APIC id `destination`; masked where that is possible.
/// Arguments: `base`, what dom0 says of the table's memory, counts for virtual functions only; `rights`, those of the
/// domain that shall only read the table. Errors: `ENODEV` a function never announced or without the capability,
/// `EINVAL` no such entry, `ENXIO` its memory cannot be reached, `ENOMEM`.
pub fn map(
    (address, which): (PciAddress, Which),
    base: u64,
    rights: &Rights,
    (irq, vector): (Irq, Vector),
    destination: u8,
) -> Result<()> {
    let mapping =
        |behind| Mapping { irq, address, behind, vector, destination, held: Held::Masked, state: State::Current };
    match which {
        Which::Plain => pci::with(|pci| {
            pci.known(address)?;
            let capability = plain_capability(pci, address)?;
            pci.messages.reserve()?;
            if pci.messages.has(address, |behind| matches!(behind, Behind::Entry(..))) {
                disable_table(pci, address);
            }
            put(pci, mapping(Behind::Plain(capability)));
            Ok(())
        }),
        Which::Entry(index) => {
            msix_table::check_entry(address, index)?;
            msix_table::open(address, base, rights)?;
            pci::with(|pci| {
                pci.messages.reserve()?;
                let registers = msix_table::acquire(pci, address)?;
                if pci.messages.has(address, |behind| matches!(behind, Behind::Plain(_))) {
                    disable_plain(pci, address);
                }
                put(pci, mapping(Behind::Entry(index, registers)));
                Ok(())
            })
        }
    }
}

fn put(pci: &mut Pci, mapping: Mapping) {
    mapping.apply_mask(pci);
    mapping.program(pci);
    pci.messages.add(mapping);
}

fn plain_capability(pci: &mut Pci, address: PciAddress) -> Result<Msi> {
    let view = pci.view(address);
    let position = capability::find(&view, capability::MSI).ok_or(Errno::ENODEV)?;
    Ok(Msi::read(&view, position))
}

fn disable_plain(pci: &mut Pci, address: PciAddress) {
    log::warn!("MSI already in use on {:04x}:{:02x}:{:02x}", address.segment, address.bus, address.devfn);
    if let Ok(capability) = plain_capability(pci, address) {
        change_half(pci, address, capability.control(), |control| control & !msi::ENABLE);
    }
}

fn disable_table(pci: &mut Pci, address: PciAddress) {
    log::warn!("MSI-X already in use on {:04x}:{:02x}:{:02x}", address.segment, address.bus, address.devfn);
    if let Ok(Function { msix: Some(capability), .. }) = pci.known(address) {
        change_half(pci, address, capability.control(), |control| control & !msix::ENABLE);
    }
}

/// Ends a mapping: the device cannot send the message any more.
pub fn unmap(irq: Irq) {
    pci::with(|pci| {
        let Some(at) = pci.messages.mappings.iter().position(|mapping| mapping.irq == irq) else { return };
        let mut mapping = pci.messages.mappings.swap_remove(at);
        if mapping.state == State::Orphaned {
            return;
        }
        mapping.held = Held::Masked;
        match mapping.behind {
            // As Xen does, whoever has the registers now.
            Behind::Plain(capability) => {
                change_half(pci, mapping.address, capability.control(), |control| control & !msi::ENABLE);
            }
            Behind::Entry(..) => {
                if mapping.state == State::Current {
                    mapping.apply_mask(pci);
                }
                msix_table::release(pci, mapping.address);
            }
        }
    });
}

fn change(irq: Irq, change: impl FnOnce(&mut Mapping), write: impl FnOnce(&Mapping, &mut Pci)) {
    pci::with(|pci| {
        let Some(mapping) = pci.messages.mapping(irq) else { return };
        change(mapping);
        let mapping = *mapping;
        if mapping.state == State::Current {
            write(&mapping, pci);
        }
    });
}

/// Holds a message back, where the device has a mask for it.
pub fn mask(irq: Irq) {
    change(irq, |mapping| mapping.held = Held::Masked, Mapping::apply_mask);
}

/// Lets it come.
pub fn unmask(irq: Irq) {
    change(irq, |mapping| mapping.held = Held::Open, Mapping::apply_mask);
}

/// Where a message goes.
pub fn destination(irq: Irq) -> Option<u8> {
    pci::with(|pci| pci.messages.mapping(irq).map(|mapping| mapping.destination))
}

/// Sends it to another CPU from now on: one word of the address changes.
pub fn retarget(irq: Irq, destination: u8) {
    change(
        irq,
        |mapping| mapping.destination = destination,
        |mapping, pci| {
            let message = Message::new(mapping.vector.0, destination);
            match mapping.behind {
                Behind::Plain(capability) => pci.write(mapping.address, capability.address(), 4, message.address),
                Behind::Entry(index, table) => {
                    table.write(u64::from(index) * msix::ENTRY_SIZE + entry::ADDRESS, message.address);
                }
            }
        },
    );
}

/// Writes all messages of a function back into it and enables them, after a reset. Errors: `ENODEV` never announced,
/// `ENXIO` its table cannot be reached.
pub fn restore(address: PciAddress) -> Result<()> {
    pci::with(|pci| {
        pci.known(address)?;
        let mappings = pci.messages.mappings.len();
        for at in 0..mappings {
            let Some(mapping) = pci.messages.mappings.get(at).copied() else { break };
            if mapping.address != address || mapping.state != State::Current {
                continue;
            }
            let (control, enable) = match mapping.behind {
                Behind::Plain(capability) => (capability.control(), msi::ENABLE),
                Behind::Entry(..) => {
                    let capability = msix_table::reachable(pci, address)?;
                    (capability.control(), msix::ENABLE)
                }
            };
            mapping.apply_mask(pci);
            mapping.program(pci);
            change_half(pci, address, control, |value| value | enable);
        }
        Ok(())
    })
}

/// Forgets a function; its messages are masked and stay whoever's they are, without effect. Errors: `ENODEV`.
pub fn remove_function(address: PciAddress) -> Result<()> {
    pci::with(|pci| {
        pci.known(address)?;
        for at in 0..pci.messages.mappings.len() {
            let Some(mapping) = pci.messages.mappings.get_mut(at).filter(|mapping| mapping.address == address) else {
                continue;
            };
            mapping.held = Held::Masked;
            let was = *mapping;
            mapping.state = State::Orphaned;
            if was.state == State::Current {
                was.apply_mask(pci);
            }
        }
        pci.messages.tables.retain(|table| table.address != address);
        pci.remove(address)
    })
}
