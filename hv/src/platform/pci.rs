//! PCI configuration space and the functions that dom0 has announced.
//!
//! Reached through ports 0xCF8 and 0xCFC (first segment, registers below 256) and, where the firmware states a memory
//! window and the memory map or dom0 says that it is reserved, through that window. A bus's part of the window is mapped
//! when it is first needed. The machine's latch is written anew for each access, so dom0's own is a plain value kept by
//! whoever serves it. Lock: [`Level::InterruptController`], one for the whole of PCI: the ports have state, and
//! functions, windows and messages change together. Source: PCI Local Bus 3.0 §3.2.2.3.2; PCI Firmware 3.3 §4.1.2.

use alloc::{boxed::Box, vec::Vec};
use core::cell::RefCell;

use abi::{Errno, Mfn, Result};
use device_interrupts::{
    capability,
    configuration::{BUS_SIZE, Configuration, Latch, at_offset_in_bus, offset_in_bus},
    intercept::Verdict,
    msix::Msix,
};
use firmware_tables::McfgRange;
use hypercalls::op::physdev::{ConfigurationWindow, PciAddress};
use locks::{Level, Lock};
use x86_64::instructions::port::Port;

use super::{firmware, memory_map};
use crate::{arch::port, domain::rights::Rights, interrupt::msi::Messages, memory::device::Registers};

const ADDRESS_PORT: u16 = 0xCF8;
const DATA_PORT: u16 = 0xCFC;
/// Registers that the ports reach.
const PORT_REGISTERS: u16 = 256;
/// Type of reserved entries of the memory map.
const RESERVED: u32 = 2;

/// A memory window onto the buses of a segment.
struct Window {
    range: McfgRange,
    /// Whether the hypervisor uses it.
    in_use: bool,
    /// Each bus's part, from the first bus on.
    buses: Box<[Option<Registers>]>,
}

/// All that is known of PCI.
pub struct Pci {
    windows: Vec<Window>,
    functions: Vec<Function>,
    /// Message interrupts and MSI-X tables.
    pub messages: Messages,
}

/// What a function is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An ordinary one.
    Physical,
    /// A virtual function: its BARs and its decoder's switch stand in its physical function.
    Virtual,
}

/// A function that dom0 has announced.
#[derive(Clone, Copy)]
pub struct Function {
    /// Where it is.
    pub address: PciAddress,
    /// What it is.
    pub kind: Kind,
    /// Its MSI-X capability.
    pub msix: Option<Msix>,
}

static PCI: Lock<Option<Pci>> = Lock::new(Level::InterruptController, None);

/// Works on PCI with its lock held. The first call takes in what the firmware says.
pub fn with<R>(work: impl FnOnce(&mut Pci) -> R) -> R {
    let mut pci = PCI.lock();
    work(pci.get_or_insert_with(Pci::from_firmware))
}

impl Window {
    fn new(range: McfgRange) -> Option<Self> {
        let count = usize::from(range.buses.1.checked_sub(range.buses.0)?) + 1;
        let mut buses = Vec::new();
        buses.try_reserve_exact(count).ok()?;
        buses.resize(count, None);
        let mut window = Self { range, in_use: false, buses: buses.into_boxed_slice() };
        window.in_use = is_reserved(window.start(), window.end());
        Some(window)
    }

    /// Address of the first bus that is there.
    fn start(&self) -> u64 {
        self.range.address + u64::from(self.range.buses.0) * BUS_SIZE
    }

    fn end(&self) -> u64 {
        self.range.address + (u64::from(self.range.buses.1) + 1) * BUS_SIZE
    }

    fn has(&self, segment: u16, bus: u8) -> bool {
        self.range.segment == segment && (self.range.buses.0..=self.range.buses.1).contains(&bus)
    }

    /// The registers of a bus. Errors: `ENOMEM`.
    fn bus(&mut self, bus: u8) -> Result<Registers> {
        let physical = self.range.address + u64::from(bus) * BUS_SIZE;
        let slot = self.buses.get_mut(usize::from(bus - self.range.buses.0)).ok_or(Errno::ENODEV)?;
        match slot {
            Some(registers) => Ok(*registers),
            None => Ok(*slot.insert(Registers::map(physical, BUS_SIZE)?)),
        }
    }
}

