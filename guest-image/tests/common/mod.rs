//! Makes small kernels: ELF files with chosen notes, payloads in every format, bzImages around them.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops there"
)]
#![allow(dead_code, reason = "every test file uses a part of it")]

pub const VIRT_BASE: u64 = 0xffff_ffff_8000_0000;
pub const KERNEL_PHYSICAL: u64 = 0x100_0000;

/// A note of Xen's with the value's bytes.
pub type Note = (u32, Vec<u8>);

pub fn number(kind: u32, value: u64) -> Note {
    (kind, value.to_le_bytes().to_vec())
}

pub fn text(kind: u32, value: &str) -> Note {
    (kind, [value.as_bytes(), b"\0"].concat())
}

/// The notes that Linux has.
pub fn linux_notes() -> Vec<Note> {
    vec![
        text(6, "linux"),
        text(7, "2.6"),
        text(5, "xen-3.0"),
        number(3, VIRT_BASE),
        number(15, 0x80_0000_0000),
        number(1, VIRT_BASE + KERNEL_PHYSICAL),
        text(10, "!writable_page_tables|pae_pgdir_above_4gb"),
        (17, 0x8801u32.to_le_bytes().to_vec()),
        text(9, "yes"),
        text(8, "generic"),
        number(16, 1),
        number(4, 0),
    ]
}

pub fn replace(notes: &mut Vec<Note>, note: Note) {
    notes.retain(|(kind, _)| *kind != note.0);
    notes.push(note);
}

pub fn without(mut notes: Vec<Note>, kind: u32) -> Vec<Note> {
    notes.retain(|(have, _)| *have != kind);
    notes
}

pub fn note_bytes(notes: &[Note]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, value) in notes {
        bytes.extend(4u32.to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(b"Xen\0");
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// Where the notes are put.
#[derive(Clone, Copy, PartialEq)]
pub enum Place {
    Segment,
    Section,
    Legacy,
}

/// Two PT_LOAD segments: 256 bytes of text at KERNEL_PHYSICAL, 100 of data in 8192 of memory above, and `extra` bytes
/// of incompressible filling in the text segment.
pub fn elf_with(notes: &[u8], place: Place, filling: usize) -> Vec<u8> {
    let text_size = 256 + filling;
    let (headers, sections) = (64 + 3 * 56, 3);
    let text_at = headers;
    let data_at = text_at + text_size;
    let notes_at = data_at + 100;
    let names_at = notes_at + notes.len();
    let names = b"\0.note.Xen\0__xen_guest\0";
    let sections_at = names_at + names.len();

    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let push16 = |file: &mut Vec<u8>, value: u64| file.extend((value as u16).to_le_bytes());
    let push32 = |file: &mut Vec<u8>, value: u64| file.extend((value as u32).to_le_bytes());
    push16(&mut file, 2);
    push16(&mut file, 62);
    push32(&mut file, 1);
    for value in [KERNEL_PHYSICAL, 64, sections_at as u64] {
        file.extend(value.to_le_bytes());
    }
    push32(&mut file, 0);
    for value in [64, 56, 3, 64, sections, 2] {
        push16(&mut file, value);
    }
    let data_physical = (KERNEL_PHYSICAL + text_size as u64).next_multiple_of(4096);
    let note_type = if place == Place::Segment { 4 } else { 0 };
    for (kind, offset, physical, in_file, in_memory) in [
        (1, text_at, KERNEL_PHYSICAL, text_size, text_size),
        (1, data_at, data_physical, 100, 8192),
        (note_type, notes_at, 0, notes.len(), notes.len()),
    ] {
        push32(&mut file, kind);
        push32(&mut file, 7);
        for value in [offset as u64, VIRT_BASE + physical, physical, in_file as u64, in_memory as u64, 4096] {
            file.extend(value.to_le_bytes());
        }
    }
    let mut state = 0x1234_5678u32;
    file.extend((0..text_size).map(|index| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Half noise, half pattern: something for every decoder to do.
        if index / 512 % 2 == 0 { (state >> 24) as u8 } else { (index % 7) as u8 }
    }));
    file.extend([0xdd; 100]);
    file.extend(notes);
    file.extend(names);
    let note_section = if place == Place::Section { 7 } else { 1 };
    let name = if place == Place::Legacy { 11 } else { 1 };
    for (name, kind, offset, size) in
        [(0, 0, 0, 0), (name, note_section, notes_at, notes.len()), (0, 3, names_at, names.len())]
    {
        push32(&mut file, name);
        push32(&mut file, kind);
        for value in [0, 0, offset as u64, size as u64] {
            file.extend(value.to_le_bytes());
        }
        push32(&mut file, 0);
        push32(&mut file, 0);
        file.extend([0; 16]);
    }
    file
}

pub fn elf(notes: &[Note]) -> Vec<u8> {
    elf_with(&note_bytes(notes), Place::Segment, 3000)
}

/// A bzImage of protocol `version` around `payload`.
pub fn bzimage(version: u16, payload: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 3 * 512];
    file[0x1f1] = 2;
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&version.to_le_bytes());
    file[0x248..0x24c].copy_from_slice(&100u32.to_le_bytes());
    file[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file.extend([0x90; 100]);
    file.extend(payload);
    file.extend([0xcc; 50]);
    file
}

