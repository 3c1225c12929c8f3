//! The two CRC-32 variants that kernel payloads are protected with, eight bytes at a time.
//!
//! Source: RFC 1952 section 8 (reflected, gzip and lzop) and the bzip2 format (the same polynomial, not reflected).

/// The generator polynomial, most significant bit first.
const POLYNOMIAL: u32 = 0x04C1_1DB7;

const REFLECTED: [[u32; 256]; 8] = reflected_tables();
const FORWARD: [u32; 256] = forward_table();

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time, where a bad index is a build error")]
const fn reflected_tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let polynomial = POLYNOMIAL.reverse_bits();
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 != 0 { (value >> 1) ^ polynomial } else { value >> 1 };
            bit += 1;
        }
        tables[0][index] = value;
        index += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut index = 0;
        while index < 256 {
            let previous = tables[table - 1][index];
            tables[table][index] = (previous >> 8) ^ tables[0][(previous & 0xff) as usize];
            index += 1;
        }
        table += 1;
    }
    tables
}

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time, where a bad index is a build error")]
const fn forward_table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 0x8000_0000 != 0 { (value << 1) ^ POLYNOMIAL } else { value << 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

/// One step of a table: every byte is a valid index.
#[inline]
fn step(table: &[u32; 256], byte: u32) -> u32 {
    table.get((byte & 0xff) as usize).copied().unwrap_or(0)
}

/// CRC-32 of `bytes` as gzip and lzop have it.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = &REFLECTED;
    let (words, tail) = bytes.as_chunks::<8>();
    let mut crc = !0u32;
    for &word in words {
        let word = u64::from_le_bytes(word);
        let low = crc ^ word as u32;
        let high = (word >> 32) as u32;
        crc = step(t7, low)
            ^ step(t6, low >> 8)
            ^ step(t5, low >> 16)
            ^ step(t4, low >> 24)
            ^ step(t3, high)
            ^ step(t2, high >> 8)
            ^ step(t1, high >> 16)
            ^ step(t0, high >> 24);
    }
    for &byte in tail {
        crc = (crc >> 8) ^ step(t0, crc ^ u32::from(byte));
    }
    !crc
}

/// CRC-32 of `bytes` as bzip2 has it.
pub(crate) fn crc32_bzip2(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc = (crc << 8) ^ step(&FORWARD, (crc >> 24) ^ u32::from(byte));
    }
    !crc
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_values() {
        assert_eq!(super::crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(super::crc32_bzip2(b"123456789"), 0xFC89_1918);
        assert_eq!(super::crc32(b""), 0);
    }
}
