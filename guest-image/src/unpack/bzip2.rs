//! Bzip2: no crate offers it without both `std` and unsafe calls, so here it is (docs/decisions/0004).
//!
//! A stream is blocks of at most 900 kB, each run-length coded, Burrows-Wheeler transformed, moved to front and
//! Huffman coded; undone here in that order backwards. Block and stream checksums are verified. The "randomised"
//! blocks of bzip2 0.9.0 are refused.

use super::bzip2_bits::{Bits, Code, MOST_SYMBOLS};
use crate::crc32::crc32_bzip2;
use crate::error::UnpackError;
use alloc::vec::Vec;

const BLOCK_MARKER: u64 = 0x3141_5926_5359;
const END_MARKER: u64 = 0x1772_4538_5090;
const BLOCK_UNIT: usize = 100_000;
/// Symbols that share one selector.
const GROUP_SYMBOLS: usize = 50;
const MOST_CODES: u32 = 6;
/// Most selectors of use: a block of 900 000 symbols and its end mark.
const MOST_SELECTORS: usize = 18_002;
const RUN_A: u32 = 0;
const RUN_B: u32 = 1;

/// Unpacks one bzip2 stream; returns the bytes written.
pub(super) fn unpack(data: &[u8], output: &mut [u8]) -> Result<usize, UnpackError> {
    let &[b'B', b'Z', b'h', level @ b'1'..=b'9', ref rest @ ..] = data else {
        return Err(UnpackError::Corrupt("bad bzip2 header"));
    };
    let mut bits = Bits::new(rest);
    let mut block = Block::new(usize::from(level - b'0') * BLOCK_UNIT)?;
    let mut written = 0;
    let mut combined = 0u32;
    loop {
        match bits.marker()? {
            BLOCK_MARKER => {}
            END_MARKER => {
                compare(bits.take(32)?, combined)?;
                return Ok(written);
            }
            _ => return Err(UnpackError::Corrupt("bad bzip2 block marker")),
        }
        let stored = bits.take(32)?;
        let start = block.read(&mut bits)?;
        let room = output.get_mut(written..).ok_or(UnpackError::OutputOverrun)?;
        let count = block.expand(start, room)?;
        compare(stored, crc32_bzip2(room.get(..count).unwrap_or_default()))?;
        combined = combined.rotate_left(1) ^ stored;
        written += count;
    }
}

fn compare(stored: u32, computed: u32) -> Result<(), UnpackError> {
    if stored == computed { Ok(()) } else { Err(UnpackError::Checksum { stored, computed }) }
}

/// Working memory, made once: at most 3.6 MB of transform, the selectors and the codes.
struct Block {
    /// Low 8 bits: a byte of the transformed block; high 24: where its successor in the text is.
    links: Vec<u32>,
    /// Most bytes that a block of this stream's level may have.
    capacity: usize,
    selectors: Vec<u8>,
    codes: Vec<Code>,
    counts: [u32; 256],
}

impl Block {
    fn new(capacity: usize) -> Result<Self, UnpackError> {
        let mut links = Vec::new();
        let mut selectors = Vec::new();
        let mut codes = Vec::new();
        links
            .try_reserve_exact(capacity)
            .and_then(|()| selectors.try_reserve_exact(MOST_SELECTORS))
            .and_then(|()| codes.try_reserve_exact(MOST_CODES as usize))
            .map_err(|_| UnpackError::OutOfMemory)?;
        Ok(Self { links, capacity, selectors, codes, counts: [0; 256] })
    }

    /// Reads one block into `links`, as plain bytes, and returns where its text starts.
    fn read(&mut self, bits: &mut Bits<'_>) -> Result<usize, UnpackError> {
        if bits.flag()? {
            return Err(UnpackError::Corrupt("randomised bzip2 block"));
        }
        let start = bits.take(24)? as usize;
        let mut used = [0u8; 256];
        let used_count = read_used(bits, &mut used)?;
        self.read_codes(bits, used_count + 2)?;
        self.read_symbols(bits, &mut used, used_count)?;
        if start >= self.links.len() {
            return Err(UnpackError::Header("bad bzip2 start", start as u64));
        }
        Ok(start)
    }

    fn read_codes(&mut self, bits: &mut Bits<'_>, symbols: usize) -> Result<(), UnpackError> {
        let codes = bits.take(3)?;
        if !(2..=MOST_CODES).contains(&codes) {
            return Err(UnpackError::Header("bad number of bzip2 codes", u64::from(codes)));
        }
        let selectors = bits.take(15)? as usize;
        let mut order: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
        self.selectors.clear();
        for _ in 0..selectors {
            let mut position = 0usize;
            while bits.flag()? {
                position += 1;
                if position >= codes as usize {
                    return Err(UnpackError::Corrupt("bad bzip2 selector"));
                }
            }
            order.get_mut(..=position).unwrap_or_default().rotate_right(1);
            let [front, ..] = order;
            // Some compressors write more selectors than can be used; the surplus means nothing.
            if self.selectors.len() < MOST_SELECTORS {
                self.selectors.push(front);
            }
        }
        self.codes.resize(codes as usize, Code::EMPTY);
        self.codes.iter_mut().try_for_each(|code| code.read(bits, symbols))
    }

