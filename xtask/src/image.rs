//! From the linked 64-bit image to what a multiboot loader takes: one 32-bit ELF segment at the load address.
//!
//! QEMU's `-kernel` and GRUB want an ELF32 container; the image itself is linked at a 64-bit address and loaded low.
//! The program headers' physical addresses say where each part goes; the memory size of the last includes the bss.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSegment, ObjectSymbol, elf, read::elf::ElfFile64};

/// Size of the ELF32 header and of its one program header; the segment starts on the next page of the file.
const HEADERS: usize = 52 + 32;
const PAGE: usize = 4096;

/// Writes the container of `linked` to `out`.
pub fn write(linked: &Path, out: &Path) -> Result<()> {
    let bytes = std::fs::read(linked).with_context(|| format!("cannot read {}", linked.display()))?;
    let container = wrap(&bytes).with_context(|| format!("{} is not the image", linked.display()))?;
    std::fs::write(out, container).with_context(|| format!("cannot write {}", out.display()))
}

fn wrap(bytes: &[u8]) -> Result<Vec<u8>> {
    let file = ElfFile64::<object::LittleEndian>::parse(bytes)?;
    let headers = file.elf_program_headers();
    let endian = object::LittleEndian;
    let loads: Vec<_> = headers.iter().filter(|header| header.p_type.get(endian) == elf::PT_LOAD).collect();
    let first = loads.iter().map(|header| header.p_paddr.get(endian)).min().context("no segment is loaded")?;
    let end = loads.iter().map(|header| header.p_paddr.get(endian) + header.p_memsz.get(endian)).max().unwrap_or(first);
    ensure!(end <= u64::from(u32::MAX), "segments end at {end:#x}, beyond 4 GiB");
    let mut content = Vec::new();
    for (header, segment) in loads.iter().zip(file.segments()) {
        let offset = (header.p_paddr.get(endian) - first) as usize;
        let data = segment.data()?;
        if content.len() < offset + data.len() {
            content.resize(offset + data.len(), 0);
        }
        let Some(target) = content.get_mut(offset..offset + data.len()) else { bail!("segments overlap") };
        target.copy_from_slice(data);
    }
    let start = file.symbols().find(|symbol| symbol.name() == Ok("boot_start")).context("no symbol boot_start")?;
    let base = loads.first().map_or(0, |header| header.p_vaddr.get(endian));
    let entry = start.address() - base + first;
    Ok(container(first as u32, entry as u32, (end - first) as u32, &content))
}

fn container(address: u32, entry: u32, memory_size: u32, content: &[u8]) -> Vec<u8> {
    const EXECUTABLE: u16 = 2;
    const MACHINE_386: u16 = 3;
    const ALL_RIGHTS: u32 = 7;
    let mut out = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |out: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|value| out.extend(value.to_le_bytes()));
    let word = |out: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|value| out.extend(value.to_le_bytes()));
    half(&mut out, &[EXECUTABLE, MACHINE_386]);
    word(&mut out, &[1, entry, 52, 0, 0]);
    half(&mut out, &[52, 32, 1, 0, 0, 0]);
    word(&mut out, &[1, PAGE as u32, address, address, content.len() as u32, memory_size, ALL_RIGHTS, PAGE as u32]);
    debug_assert_eq!(out.len(), HEADERS);
    out.resize(PAGE, 0);
    out.extend(content);
    out
}
