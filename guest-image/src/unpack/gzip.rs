//! Gzip: the header of RFC 1952 is read here, the deflate stream by `miniz_oxide`, and both checksums are verified.

use crate::bytes::{Reader, le32};
use crate::crc32::crc32;
use crate::error::UnpackError;
use alloc::vec::Vec;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;
const FLAGS_RESERVED: u8 = 0xe0;
const DEFLATE: u8 = 8;

/// Unpacks one gzip member; returns the bytes written.
pub(super) fn unpack(data: &[u8], output: &mut [u8]) -> Result<usize, UnpackError> {
    let stream = skip_header(data)?;
    // Some ten kilobytes of tables: on the heap, to spare the boot stack.
    let mut decoder = Vec::new();
    decoder.try_reserve_exact(1).map_err(|_| UnpackError::OutOfMemory)?;
    decoder.push(DecompressorOxide::new());
    let decoder = decoder.first_mut().ok_or(UnpackError::OutOfMemory)?;
    let (status, consumed, written) =
        decompress(decoder, stream, output, 0, inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF);
    match status {
        TINFLStatus::Done => {}
        TINFLStatus::HasMoreOutput => return Err(UnpackError::OutputOverrun),
        TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => return Err(UnpackError::InputEnded),
        _ => return Err(UnpackError::Corrupt("bad deflate stream")),
    }
    let stored = le32(stream, consumed).ok_or(UnpackError::InputEnded)?;
    let computed = crc32(output.get(..written).unwrap_or_default());
    if stored != computed {
        return Err(UnpackError::Checksum { stored, computed });
    }
    let size = le32(stream, consumed + 4).ok_or(UnpackError::InputEnded)?;
    if size != written as u32 {
        return Err(UnpackError::Header("wrong size in the trailer", u64::from(size)));
    }
    Ok(written)
}

/// Where the deflate stream starts.
fn skip_header(data: &[u8]) -> Result<&[u8], UnpackError> {
    let mut reader = Reader::new(data);
    let ended = UnpackError::InputEnded;
    let [_, _, method, flags, ..] = *reader.take(10).ok_or(ended)? else {
        return Err(ended);
    };
    if method != DEFLATE {
        return Err(UnpackError::Header("unknown method", u64::from(method)));
    }
    if flags & FLAGS_RESERVED != 0 {
        return Err(UnpackError::Header("reserved flags", u64::from(flags)));
    }
    if flags & FLAG_EXTRA != 0 {
        let length = reader.be16().ok_or(ended)?.swap_bytes();
        reader.take(usize::from(length)).ok_or(ended)?;
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            let length = reader.rest().iter().position(|&byte| byte == 0).ok_or(ended)?;
            reader.take(length + 1).ok_or(ended)?;
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        reader.take(2).ok_or(ended)?;
    }
    Ok(reader.rest())
}
