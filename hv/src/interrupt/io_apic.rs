//! The I/O APICs: which input is where, and the redirection entry of each.
//!
//! Everything is masked at boot. Entries are remembered here, so that masking is one write and no read. Lock:
//! [`Level::InterruptController`], one lock a controller. Interrupt numbers below 16 are ISA interrupts and go where the
//! firmware's overrides say; all others are inputs. Destinations are physical APIC ids below 255: there is no interrupt
//! remapping. Source: Intel 82093AA data sheet §3; ACPI 6.5 §5.2.12.3.

use alloc::vec::Vec;

use abi::{Errno, Result};
use device_interrupts::{IsaLines, Polarity, Redirection, Signal, Trigger};
use firmware_tables::{IoApic, Madt};
use locks::{Level, Lock};
use spin::Once;

use crate::{memory::device::Registers, platform::firmware::Firmware};

/// Offsets in memory: an index, and the register it selects.
const INDEX: u64 = 0x00;
const DATA: u64 = 0x10;
/// Bytes of both.
const WINDOW: u64 = 0x20;

/// Register indices.
const VERSION: u32 = 0x01;
const FIRST_ENTRY: u32 = 0x10;
/// More inputs than any controller has.
const MOST_INPUTS: u32 = 240;

/// A controller's registers, reached by index.
struct Indirect {
    registers: Registers,
    /// What each redirection entry holds.
    entries: Vec<Redirection>,
}

/// A controller.
struct Controller {
    address: u64,
    first_input: u32,
    inputs: u32,
    access: Lock<Indirect>,
}

struct Machine {
    controllers: Vec<Controller>,
    isa: IsaLines,
    lines: u32,
}

static MACHINE: Once<Machine> = Once::new();

/// Finds, maps and masks all controllers. Context: boot CPU, once. Errors: `ENOMEM`.
pub fn initialise(firmware: &Firmware) -> Result<()> {
    let madt = &firmware.madt;
    let mut controllers = Vec::new();
    controllers.try_reserve_exact(madt.io_apics.len()).map_err(|_| Errno::ENOMEM)?;
    for found in &madt.io_apics {
        controllers.push(Controller::open(found)?);
    }
    let lines = controllers.iter().map(|controller| controller.first_input + controller.inputs).max().unwrap_or(0);
    let machine = MACHINE.call_once(|| Machine { controllers, isa: isa_lines(madt), lines });
    log::info!("Using {} I/O APICs with {} lines", machine.controllers.len(), machine.lines);
    Ok(())
}

fn isa_lines(madt: &Madt) -> IsaLines {
    let mut lines = IsaLines::new();
    for found in &madt.overrides {
        let trigger = match found.trigger {
            firmware_tables::Trigger::Level => Some(Trigger::Level),
            firmware_tables::Trigger::Edge => Some(Trigger::Edge),
            firmware_tables::Trigger::Bus => None,
        };
        let polarity = match found.polarity {
            firmware_tables::Polarity::Low => Some(Polarity::Low),
            firmware_tables::Polarity::High => Some(Polarity::High),
            firmware_tables::Polarity::Bus => None,
        };
        lines.replace(found.isa, found.gsi, trigger, polarity);
    }
    lines
}

impl Controller {
    fn open(found: &IoApic) -> Result<Self> {
        let address = u64::from(found.address);
        let mut access = Indirect { registers: Registers::map(address, WINDOW)?, entries: Vec::new() };
        let inputs = ((access.read(VERSION) >> 16 & 0xFF) + 1).min(MOST_INPUTS);
        access.entries.try_reserve_exact(inputs as usize).map_err(|_| Errno::ENOMEM)?;
        access.entries.resize(inputs as usize, Redirection::OFF);
        for input in 0..inputs {
            access.write_entry(input, Redirection::OFF);
        }
        let access = Lock::new(Level::InterruptController, access);
        Ok(Self { address, first_input: found.gsi_base, inputs, access })
    }
}

impl Indirect {
    fn read(&self, index: u32) -> u32 {
        self.registers.write(INDEX, index);
        self.registers.read(DATA)
    }

    fn write(&self, index: u32, value: u32) {
        self.registers.write(INDEX, index);
        self.registers.write(DATA, value);
    }

