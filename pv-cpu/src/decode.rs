//! Instruction bytes, prefixes and ModRM operands: just enough x86 for what a PV guest makes us emulate.
//!
//! Fetched once, decoded from the copy. Why by hand: docs/decisions/0006-instruction-decoder.md. Decoding cannot loop: every
//! step consumes one of at most 15 bytes. Source: Intel SDM vol. 2 chapter 2.

use crate::address::is_guest_address;
use crate::exception::{Exception, page_fault};
use crate::registers::Registers;

/// Longest instruction.
pub const MAX_LENGTH: usize = 15;
const PAGE_MASK: u64 = 0xFFF;

/// Width of code and its default operand and address sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeWidth {
    /// 64-bit code.
    Long,
    /// 32-bit code (compatibility mode).
    Protected32,
    /// 16-bit code (compatibility mode).
    Protected16,
}

/// A segment register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Segment {
    /// ES.
    Extra,
    /// CS.
    Code,
    /// SS.
    Stack,
    /// DS.
    Data,
    /// FS.
    Fs,
    /// GS.
    Gs,
}

/// Copies instruction bytes from the guest's current address space.
pub trait Fetch {
    /// Fills `into` from linear address `from`; the range lies in one page. Errors: the page cannot be read by ring 3.
    fn fetch(&mut self, from: u64, into: &mut [u8]) -> Result<(), Unmapped>;

    /// Eight bytes from any linear address at once, lowest first. `None` where that is not possible, for whatever reason:
    /// [`Self::fetch`] finds out.
    #[inline(always)]
    fn fetch_word(&mut self, _from: u64) -> Option<u64> {
        None
    }
}

/// A guest page could not be accessed; `code` holds the error-code bits beyond the kind of access (PRESENT or nothing).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unmapped {
    /// First address that could not be accessed.
    pub address: u64,
    /// [`page_fault::PRESENT`] or 0.
    pub code: u32,
}

impl Unmapped {
    /// The page fault that a fetch raises.
    pub const fn fetch_fault(self) -> Exception {
        Exception::page_fault(self.address, self.code | page_fault::FETCH | page_fault::USER)
    }

    /// The page fault that a read raises.
    pub const fn read_fault(self) -> Exception {
        Exception::page_fault(self.address, self.code | page_fault::USER)
    }

    /// The page fault that a write raises.
    pub const fn write_fault(self) -> Exception {
        Exception::page_fault(self.address, self.code | page_fault::USER | page_fault::WRITE)
    }
}

/// Why an instruction was not decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// More bytes are needed than were fetched.
    Truncated,
    /// Not an instruction this decoder knows.
    Unknown,
}

/// Up to 15 bytes of an instruction, and where they came from.
#[derive(Clone, Copy, Debug)]
pub struct InstructionBytes {
    bytes: [u8; MAX_LENGTH],
    len: u8,
    linear: u64,
}

impl InstructionBytes {
    /// Fetches from `linear` to the end of the page, at most 15 bytes. Errors: the fault to raise.
    #[inline(always)]
    pub fn fetch(source: &mut impl Fetch, linear: u64) -> Result<Self, Exception> {
        let mut bytes = [0; MAX_LENGTH];
        let in_page = (PAGE_MASK + 1 - (linear & PAGE_MASK)) as usize;
        if !is_guest_address(linear) {
            return Err(Exception::GENERAL_PROTECTION);
        }
        let result = if in_page >= MAX_LENGTH {
            source.fetch(linear, &mut bytes)
        } else {
            source.fetch(linear, bytes.get_mut(..in_page).unwrap_or_default())
        };
        result.map_err(Unmapped::fetch_fault)?;
        Ok(Self { bytes, len: in_page.min(MAX_LENGTH) as u8, linear })
    }