/// Whether one entry of the memory map reserves the whole range.
fn is_reserved(start: u64, end: u64) -> bool {
    let whole = |halves: [u32; 2]| u64::from(halves[0]) | u64::from(halves[1]) << 32;
    (0..).map_while(memory_map::entry).any(|entry| {
        let first = whole(entry.address);
        entry.kind == RESERVED && first <= start && end <= first.saturating_add(whole(entry.size))
    })
}

impl Pci {
    fn from_firmware() -> Self {
        let ranges = firmware::get().map_or(&[][..], |firmware| &firmware.mcfg.ranges);
        let windows: Vec<Window> = ranges.iter().filter_map(|range| Window::new(*range)).collect();
        for window in &windows {
            let (first, last) = window.range.buses;
            let use_of = if window.in_use { "Using" } else { "Not using" };
            log::info!("PCI: {use_of} MCFG for segment {:04x} bus {first:02x}-{last:02x}", window.range.segment);
        }
        Self { windows, functions: Vec::new(), messages: Messages::new() }
    }

    /// What is known of a function. Errors: `ENODEV` dom0 has not announced it.
    pub fn known(&self, address: PciAddress) -> Result<Function> {
        self.functions.iter().find(|function| function.address == address).copied().ok_or(Errno::ENODEV)
    }

    /// Takes note of a function; again is no error. Errors: `ENOMEM`.
    pub fn add(&mut self, address: PciAddress, kind: Kind) -> Result<()> {
        if self.known(address).is_err() {
            self.functions.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            let view = self.view(address);
            let msix = capability::find(&view, capability::MSIX).map(|position| Msix::read(&view, position));
            self.functions.push(Function { address, kind, msix });
        }
        Ok(())
    }

    /// Forgets a function. Errors: `ENODEV`.
    pub fn remove(&mut self, address: PciAddress) -> Result<()> {
        self.known(address)?;
        self.functions.retain(|function| function.address != address);
        Ok(())
    }

    fn window(&mut self, segment: u16, bus: u8) -> Option<Registers> {
        let window = self.windows.iter_mut().find(|window| window.in_use && window.has(segment, bus))?;
        // Without memory for the mapping the register is as good as absent.
        window.bus(bus).ok()
    }

    /// Reads a register of 1, 2 or 4 bytes that does not cross a multiple of 4; all ones for what cannot be reached.
    pub fn read(&mut self, address: PciAddress, offset: u16, width: u8) -> u32 {
        if address.segment == 0 && offset < PORT_REGISTERS {
            port::write_u32(Port::new(ADDRESS_PORT), Latch::new(address.bus, address.devfn, offset as u8).0);
            return read_data(offset as u8 & 3, width);
        }
        match self.window(address.segment, address.bus) {
            Some(bus) => bus.read_narrow(offset_in_bus(address.devfn, offset), width),
            None => u32::MAX,
        }
    }

    /// Writes one; nothing happens when it cannot be reached.
    pub fn write(&mut self, address: PciAddress, offset: u16, width: u8, value: u32) {
        if address.segment == 0 && offset < PORT_REGISTERS {
            port::write_u32(Port::new(ADDRESS_PORT), Latch::new(address.bus, address.devfn, offset as u8).0);
            write_data(offset as u8 & 3, width, value);
        } else if let Some(bus) = self.window(address.segment, address.bus) {
            bus.write_narrow(offset_in_bus(address.devfn, offset), width, value);
        }
    }

    /// One function's registers for `device_interrupts`.
    pub fn view(&mut self, address: PciAddress) -> FunctionView<'_> {
        FunctionView { pci: RefCell::new(self), address }
    }

    /// A dom0's write, as far as it may be made.
    fn guest_write(&mut self, address: PciAddress, offset: u16, width: u8, value: u32) {
        let verdict = match self.known(address) {
            Ok(function) => self.messages.judge(function, offset, width, value),
            Err(_) => Verdict::Pass(value),
        };
        if let Verdict::Pass(value) = verdict {
            self.write(address, offset, width, value);
        }
    }
}

/// Reads of one function.
pub struct FunctionView<'a> {
    pci: RefCell<&'a mut Pci>,
    address: PciAddress,
}

impl Configuration for FunctionView<'_> {
    fn read_word(&self, offset: u16) -> u32 {
        self.pci.borrow_mut().read(self.address, offset, 4)
    }
}

