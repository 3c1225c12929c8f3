//! The tables themselves, as plain values. Source: ACPI 6.5, §5.2.9 (FADT), §5.2.12 (MADT); HPET 1.0a §3.2.4; PCI
//! Firmware 3.3 §4.1.2 (MCFG).

use alloc::vec::Vec;

use crate::{
    Tables,
    bytes::{u8_at, u16_at, u32_at, u64_at},
};

/// A processor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalApic {
    /// ACPI processor id.
    pub acpi_id: u32,
    /// Local APIC id.
    pub apic_id: u32,
    /// Whether it can be used now; a disabled one may be plugged in later.
    pub enabled: bool,
}

/// An I/O APIC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IoApic {
    /// Its id.
    pub id: u8,
    /// Physical address of its registers.
    pub address: u32,
    /// Global system interrupt of its first pin.
    pub gsi_base: u32,
}

/// How an interrupt line signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// As its bus does.
    Bus,
    /// By edges.
    Edge,
    /// By level.
    Level,
}

/// Which level an interrupt line signals with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Polarity {
    /// As its bus does.
    Bus,
    /// High.
    High,
    /// Low.
    Low,
}

/// An ISA interrupt that is not where it is expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterruptOverride {
    /// ISA interrupt.
    pub isa: u8,
    /// Where it is.
    pub gsi: u32,
    /// How it signals.
    pub trigger: Trigger,
    /// With which level.
    pub polarity: Polarity,
}

/// Processors and interrupt controllers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Madt {
    /// Physical address of the local APICs.
    pub local_address: u64,
    /// Processors in the table's order; the boot processor comes first on sane firmware.
    pub processors: Vec<LocalApic>,
    /// I/O APICs.
    pub io_apics: Vec<IoApic>,
    /// Overrides.
    pub overrides: Vec<InterruptOverride>,
}

const HEADER: usize = 36;

impl Madt {
    /// Reads the MADT. `None` when it is absent.
    pub fn read(tables: &Tables) -> Option<Self> {
        let bytes = tables.get(b"APIC")?;
        let mut madt = Madt { local_address: u64::from(u32_at(bytes, HEADER)?), ..Madt::default() };
        let mut rest = bytes.get(HEADER + 8..)?;
        while let (Some(kind), Some(length)) = (u8_at(rest, 0), u8_at(rest, 1)) {
            let Some((entry, next)) = rest.split_at_checked(usize::from(length.max(2))) else { break };
            madt.add(kind, entry);
            rest = next;
        }
        Some(madt)
    }

    /// Takes in one entry; entries of unknown kinds, and short ones, are passed over.
    fn add(&mut self, kind: u8, entry: &[u8]) -> Option<()> {
        const ENABLED: u32 = 1;
        match kind {
            0 => self.processors.push(LocalApic {
                acpi_id: u32::from(u8_at(entry, 2)?),
                apic_id: u32::from(u8_at(entry, 3)?),
                enabled: u32_at(entry, 4)? & ENABLED != 0,
            }),
            1 => self.io_apics.push(IoApic {
                id: u8_at(entry, 2)?,
                address: u32_at(entry, 4)?,
                gsi_base: u32_at(entry, 8)?,
            }),
            2 => {
                let flags = u16_at(entry, 8)?;
                self.overrides.push(InterruptOverride {
                    isa: u8_at(entry, 3)?,
                    gsi: u32_at(entry, 4)?,
                    trigger: [Trigger::Bus, Trigger::Edge, Trigger::Bus, Trigger::Level]
                        .get(usize::from(flags >> 2 & 3))
                        .copied()?,
                    polarity: [Polarity::Bus, Polarity::High, Polarity::Bus, Polarity::Low]
                        .get(usize::from(flags & 3))
                        .copied()?,
                });
            }
            5 => self.local_address = u64_at(entry, 4)?,
            9 => self.processors.push(LocalApic {
                acpi_id: u32_at(entry, 12)?,
                apic_id: u32_at(entry, 4)?,
                enabled: u32_at(entry, 8)? & ENABLED != 0,
            }),
            _ => {}
        }
        Some(())
    }
}

