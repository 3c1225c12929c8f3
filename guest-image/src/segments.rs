//! ELF headers of a 64-bit kernel: what to load, and where its notes are.
//!
//! Source: System V ABI, ELF-64 object file format; parsed by the crate `elf`, which has no unsafe code.

use crate::error::ImageError;
use elf::abi::{EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, EM_X86_64, PT_LOAD, PT_NOTE, SHT_NOTE};
use elf::endian::LittleEndian;
use elf::file::FileHeader;
use elf::parse::ParsingTable;
use elf::section::SectionHeader;
use elf::segment::ProgramHeader;

const PROGRAM_HEADER_SIZE: u64 = 56;
const SECTION_HEADER_SIZE: u64 = 64;

/// One piece of the kernel: file bytes, then zeros up to the memory size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    /// Virtual address of the first byte; not necessarily page aligned.
    pub virtual_address: u64,
    /// Bytes from the file.
    pub bytes: &'a [u8],
    /// Size in memory, at least `bytes.len()`; what is above the file's bytes is zero.
    pub memory_size: u64,
}

/// The segments of a kernel in file order. Every one has been checked already, so iteration cannot fail.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    file: &'a [u8],
    headers: ParsingTable<'a, LittleEndian, ProgramHeader>,
    next: usize,
    /// Added to a physical address to make the virtual one.
    shift: u64,
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        while self.next < self.headers.len() {
            let header = self.headers.get(self.next).ok()?;
            self.next += 1;
            if is_loaded(&header) {
                let bytes = slice(self.file, header.p_offset, header.p_filesz).unwrap_or_default();
                let virtual_address = header.p_paddr.wrapping_add(self.shift);
                return Some(Segment { virtual_address, bytes, memory_size: header.p_memsz });
            }
        }
        None
    }
}

/// The parsed headers of an ELF file.
pub(crate) struct ElfKernel<'a> {
    file: &'a [u8],
    headers: ParsingTable<'a, LittleEndian, ProgramHeader>,
    sections: ParsingTable<'a, LittleEndian, SectionHeader>,
    section_names: usize,
    /// Entry point of the ELF header.
    pub(crate) entry: u64,
    /// Lowest physical address of a loaded segment.
    pub(crate) start: u64,
    /// End of the highest loaded segment.
    pub(crate) end: u64,
}

impl<'a> ElfKernel<'a> {
    /// Reads and checks the headers of `file`.
    pub(crate) fn parse(file: &'a [u8]) -> Result<Self, ImageError> {
        let header = parse_header(file)?;
        let headers = program_headers(file, &header)?;
        let mut start = u64::MAX;
        let mut end = 0;
        for segment in headers.iter().filter(is_loaded) {
            slice(file, segment.p_offset, segment.p_filesz).ok_or(ImageError::Truncated {
                what: "ELF segment",
                need: segment.p_offset.saturating_add(segment.p_filesz),
                have: file.len() as u64,
            })?;
            if segment.p_filesz > segment.p_memsz {
                return Err(ImageError::BadElf("segment larger in the file than in memory", segment.p_filesz));
            }
            start = start.min(segment.p_paddr);
            let top = segment.p_paddr.checked_add(segment.p_memsz);
            end = end.max(top.ok_or(ImageError::AddressOverflow(segment.p_paddr))?);
        }
        if start >= end {
            return Err(ImageError::NothingToLoad);
        }
        let sections = section_headers(file, &header);
        let section_names = usize::from(header.e_shstrndx);
        Ok(Self { file, headers, sections, section_names, entry: header.e_entry, start, end })
    }

