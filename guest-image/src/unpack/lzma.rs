//! XZ and LZMA through `lzma-rust2`, which forbids unsafe code as it is built here.

use crate::error::UnpackError;
use lzma_rust2::{Error, LzmaReader, Read, XzReader};

/// Most memory, in KiB, that a decoder may take for its dictionary: twice what `xz -9` and `lzma -9` ask for.
const MEMORY_LIMIT_KIB: u32 = 130 * 1024;

/// Unpacks one xz stream; returns the bytes written. Its own check (CRC32, CRC64 or SHA-256) is verified.
pub(super) fn unpack_xz(data: &[u8], output: &mut [u8]) -> Result<usize, UnpackError> {
    read_all(XzReader::new_mem_limit(data, false, MEMORY_LIMIT_KIB), output)
}

/// Unpacks one `.lzma` file; returns the bytes written.
pub(super) fn unpack_lzma(data: &[u8], output: &mut [u8]) -> Result<usize, UnpackError> {
    read_all(LzmaReader::new_mem_limit(data, MEMORY_LIMIT_KIB, None).map_err(translate)?, output)
}

/// Reads to the end of the stream, which also makes the decoder verify its trailer.
fn read_all<R: Read>(mut reader: R, output: &mut [u8]) -> Result<usize, UnpackError> {
    let mut written = 0;
    loop {
        let room = output.get_mut(written..).unwrap_or_default();
        if room.is_empty() {
            return match reader.read(&mut [0]).map_err(translate)? {
                0 => Ok(written),
                _ => Err(UnpackError::OutputOverrun),
            };
        }
        match reader.read(room).map_err(translate)? {
            0 => return Ok(written),
            count => written += count,
        }
    }
}

fn translate(error: Error) -> UnpackError {
    match error {
        Error::Eof | Error::Interrupted => UnpackError::InputEnded,
        Error::OutOfMemory(_) => UnpackError::OutOfMemory,
        Error::InvalidData(what)
        | Error::InvalidInput(what)
        | Error::Other(what)
        | Error::Unsupported(what)
        | Error::WriteZero(what) => UnpackError::Corrupt(what),
    }
}