/// `packed` followed by the unpacked size, as Linux's build does it.
pub fn with_size(mut packed: Vec<u8>, size: usize) -> Vec<u8> {
    packed.extend((size as u32).to_le_bytes());
    packed
}

pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0x08 | 0x04, 0, 0, 0, 0, 2, 3];
    packed.extend([3, 0, b'a', b'b', b'c']);
    packed.extend(b"vmlinux\0");
    packed.extend(miniz_oxide::deflate::compress_to_vec(data, 9));
    packed.extend(crc32(data).to_le_bytes());
    with_size(packed, data.len())
}

pub fn xz(data: &[u8]) -> Vec<u8> {
    use lzma_rust2::{FilterConfig, FilterType, Write, XzOptions, XzWriter};
    let mut options = XzOptions::with_preset(1);
    options.lzma_options.dict_size = 1 << 16;
    options.filters = vec![FilterConfig { filter_type: FilterType::BcjX86, property: 0 }];
    let mut writer = XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(data).unwrap();
    with_size(writer.finish().unwrap(), data.len())
}

pub fn lzma(data: &[u8]) -> Vec<u8> {
    use lzma_rust2::{LzmaOptions, LzmaWriter, Write};
    let mut options = LzmaOptions::with_preset(1);
    options.dict_size = 1 << 16;
    let mut writer = LzmaWriter::new_use_header(Vec::new(), &options, None).unwrap();
    writer.write_all(data).unwrap();
    with_size(writer.finish().unwrap(), data.len())
}

pub fn bzip2(data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    writer.write_all(data).unwrap();
    with_size(writer.finish().unwrap(), data.len())
}

pub fn zstd(data: &[u8]) -> Vec<u8> {
    with_size(ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest), data.len())
}

pub fn lz4(data: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x02, 0x21, 0x4c, 0x18];
    for block in data.chunks(4096) {
        let block = lz4_flex::block::compress(block);
        packed.extend((block.len() as u32).to_le_bytes());
        packed.extend(block);
    }
    with_size(packed, data.len())
}

/// An lzop container. Blocks of one repeated byte become a literal and a match, others are stored.
pub fn lzo(data: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x89, b'L', b'Z', b'O', 0, 0x0d, 0x0a, 0x1a, 0x0a];
    packed.extend([0x10, 0x40, 0x20, 0xa0, 0x09, 0x40, 1, 5]);
    packed.extend(0x0300_0101u32.to_be_bytes());
    packed.extend([0; 12]);
    packed.extend([2, b'v', b'm']);
    packed.extend([0; 4]);
    for block in data.chunks(1000) {
        let encoded = lzo_block(block);
        let body = if encoded.len() < block.len() { &encoded[..] } else { block };
        packed.extend((block.len() as u32).to_be_bytes());
        packed.extend((body.len() as u32).to_be_bytes());
        packed.extend(adler2::adler32_slice(block).to_be_bytes());
        packed.extend(crc32(block).to_be_bytes());
        packed.extend(body);
    }
    packed.extend([0; 4]);
    with_size(packed, data.len())
}

/// A literal run, then one long match at distance 7 if the rest of the block repeats with that period.
fn lzo_block(block: &[u8]) -> Vec<u8> {
    let repeats = (8..block.len()).rev().take_while(|&index| block[index] == block[index - 7]).count();
    if repeats < 40 {
        return vec![0; block.len() + 1];
    }
    let literals = block.len() - repeats;
    let mut encoded = Vec::new();
    if literals <= 238 {
        encoded.push(literals as u8 + 17);
    } else {
        encoded.push(0);
        let mut left = literals - 18;
        while left > 255 {
            encoded.push(0);
            left -= 255;
        }
        encoded.push(left as u8);
    }
    encoded.extend(&block[..literals]);
    encoded.push(32);
    let mut left = repeats - 33;
    while left > 255 {
        encoded.push(0);
        left -= 255;
    }
    encoded.push(left as u8);
    encoded.extend(((7u16 - 1) << 2).to_le_bytes());
    encoded.extend([17, 0, 0]);
    encoded
}

pub fn crc32(data: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 != 0 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// Every format with its packer.
pub type Packer = fn(&[u8]) -> Vec<u8>;
pub const PACKERS: [(&str, Packer); 8] = [
    ("ELF", |data| data.to_vec()),
    ("gzip", gzip),
    ("bzip2", bzip2),
    ("lzma", lzma),
    ("xz", xz),
    ("lzo", lzo),
    ("lz4", lz4),
    ("zstd", zstd),
];