/// A register in one of the address spaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GenericAddress {
    /// Memory at a physical address.
    Memory(u64),
    /// An I/O port.
    Port(u16),
    /// A register in the configuration space of a device on bus 0: device, function, offset.
    PciConfiguration(u8, u8, u16),
}

fn generic_address(bytes: &[u8], offset: usize) -> Option<GenericAddress> {
    let address = u64_at(bytes, offset + 4)?;
    match u8_at(bytes, offset)? {
        _ if address == 0 => None,
        0 => Some(GenericAddress::Memory(address)),
        1 => Some(GenericAddress::Port(address as u16)),
        2 => Some(GenericAddress::PciConfiguration((address >> 32) as u8, (address >> 16) as u8, address as u16)),
        _ => None,
    }
}

/// Fixed hardware: power management and reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fadt {
    /// PM1a control register, a port.
    pub pm1a_control: u16,
    /// PM1b control register, a port; 0 when there is none.
    pub pm1b_control: u16,
    /// PM1a event registers, a port: status, then enable.
    pub pm1a_event: u16,
    /// Bytes of the event block.
    pub pm1_event_length: u8,
    /// PM timer, a port; 0 when there is none.
    pub pm_timer: u16,
    /// Whether the PM timer counts with 32 bits rather than 24.
    pub pm_timer_is_32_bit: bool,
    /// SCI as a GSI (or ISA interrupt, before overrides).
    pub sci: u16,
    /// Reset register and the value to write, if the firmware has one.
    pub reset: Option<(GenericAddress, u8)>,
    /// Index of the century byte in the RTC's memory; 0 when there is none.
    pub century: u8,
}

impl Fadt {
    /// Reads the FADT. `None` when it is absent or too short.
    pub fn read(tables: &Tables) -> Option<Self> {
        const RESET_SUPPORTED: u32 = 1 << 10;
        const TIMER_32_BIT: u32 = 1 << 8;
        let bytes = tables.get(b"FACP")?;
        let flags = u32_at(bytes, 112)?;
        let reset =
            (flags & RESET_SUPPORTED != 0).then(|| Some((generic_address(bytes, 116)?, u8_at(bytes, 128)?))).flatten();
        Some(Fadt {
            pm1a_event: u32_at(bytes, 56)? as u16,
            pm1a_control: u32_at(bytes, 64)? as u16,
            pm1b_control: u32_at(bytes, 68)? as u16,
            pm_timer: u32_at(bytes, 76)? as u16,
            pm1_event_length: u8_at(bytes, 88)?,
            century: u8_at(bytes, 108)?,
            pm_timer_is_32_bit: flags & TIMER_32_BIT != 0,
            sci: u16_at(bytes, 46)?,
            reset,
        })
    }
}

/// The high-precision event timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hpet {
    /// Physical address of its registers.
    pub address: u64,
}

impl Hpet {
    /// Reads the HPET table. `None` when it is absent or not in memory.
    pub fn read(tables: &Tables) -> Option<Self> {
        match generic_address(tables.get(b"HPET")?, 40)? {
            GenericAddress::Memory(address) => Some(Hpet { address }),
            _ => None,
        }
    }
}

/// A window of memory-mapped PCI configuration space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct McfgRange {
    /// Physical address of bus 0's first function.
    pub address: u64,
    /// PCI segment.
    pub segment: u16,
    /// First and last bus.
    pub buses: (u8, u8),
}

/// All windows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mcfg {
    /// In the table's order.
    pub ranges: Vec<McfgRange>,
}

impl Mcfg {
    /// Reads the MCFG table; empty when it is absent.
    pub fn read(tables: &Tables) -> Self {
        let entries = tables.get(b"MCFG").and_then(|bytes| bytes.get(HEADER + 8..)).unwrap_or_default();
        let ranges = entries.chunks_exact(16).filter_map(|entry| {
            Some(McfgRange {
                address: u64_at(entry, 0)?,
                segment: u16_at(entry, 8)?,
                buses: (u8_at(entry, 10)?, u8_at(entry, 11)?),
            })
        });
        Mcfg { ranges: ranges.collect() }
    }
}
