//! Bits, most significant first, and the Huffman codes of a bzip2 block.

use crate::error::UnpackError;

/// Longest code that the format allows.
const LONGEST_CODE: usize = 20;
/// Codes of up to this many bits are decoded by one look-up.
const FAST_BITS: u32 = 10;
/// Most symbols a code can have: 256 bytes less one, two run symbols, end of block.
pub(super) const MOST_SYMBOLS: usize = 258;

/// Reads bits from a slice.
pub(super) struct Bits<'a> {
    rest: &'a [u8],
    /// The next bits, left-aligned; all below `count` bits are zero.
    window: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { rest: data, window: 0, count: 0 }
    }

    /// Makes at least 32 bits available, unless the input ends.
    #[inline]
    fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some((chunk, rest)) = self.rest.split_first_chunk::<4>() {
            self.window |= u64::from(u32::from_be_bytes(*chunk)) << (32 - self.count);
            self.count += 32;
            self.rest = rest;
        } else if let Some((&byte, rest)) = self.rest.split_first() {
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
            self.rest = rest;
            self.refill();
        }
    }

    #[inline]
    fn drop_bits(&mut self, count: u32) -> Result<(), UnpackError> {
        self.count = self.count.checked_sub(count).ok_or(UnpackError::InputEnded)?;
        self.window <<= count;
        Ok(())
    }

    /// The next `count` bits (1 to 32).
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> Result<u32, UnpackError> {
        self.refill();
        let value = (self.window >> (64 - count)) as u32;
        self.drop_bits(count)?;
        Ok(value)
    }

    /// The next bit, as whether it is set.
    #[inline]
    pub(super) fn flag(&mut self) -> Result<bool, UnpackError> {
        Ok(self.take(1)? != 0)
    }

    /// The next 48 bits, as block and end markers have them.
    pub(super) fn marker(&mut self) -> Result<u64, UnpackError> {
        Ok((u64::from(self.take(24)?) << 24) | u64::from(self.take(24)?))
    }
}

/// One Huffman code, ready to decode with.
#[derive(Clone)]
pub(super) struct Code {
    /// For every prefix of [`FAST_BITS`] bits: symbol << 8 | length, or 0 if the code is longer.
    fast: [u32; 1 << FAST_BITS],
    /// For every length, one more than its largest code, left-aligned to 32 bits.
    limit: [u64; LONGEST_CODE + 1],
    /// For every length, what to subtract from a code to get its index in `sorted`; modulo 2^32.
    offset: [u32; LONGEST_CODE + 1],
    /// Symbols by length, then value.
    sorted: [u16; MOST_SYMBOLS],
}

impl Code {
    pub(super) const EMPTY: Self = Self {
        fast: [0; 1 << FAST_BITS],
        limit: [0; LONGEST_CODE + 1],
        offset: [0; LONGEST_CODE + 1],
        sorted: [0; MOST_SYMBOLS],
    };

    /// Reads the code lengths of `symbols` symbols and builds the code.
    pub(super) fn read(&mut self, bits: &mut Bits<'_>, symbols: usize) -> Result<(), UnpackError> {
        let mut lengths = [0u8; MOST_SYMBOLS];
        let mut length = bits.take(5)?;
        for slot in lengths.iter_mut().take(symbols) {
            loop {
                if !(1..=LONGEST_CODE as u32).contains(&length) {
                    return Err(UnpackError::Header("bad bzip2 code length", u64::from(length)));
                }
                if !bits.flag()? {
                    break;
                }
                length = if bits.flag()? { length - 1 } else { length + 1 };
            }
            *slot = length as u8;
        }
        self.build(lengths.get(..symbols).unwrap_or_default());
        Ok(())
    }

    /// Assigns codes in order of length, then symbol. An over-full code decodes to something, never out of bounds.
    fn build(&mut self, lengths: &[u8]) {
        self.fast.fill(0);
        let mut code = 0u32;
        let mut index = 0u32;
        for length in 1..=LONGEST_CODE as u32 {
            if let Some(slot) = self.offset.get_mut(length as usize) {
                *slot = code.wrapping_sub(index);
            }
            for (symbol, _) in lengths.iter().enumerate().filter(|&(_, &have)| u32::from(have) == length) {
                if let Some(slot) = self.sorted.get_mut(index as usize) {
                    *slot = symbol as u16;
                }
                self.fill_fast(code, length, symbol as u32);
                code = code.wrapping_add(1);
                index += 1;
            }
            if let Some(slot) = self.limit.get_mut(length as usize) {
                *slot = u64::from(code) << (32 - length);
            }
            code = code.wrapping_shl(1);
        }
    }

    fn fill_fast(&mut self, code: u32, length: u32, symbol: u32) {
        if length > FAST_BITS {
            return;
        }
        let first = (code as usize) << (FAST_BITS - length);
        let count = 1usize << (FAST_BITS - length);
        for slot in self.fast.iter_mut().skip(first).take(count) {
            *slot = symbol << 8 | length;
        }
    }

    /// Decodes the next symbol.
    #[inline]
    pub(super) fn decode(&self, bits: &mut Bits<'_>) -> Result<u32, UnpackError> {
        bits.refill();
        let entry = self.fast.get((bits.window >> (64 - FAST_BITS)) as usize).copied().unwrap_or(0);
        if entry != 0 {
            bits.drop_bits(entry & 0xff)?;
            return Ok(entry >> 8);
        }
        self.decode_slow(bits)
    }

    fn decode_slow(&self, bits: &mut Bits<'_>) -> Result<u32, UnpackError> {
        let head = bits.window >> 32;
        for length in FAST_BITS + 1..=LONGEST_CODE as u32 {
            let limit = self.limit.get(length as usize).copied().unwrap_or(0);
            if head < limit {
                let code = (head >> (32 - length)) as u32;
                let offset = self.offset.get(length as usize).copied().unwrap_or(0);
                let symbol = self.sorted.get(code.wrapping_sub(offset) as usize);
                let symbol = symbol.copied().ok_or(UnpackError::Corrupt("bad bzip2 code"))?;
                bits.drop_bits(length)?;
                return Ok(u32::from(symbol));
            }
        }
        Err(UnpackError::Corrupt("bad bzip2 code"))
    }
}