    /// Decodes Huffman, runs and move-to-front; `front` starts as the used bytes in order.
    fn read_symbols(&mut self, bits: &mut Bits<'_>, front: &mut [u8; 256], used: usize) -> Result<(), UnpackError> {
        let end_of_block = used as u32 + 1;
        self.links.clear();
        self.counts.fill(0);
        let mut run = 0usize;
        let mut run_weight = 1usize;
        for &selector in &self.selectors {
            let code = self.codes.get(usize::from(selector)).ok_or(UnpackError::Corrupt("bad bzip2 selector"))?;
            for _ in 0..GROUP_SYMBOLS {
                let symbol = code.decode(bits)?;
                if symbol <= RUN_B {
                    run += run_weight << (symbol - RUN_A);
                    run_weight <<= 1;
                    if run > self.capacity {
                        return Err(UnpackError::Corrupt("bzip2 block too long"));
                    }
                    continue;
                }
                let [newest, ..] = *front;
                append(&mut self.links, &mut self.counts, self.capacity, newest, run)?;
                (run, run_weight) = (0, 1);
                if symbol >= end_of_block {
                    return Ok(());
                }
                let moved = front.get_mut(..symbol as usize).unwrap_or_default();
                moved.rotate_right(1);
                let [newest, ..] = *front;
                append(&mut self.links, &mut self.counts, self.capacity, newest, 1)?;
            }
        }
        Err(UnpackError::Corrupt("bzip2 block without an end"))
    }

    /// Undoes the transform and the first run-length coding; returns the bytes written.
    fn expand(&mut self, start: usize, output: &mut [u8]) -> Result<usize, UnpackError> {
        self.link();
        let broken = UnpackError::Corrupt("bad bzip2 transform");
        let mut position = self.links.get(start).ok_or(broken)? >> 8;
        let mut written = 0usize;
        let mut equal = 0u32;
        let mut last = 256u32;
        for _ in 0..self.links.len() {
            let entry = *self.links.get(position as usize).ok_or(broken)?;
            position = entry >> 8;
            let byte = entry & 0xff;
            if equal == 4 {
                // Four equal bytes are followed by how many more there are.
                let end = written + byte as usize;
                output.get_mut(written..end).ok_or(UnpackError::OutputOverrun)?.fill(last as u8);
                written = end;
                (equal, last) = (0, 256);
                continue;
            }
            equal = if byte == last { equal + 1 } else { 1 };
            last = byte;
            *output.get_mut(written).ok_or(UnpackError::OutputOverrun)? = byte as u8;
            written += 1;
        }
        Ok(written)
    }

    /// Gives every byte of the sorted first column the position of its successor.
    fn link(&mut self) {
        let mut sum = 0;
        for count in &mut self.counts {
            let here = *count;
            *count = sum;
            sum += here;
        }
        for index in 0..self.links.len() {
            let byte = self.links.get(index).copied().unwrap_or(0) & 0xff;
            if let Some(next) = self.counts.get_mut(byte as usize) {
                if let Some(link) = self.links.get_mut(*next as usize) {
                    *link |= (index as u32) << 8;
                }
                *next += 1;
            }
        }
    }
}

/// Appends `count` times `byte`.
#[inline]
fn append(
    links: &mut Vec<u32>,
    counts: &mut [u32; 256],
    capacity: usize,
    byte: u8,
    count: usize,
) -> Result<(), UnpackError> {
    if count > capacity - links.len() {
        return Err(UnpackError::Corrupt("bzip2 block too long"));
    }
    links.resize(links.len() + count, u32::from(byte));
    if let Some(slot) = counts.get_mut(usize::from(byte)) {
        *slot += count as u32;
    }
    Ok(())
}

/// Reads which bytes occur, as two levels of bitmaps, into the head of `used`; returns how many.
fn read_used(bits: &mut Bits<'_>, used: &mut [u8; 256]) -> Result<usize, UnpackError> {
    let groups = bits.take(16)?;
    let mut count = 0usize;
    for group in (0..16u32).filter(|group| groups & (0x8000 >> group) != 0) {
        let members = bits.take(16)?;
        for member in (0..16u32).filter(|member| members & (0x8000 >> member) != 0) {
            if let Some(slot) = used.get_mut(count) {
                *slot = (group * 16 + member) as u8;
            }
            count += 1;
        }
    }
    if count == 0 || count + 2 > MOST_SYMBOLS {
        return Err(UnpackError::Header("bad number of bytes in a bzip2 block", count as u64));
    }
    Ok(count)
}