    /// The loadable segments, each `shift` above its physical address.
    pub(crate) fn segments(&self, shift: u64) -> Segments<'a> {
        Segments { file: self.file, headers: self.headers, next: 0, shift }
    }

    /// Contents of every PT_NOTE segment.
    pub(crate) fn note_segments(&self) -> impl Iterator<Item = Result<&'a [u8], ImageError>> {
        // A PT_NOTE at offset 0 is what some old linkers made of an empty one.
        self.headers
            .iter()
            .filter(|header| header.p_type == PT_NOTE && header.p_offset != 0)
            .map(|header| self.contents("ELF note segment", header.p_offset, header.p_filesz))
    }

    /// Contents of every SHT_NOTE section.
    pub(crate) fn note_sections(&self) -> impl Iterator<Item = Result<&'a [u8], ImageError>> {
        self.sections
            .iter()
            .filter(|section| section.sh_type == SHT_NOTE)
            .map(|section| self.contents("ELF note section", section.sh_offset, section.sh_size))
    }

    /// Contents of the section called `name`.
    pub(crate) fn section(&self, name: &[u8]) -> Option<Result<&'a [u8], ImageError>> {
        let strings = self.sections.get(self.section_names).ok()?;
        let strings = slice(self.file, strings.sh_offset, strings.sh_size)?;
        let has_name = |section: &SectionHeader| {
            let rest = strings.get(section.sh_name as usize..).unwrap_or_default();
            rest.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0))
        };
        let section = self.sections.iter().find(has_name)?;
        Some(self.contents("__xen_guest section", section.sh_offset, section.sh_size))
    }

    fn contents(&self, what: &'static str, offset: u64, size: u64) -> Result<&'a [u8], ImageError> {
        let need = offset.saturating_add(size);
        slice(self.file, offset, size).ok_or(ImageError::Truncated { what, need, have: self.file.len() as u64 })
    }
}

fn is_loaded(header: &ProgramHeader) -> bool {
    header.p_type == PT_LOAD && header.p_memsz != 0
}

fn slice(file: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    file.get(start..end)
}

fn parse_header(file: &[u8]) -> Result<FileHeader<LittleEndian>, ImageError> {
    let have = file.len() as u64;
    let truncated = ImageError::Truncated { what: "ELF header", need: 64, have };
    let identity = file.get(..elf::abi::EI_NIDENT).ok_or(truncated)?;
    match identity {
        [0x7f, b'E', b'L', b'F', ..] => {}
        [a, b, c, d, ..] => return Err(ImageError::UnknownFormat([*a, *b, *c, *d])),
        _ => return Err(truncated),
    }
    let class = identity.get(EI_CLASS).copied().unwrap_or(0);
    if class != ELFCLASS64 {
        return Err(ImageError::NotElf64(class));
    }
    let data = identity.get(EI_DATA).copied().unwrap_or(0);
    if data != ELFDATA2LSB {
        return Err(ImageError::NotLittleEndian(data));
    }
    let ident = elf::file::parse_ident::<LittleEndian>(identity)
        .map_err(|_| ImageError::BadElf("identification", u64::from(identity.get(6).copied().unwrap_or(0))))?;
    let tail = file.get(elf::abi::EI_NIDENT..64).ok_or(truncated)?;
    let header = FileHeader::parse_tail(ident, tail).map_err(|_| truncated)?;
    if header.e_machine != EM_X86_64 {
        return Err(ImageError::WrongMachine(header.e_machine));
    }
    Ok(header)
}

fn program_headers<'a>(
    file: &'a [u8],
    header: &FileHeader<LittleEndian>,
) -> Result<ParsingTable<'a, LittleEndian, ProgramHeader>, ImageError> {
    if u64::from(header.e_phentsize) != PROGRAM_HEADER_SIZE && header.e_phnum != 0 {
        return Err(ImageError::BadElf("size of a program header", u64::from(header.e_phentsize)));
    }
    let size = u64::from(header.e_phnum) * PROGRAM_HEADER_SIZE;
    let table = slice(file, header.e_phoff, size).ok_or(ImageError::Truncated {
        what: "ELF program headers",
        need: header.e_phoff.saturating_add(size),
        have: file.len() as u64,
    })?;
    Ok(ParsingTable::new(header.endianness, header.class, table))
}

/// The section headers, or none if they are absent or broken: they are asked only when there are no program notes.
fn section_headers<'a>(
    file: &'a [u8],
    header: &FileHeader<LittleEndian>,
) -> ParsingTable<'a, LittleEndian, SectionHeader> {
    let size = u64::from(header.e_shnum) * SECTION_HEADER_SIZE;
    let table = match u64::from(header.e_shentsize) {
        SECTION_HEADER_SIZE => slice(file, header.e_shoff, size).unwrap_or_default(),
        _ => &[],
    };
    ParsingTable::new(header.endianness, header.class, table)
}
