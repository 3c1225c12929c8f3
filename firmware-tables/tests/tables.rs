//! A small machine's tables in a byte array: found, read, and refused when broken.
#![allow(clippy::indexing_slicing, reason = "a failed test panics")]

use firmware_tables::{Fadt, GenericAddress, Hpet, Madt, Mcfg, PhysicalMemory, Polarity, TableError, Trigger, find};

struct Memory(Vec<u8>);

impl PhysicalMemory for Memory {
    fn read(&self, address: u64, to: &mut [u8]) {
        for (offset, byte) in to.iter_mut().enumerate() {
            *byte = self.0.get(address as usize + offset).copied().unwrap_or(0xFF);
        }
    }
}

fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = signature.to_vec();
    bytes.extend((36 + body.len() as u32).to_le_bytes());
    bytes.resize(36, 0);
    bytes.extend(body);
    bytes[9] = 0_u8.wrapping_sub(bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte)));
    bytes
}

fn machine() -> Memory {
    let mut memory = vec![0; 1 << 20];
    let mut madt = 0xFEE0_0000_u32.to_le_bytes().to_vec();
    madt.extend([1, 0, 0, 0]);
    madt.extend([0, 8, 0, 0, 1, 0, 0, 0]);
    madt.extend([0, 8, 1, 1, 1, 0, 0, 0]);
    madt.extend([0, 8, 2, 2, 0, 0, 0, 0]);
    madt.extend([1, 12, 0, 0, 0, 0, 0xC0, 0xFE, 0, 0, 0, 0]);
    madt.extend([2, 10, 0, 9, 9, 0, 0, 0, 0x0D, 0]);
    madt.extend([4, 6, 0xFF, 0, 0, 1]);
    let mut fadt = vec![0; 244 - 36];
    fadt[46 - 36..48 - 36].copy_from_slice(&9_u16.to_le_bytes());
    fadt[64 - 36..68 - 36].copy_from_slice(&0x604_u32.to_le_bytes());
    fadt[76 - 36..80 - 36].copy_from_slice(&0x608_u32.to_le_bytes());
    fadt[112 - 36..116 - 36].copy_from_slice(&(1_u32 << 10).to_le_bytes());
    fadt[116 - 36] = 1;
    fadt[120 - 36..122 - 36].copy_from_slice(&0xCF9_u16.to_le_bytes());
    fadt[128 - 36] = 0xF;
    let mut hpet = vec![0; 20];
    hpet[8..16].copy_from_slice(&0xFED0_0000_u64.to_le_bytes());
    let mut mcfg = vec![0; 8];
    mcfg.extend(0xB000_0000_u64.to_le_bytes());
    mcfg.extend([0, 0, 0, 255, 0, 0, 0, 0]);
    let mut directory = Vec::new();
    for (index, bytes) in
        [table(b"APIC", &madt), table(b"FACP", &fadt), table(b"HPET", &hpet), table(b"MCFG", &mcfg)].iter().enumerate()
    {
        let address = 0x1000 * (index + 1);
        memory[address..address + bytes.len()].copy_from_slice(bytes);
        directory.extend((address as u32).to_le_bytes());
    }
    let root = table(b"RSDT", &directory);
    memory[0x8000..0x8000 + root.len()].copy_from_slice(&root);
    let mut rsdp = b"RSD PTR ".to_vec();
    rsdp.extend([0; 8]);
    rsdp.extend(0x8000_u32.to_le_bytes());
    rsdp[8] = 0_u8.wrapping_sub(rsdp.iter().fold(0, |sum, byte| sum.wrapping_add(*byte)));
    memory[0xF_0010..0xF_0010 + 20].copy_from_slice(&rsdp);
    Memory(memory)
}

#[test]
fn everything_is_read() {
    let tables = find(&machine()).unwrap();
    let madt = Madt::read(&tables).unwrap();
    assert_eq!(madt.local_address, 0xFEE0_0000);
    assert_eq!(madt.processors.iter().map(|cpu| cpu.enabled).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(madt.io_apics[0].address, 0xFEC0_0000);
    let sci = madt.overrides[0];
    assert_eq!((sci.isa, sci.gsi, sci.trigger, sci.polarity), (9, 9, Trigger::Level, Polarity::High));
    let fadt = Fadt::read(&tables).unwrap();
    assert_eq!((fadt.pm1a_control, fadt.pm_timer), (0x604, 0x608));
    assert_eq!(fadt.reset, Some((GenericAddress::Port(0xCF9), 0xF)));
    assert_eq!(Hpet::read(&tables).unwrap().address, 0xFED0_0000);
    assert_eq!(Mcfg::read(&tables).ranges[0].address, 0xB000_0000);
}

#[test]
fn a_missing_root_is_named() {
    assert_eq!(find(&Memory(vec![0; 1 << 20])).err(), Some(TableError::NoRoot));
}

#[test]
fn a_broken_table_is_left_out_and_a_broken_directory_is_named() {
    let mut memory = machine();
    memory.0[0x1010] ^= 1;
    assert!(Madt::read(&find(&memory).unwrap()).is_none());
    memory.0[0x8005] ^= 1;
    assert!(matches!(find(&memory).err(), Some(TableError::Broken(..))));
}

#[test]
fn truncated_entries_do_not_panic() {
    for cut in 0..200 {
        let mut memory = machine();
        let length = 36 + cut as u32;
        memory.0[0x1004..0x1008].copy_from_slice(&length.to_le_bytes());
        memory.0[0x1009] = 0;
        let sum = memory.0[0x1000..0x1000 + length as usize].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        memory.0[0x1009] = 0_u8.wrapping_sub(sum);
        let _ = Madt::read(&find(&memory).unwrap());
    }
}