    /// Fetches what the next page holds. Errors: the fault to raise; an instruction that is too long is #GP.
    #[cold]
    pub fn extend(&mut self, source: &mut impl Fetch) -> Result<(), Exception> {
        let have = usize::from(self.len);
        if have >= MAX_LENGTH {
            return Err(Exception::GENERAL_PROTECTION);
        }
        let next = self.linear.wrapping_add(have as u64);
        if !is_guest_address(next) {
            return Err(Exception::GENERAL_PROTECTION);
        }
        let rest = self.bytes.get_mut(have..).unwrap_or_default();
        source.fetch(next, rest).map_err(Unmapped::fetch_fault)?;
        self.len = MAX_LENGTH as u8;
        Ok(())
    }

    /// The bytes themselves, for tests and for callers that have them already. Bytes beyond 15 are ignored.
    pub fn from_slice(linear: u64, bytes: &[u8]) -> Self {
        let mut copy = [0; MAX_LENGTH];
        for (to, from) in copy.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self { bytes: copy, len: bytes.len().min(MAX_LENGTH) as u8, linear }
    }

    /// The first bytes, as far as fetched.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Decodes with `decode`, fetching the second page if the bytes of the first do not suffice.
    ///
    /// Errors: a fetch fault; `None` inside means `decode` does not know the instruction.
    #[inline]
    pub fn decode<T>(
        mut self,
        source: &mut impl Fetch,
        decode: impl Fn(Reader<'_>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, Exception> {
        loop {
            match decode(Reader { bytes: self.as_slice(), position: 0 }) {
                Ok(decoded) => return Ok(Some(decoded)),
                Err(DecodeError::Unknown) => return Ok(None),
                Err(DecodeError::Truncated) => self.extend(source)?,
            }
        }
    }
}

/// Walks over instruction bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: u8,
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, position: 0 }
    }

    /// Bytes consumed.
    #[inline(always)]
    pub const fn position(&self) -> u8 {
        self.position
    }

    /// The next byte.
    #[inline(always)]
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.bytes.get(usize::from(self.position)).ok_or(DecodeError::Truncated)?;
        self.position += 1;
        Ok(byte)
    }

    /// The next `len` bytes (at most 8) as a little-endian number, sign-extended.
    pub fn signed(&mut self, len: u8) -> Result<u64, DecodeError> {
        let mut value = 0;
        for index in 0..u32::from(len.min(8)) {
            value |= u64::from(self.byte()?) << (8 * index);
        }
        let unused = 64 - 8 * u32::from(len.clamp(1, 8));
        Ok(((value << unused) as i64 >> unused) as u64)
    }

    /// Prefixes and the byte after them.
    #[inline]
    pub fn prefixes(&mut self) -> Result<(Prefixes, u8), DecodeError> {
        self.prefixes_in(CodeWidth::Long)
    }

    /// Prefixes of code of the given width, and the byte after them.
    #[inline]
    pub fn prefixes_in(&mut self, width: CodeWidth) -> Result<(Prefixes, u8), DecodeError> {
        let mut prefixes = Prefixes::default();
        loop {
            let byte = self.byte()?;
            if width == CodeWidth::Long && byte & 0xF0 == 0x40 {
                prefixes.rex = byte;
                continue;
            }
            if !prefixes.take(byte) {
                return Ok((prefixes, byte));
            }
            // A REX prefix counts only right before the opcode.
            prefixes.rex = 0;
        }
    }
}

/// What stood before the opcode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Prefixes {
    /// REX byte, 0 if none.
    pub rex: u8,
    /// 0x66.
    pub operand_size: bool,
    /// 0x67.
    pub address_size: bool,
    /// 0xF0.
    pub lock: bool,
    /// 0xF2 or 0xF3, the last one; 0 if none.
    pub repeat: u8,
    /// Segment override, the last one.
    pub segment: Option<Segment>,
}