fn read_data(offset: u8, width: u8) -> u32 {
    let address = DATA_PORT + u16::from(offset & 3);
    match width {
        1 => u32::from(port::read_u8(Port::new(address))),
        2 => u32::from(port::read_u16(Port::new(address))),
        _ => port::read_u32(Port::new(DATA_PORT)),
    }
}

fn write_data(offset: u8, width: u8, value: u32) {
    let address = DATA_PORT + u16::from(offset & 3);
    match width {
        1 => port::write_u8(Port::new(address), value as u8),
        2 => port::write_u16(Port::new(address), value as u16),
        _ => port::write_u32(Port::new(DATA_PORT), value),
    }
}

fn latched(latch: Latch) -> PciAddress {
    PciAddress { segment: 0, bus: latch.bus(), devfn: latch.devfn() }
}

/// A dom0's read of the data ports. Arguments: its latch, offset 0 to 3, bytes (1, 2 or 4). All ones while the latch
/// is not enabled.
pub fn guest_port_read(latch: u32, offset: u8, width: u8) -> u32 {
    let latch = Latch(latch);
    if !latch.is_enabled() {
        return u32::MAX;
    }
    with(|pci| pci.read(latched(latch), u16::from(latch.register() | offset & 3), width))
}

/// A dom0's write to the data ports; nothing happens while the latch is not enabled.
pub fn guest_port_write(latch: u32, offset: u8, width: u8, value: u32) {
    let latch = Latch(latch);
    if latch.is_enabled() {
        let register = u16::from(latch.register() | offset & 3);
        with(|pci| pci.guest_write(latched(latch), register, width, value));
    }
}

/// A dom0's store to a page of a memory window. Arguments: the page, offset in it, bytes (1, 2 or 4, aligned). A store
/// to another page is dropped.
pub fn guest_window_write(frame: Mfn, offset: u16, width: u8, value: u32) {
    let physical = frame.0 << 12;
    with(|pci| {
        let found = pci.windows.iter().find(|window| (window.start()..window.end()).contains(&physical));
        let Some((range, from_start)) = found.map(|window| (window.range, physical - window.range.address)) else {
            return;
        };
        let bus = (from_start / BUS_SIZE) as u8;
        let (devfn, _) = at_offset_in_bus(from_start % BUS_SIZE);
        pci.guest_write(PciAddress { segment: range.segment, bus, devfn }, offset & 0xFFF, width, value);
    });
}

/// Widest store to a read-only device page that is emulated: configuration space takes 4 bytes, elsewhere it is dropped.
pub fn widest_store(frame: Mfn) -> u8 {
    let physical = frame.0 << 12;
    let is_configuration =
        with(|pci| pci.windows.iter().any(|window| (window.start()..window.end()).contains(&physical)));
    if is_configuration { 4 } else { 8 }
}

/// What dom0 says of a window. Errors: `ENODEV` the firmware states no such buses, `EIO` it states another address.
pub fn judge_window(stated: ConfigurationWindow, rights: &Rights) -> Result<()> {
    let range = with(|pci| {
        let window = pci
            .windows
            .iter_mut()
            .find(|window| {
                window.range.segment == stated.segment && window.range.buses == (stated.first_bus, stated.last_bus)
            })
            .ok_or(Errno::ENODEV)?;
        if window.range.address != stated.address {
            return Err(Errno::EIO);
        }
        window.in_use = stated.reserved;
        Ok(stated.reserved.then(|| (window.start(), window.end())))
    })?;
    range.map_or(Ok(()), |range| protect(range, rights))
}

/// Lets a domain only read the windows in use. Errors: `ENOMEM` too many ranges.
pub fn protect_windows(rights: &Rights) -> Result<()> {
    // Copied out: rights have a lock of a lower level.
    let mut index = 0;
    while let Some(range) =
        with(|pci| pci.windows.get(index).map(|window| (window.in_use, window.start(), window.end())))
    {
        if let (true, start, end) = range {
            protect((start, end), rights)?;
        }
        index += 1;
    }
    Ok(())
}

fn protect((start, end): (u64, u64), rights: &Rights) -> Result<()> {
    if rights.make_read_only(Mfn(start >> 12), Mfn(end.div_ceil(4096))) { Ok(()) } else { Err(Errno::ENOMEM) }
}