    /// Puts a whole entry in place; it is masked while its halves do not belong together.
    fn write_entry(&mut self, input: u32, entry: Redirection) {
        let index = FIRST_ENTRY + 2 * input;
        self.write(index, entry.masked().low());
        self.write(index + 1, entry.high());
        if !entry.is_masked() {
            self.write(index, entry.low());
        }
        self.remember(input, entry);
    }

    fn remember(&mut self, input: u32, entry: Redirection) {
        if let Some(slot) = self.entries.get_mut(input as usize) {
            *slot = entry;
        }
    }

    /// Changes the half with the mask.
    fn write_low(&mut self, input: u32, change: impl FnOnce(Redirection) -> Redirection) {
        let Some(entry) = self.entries.get(input as usize).copied().map(change) else { return };
        self.write(FIRST_ENTRY + 2 * input, entry.low());
        self.remember(input, entry);
    }
}

/// The controller of an input, and the input's number there.
fn controller_of(input: u32) -> Option<(&'static Controller, u32)> {
    let machine = MACHINE.get()?;
    machine.controllers.iter().find_map(|controller| {
        let own = input.checked_sub(controller.first_input).filter(|own| *own < controller.inputs)?;
        Some((controller, own))
    })
}

/// One more than the highest interrupt line.
pub fn line_count() -> u32 {
    MACHINE.get().map_or(0, |machine| machine.lines)
}

/// The input of a line and how it signals while nobody said otherwise. `None` when no controller has it.
pub fn input_of(line: u32) -> Option<(u32, Signal)> {
    let (input, signal) = MACHINE.get()?.isa.input(line);
    controller_of(input).map(|_| (input, signal))
}

/// Sets an input up; whether it is masked is part of the entry.
pub fn program(input: u32, entry: Redirection) {
    if let Some((controller, own)) = controller_of(input) {
        controller.access.lock().write_entry(own, entry);
    }
}

/// Masks an input.
#[inline]
pub fn mask(input: u32) {
    if let Some((controller, own)) = controller_of(input) {
        controller.access.lock().write_low(own, Redirection::masked);
    }
}

/// Opens an input.
#[inline]
pub fn unmask(input: u32) {
    if let Some((controller, own)) = controller_of(input) {
        controller.access.lock().write_low(own, Redirection::unmasked);
    }
}

/// What an input's entry holds.
pub fn entry(input: u32) -> Option<Redirection> {
    let (controller, own) = controller_of(input)?;
    controller.access.lock().entries.get(own as usize).copied()
}

/// Where an input's interrupts go.
pub fn destination(input: u32) -> Option<u8> {
    entry(input).map(|entry| entry.destination())
}

/// Sends an input's interrupts to another CPU from now on.
pub fn retarget(input: u32, destination: u8) {
    if let Some((controller, own)) = controller_of(input) {
        let mut access = controller.access.lock();
        if let Some(entry) = access.entries.get(own as usize).copied() {
            access.write_entry(own, entry.to(destination));
        }
    }
}

fn at(address: u64) -> Result<&'static Controller> {
    let machine = MACHINE.get().ok_or(Errno::EINVAL)?;
    machine.controllers.iter().find(|controller| controller.address == address).ok_or(Errno::EINVAL)
}

/// A register as dom0 reads it: the index register has eight bits. Errors: `EINVAL` no such controller.
pub fn guest_read(address: u64, register: u32) -> Result<u32> {
    Ok(at(address)?.access.lock().read(register & 0xFF))
}

/// What a dom0's write means: the line and signal of a redirection entry, or nothing (all other registers are ours).
/// Errors: `EINVAL` no such controller or input.
pub fn guest_write(address: u64, register: u32, value: u32) -> Result<Option<(u32, Redirection)>> {
    let controller = at(address)?;
    let register = register & 0xFF;
    // The destination half is ours as well.
    let Some(position) = register.checked_sub(FIRST_ENTRY).filter(|position| position.is_multiple_of(2)) else {
        return Ok(None);
    };
    if position / 2 >= controller.inputs {
        return Err(Errno::EINVAL);
    }
    Ok(Some((controller.first_input + position / 2, Redirection(u64::from(value)))))
}