impl Prefixes {
    #[inline(always)]
    fn take(&mut self, byte: u8) -> bool {
        match byte {
            0x66 => self.operand_size = true,
            0x67 => self.address_size = true,
            0xF0 => self.lock = true,
            0xF2 | 0xF3 => self.repeat = byte,
            0x26 => self.segment = Some(Segment::Extra),
            0x2E => self.segment = Some(Segment::Code),
            0x36 => self.segment = Some(Segment::Stack),
            0x3E => self.segment = Some(Segment::Data),
            0x64 => self.segment = Some(Segment::Fs),
            0x65 => self.segment = Some(Segment::Gs),
            _ => return false,
        }
        true
    }

    /// REX.W.
    pub const fn wide(&self) -> bool {
        self.rex & 8 != 0
    }

    /// REX.R as the high bit of a register number.
    pub const fn reg_high(&self) -> u8 {
        (self.rex & 4) << 1
    }

    /// REX.X as the high bit of a register number.
    pub const fn index_high(&self) -> u8 {
        (self.rex & 2) << 2
    }

    /// REX.B as the high bit of a register number.
    pub const fn base_high(&self) -> u8 {
        (self.rex & 1) << 3
    }
}

/// Reads general register `index` (its low four bits, in the CPU's numbering).
pub const fn register(registers: &Registers, index: u8) -> u64 {
    match index & 15 {
        0 => registers.rax,
        1 => registers.rcx,
        2 => registers.rdx,
        3 => registers.rbx,
        4 => registers.rsp,
        5 => registers.rbp,
        6 => registers.rsi,
        7 => registers.rdi,
        8 => registers.r8,
        9 => registers.r9,
        10 => registers.r10,
        11 => registers.r11,
        12 => registers.r12,
        13 => registers.r13,
        14 => registers.r14,
        _ => registers.r15,
    }
}

/// The place of general register `index` (its low four bits, in the CPU's numbering).
pub const fn register_mut(registers: &mut Registers, index: u8) -> &mut u64 {
    match index & 15 {
        0 => &mut registers.rax,
        1 => &mut registers.rcx,
        2 => &mut registers.rdx,
        3 => &mut registers.rbx,
        4 => &mut registers.rsp,
        5 => &mut registers.rbp,
        6 => &mut registers.rsi,
        7 => &mut registers.rdi,
        8 => &mut registers.r8,
        9 => &mut registers.r9,
        10 => &mut registers.r10,
        11 => &mut registers.r11,
        12 => &mut registers.r12,
        13 => &mut registers.r13,
        14 => &mut registers.r14,
        _ => &mut registers.r15,
    }
}

/// `value` cut to `width` bytes (1, 2, 4 or 8).
pub const fn truncate(value: u64, width: u8) -> u64 {
    match width {
        1 => value & 0xFF,
        2 => value & 0xFFFF,
        4 => value & 0xFFFF_FFFF,
        _ => value,
    }
}

/// Reads a register operand of `width` bytes; without REX, byte registers 4 to 7 are ah, ch, dh, bh.
pub const fn register_operand(registers: &Registers, prefixes: &Prefixes, index: u8, width: u8) -> u64 {
    if width == 1 && prefixes.rex == 0 && index & 0xC == 4 {
        return register(registers, index & 3) >> 8 & 0xFF;
    }
    truncate(register(registers, index), width)
}

/// Writes a register operand of `width` bytes as the CPU does: 4 bytes clear the upper half, 1 and 2 keep the rest.
pub const fn set_register_operand(registers: &mut Registers, prefixes: &Prefixes, index: u8, width: u8, value: u64) {
    if width == 1 && prefixes.rex == 0 && index & 0xC == 4 {
        let place = register_mut(registers, index & 3);
        *place = *place & !0xFF00 | (value & 0xFF) << 8;
        return;
    }
    merge(register_mut(registers, index), width, value);
}

/// Puts `width` bytes into a register as the CPU does: 4 bytes clear the upper half, 1 and 2 keep the rest.
#[inline]
pub const fn merge(place: &mut u64, width: u8, value: u64) {
    *place = match width {
        1 => *place & !0xFF | value & 0xFF,
        2 => *place & !0xFFFF | value & 0xFFFF,
        4 => value & 0xFFFF_FFFF,
        _ => value,
    };
}
