//! From the RSDP to every table, each checked by its checksum and copied. Source: ACPI 6.5, §5.2.5 to §5.2.8.

use alloc::vec::Vec;
use core::fmt;

use crate::bytes::{u8_at, u16_at, u32_at, u64_at};

/// Physical memory as the caller lets it be read.
pub trait PhysicalMemory {
    /// Fills `to` from `address`.
    fn read(&self, address: u64, to: &mut [u8]);
}

/// Why the tables cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableError {
    /// No RSDP in the BIOS areas.
    NoRoot,
    /// A table's length or checksum is wrong; its signature and address.
    Broken([u8; 4], u64),
    /// No memory for a copy.
    OutOfMemory,
}

impl fmt::Display for TableError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableError::NoRoot => formatter.write_str("no ACPI root pointer (RSDP) in the BIOS areas"),
            TableError::Broken(signature, address) => {
                let name = core::str::from_utf8(signature).unwrap_or("????");
                write!(formatter, "ACPI table {name} at {address:#x} has a wrong length or checksum")
            }
            TableError::OutOfMemory => formatter.write_str("no memory for a copy of the ACPI tables"),
        }
    }
}

/// Copies of all tables the root table lists.
pub struct Tables {
    tables: Vec<([u8; 4], u64, Vec<u8>)>,
}

impl Tables {
    /// The bytes of the first table with this signature.
    pub fn get(&self, signature: &[u8; 4]) -> Option<&[u8]> {
        self.tables.iter().find(|(name, ..)| name == signature).map(|(.., bytes)| bytes.as_slice())
    }

    /// Signature and address of every table.
    pub fn iter(&self) -> impl Iterator<Item = ([u8; 4], u64)> {
        self.tables.iter().map(|&(name, address, _)| (name, address))
    }
}

const HEADER: usize = 36;
/// No table of a real machine is larger; a longer one is garbage.
const LONGEST: u32 = 1 << 20;
const BIOS_AREA: core::ops::Range<u64> = 0xE_0000..0x10_0000;
/// Word in low memory that holds the segment of the extended BIOS data area.
const EBDA_POINTER: u64 = 0x40E;

/// Finds the RSDP in the BIOS areas and copies all tables.
pub fn find(memory: &impl PhysicalMemory) -> Result<Tables, TableError> {
    let root = find_root(memory).ok_or(TableError::NoRoot)?;
    let (address, entry_size) = root;
    let directory = copy(memory, address)?;
    let mut tables = Vec::new();
    for entry in directory.get(HEADER..).unwrap_or_default().chunks_exact(entry_size) {
        let target = match entry_size {
            8 => u64_at(entry, 0).unwrap_or(0),
            _ => u64::from(u32_at(entry, 0).unwrap_or(0)),
        };
        // One broken table must not hide the others.
        if let Ok(bytes) = copy(memory, target) {
            let name = signature(&bytes);
            tables.try_reserve(1).map_err(|_| TableError::OutOfMemory)?;
            tables.push((name, target, bytes));
        }
    }
    Ok(Tables { tables })
}

fn signature(bytes: &[u8]) -> [u8; 4] {
    bytes.first_chunk().copied().unwrap_or(*b"????")
}

fn sums_to_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)) == 0
}

/// Address of the RSDT or XSDT, and the size of its entries.
fn find_root(memory: &impl PhysicalMemory) -> Option<(u64, usize)> {
    let mut pointer = [0; 2];
    memory.read(EBDA_POINTER, &mut pointer);
    let extended = u64::from(u16_at(&pointer, 0)?) << 4;
    let extended = if (0x8_0000..0xA_0000).contains(&extended) { extended..extended + 1024 } else { 0..0 };
    extended.step_by(16).chain(BIOS_AREA.step_by(16)).find_map(|address| root_at(memory, address))
}

fn root_at(memory: &impl PhysicalMemory, address: u64) -> Option<(u64, usize)> {
    let mut bytes = [0; 36];
    memory.read(address, &mut bytes);
    if !bytes.starts_with(b"RSD PTR ") || !sums_to_zero(bytes.get(..20)?) {
        return None;
    }
    let extended = u64_at(&bytes, 24)?;
    if u8_at(&bytes, 15)? >= 2 && extended != 0 && sums_to_zero(&bytes) {
        return Some((extended, 8));
    }
    Some((u64::from(u32_at(&bytes, 16)?), 4))
}

fn copy(memory: &impl PhysicalMemory, address: u64) -> Result<Vec<u8>, TableError> {
    let mut header = [0; HEADER];
    memory.read(address, &mut header);
    let length = u32_at(&header, 4).unwrap_or(0);
    let broken = TableError::Broken(signature(&header), address);
    if length > LONGEST || (length as usize) < HEADER {
        return Err(broken);
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize).map_err(|_| TableError::OutOfMemory)?;
    bytes.resize(length as usize, 0);
    memory.read(address, &mut bytes);
    if sums_to_zero(&bytes) { Ok(bytes) } else { Err(broken) }
}
