//! LZ4's legacy frame, as `lz4 -l` and Linux's build make it: a magic number, then blocks of 8 MiB, each after its
//! packed size; nothing marks the end, and no checksum is there.

use crate::bytes::Reader;
use crate::error::UnpackError;
use lz4_flex::block::{DecompressError, decompress_into};

/// Unpacks all blocks; returns the bytes written.
pub(super) fn unpack(data: &[u8], output: &mut [u8]) -> Result<usize, UnpackError> {
    let mut reader = Reader::new(data);
    reader.take(4).ok_or(UnpackError::InputEnded)?;
    let mut written = 0;
    while !reader.rest().is_empty() {
        let size = reader.le32().ok_or(UnpackError::InputEnded)?;
        let block = reader.take(size as usize).ok_or(UnpackError::InputEnded)?;
        let room = output.get_mut(written..).ok_or(UnpackError::OutputOverrun)?;
        written += decompress_into(block, room).map_err(|error| match error {
            DecompressError::OutputTooSmall { .. } => UnpackError::OutputOverrun,
            _ => UnpackError::Corrupt("bad lz4 block"),
        })?;
    }
    Ok(written)
}
