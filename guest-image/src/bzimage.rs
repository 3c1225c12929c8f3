//! The outer file: a Linux bzImage, a bare ELF kernel, or a compressed ELF kernel.
//!
//! Source: Linux x86 boot protocol (`setup_sects` at 0x1f1, "HdrS" at 0x202, `version` at 0x206, `payload_offset` at
//! 0x248, `payload_length` at 0x24c; the payload fields exist since 2.08).

use crate::bytes::{array_at, le16, le32};
use crate::error::ImageError;
use crate::unpack::{self, Format};
use alloc::vec::Vec;

const SETUP_SECTORS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const VERSION: usize = 0x206;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const SECTOR: u64 = 512;
const OLDEST_VERSION: u16 = 0x0208;

/// The kernel inside a boot module, still packed as it came.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    format: Format,
    data: &'a [u8],
    unpacked_size: usize,
}

impl<'a> Payload<'a> {
    /// Finds the kernel in `module`.
    ///
    /// # Errors
    /// [`ImageError::Truncated`], [`ImageError::OldBootProtocol`] or [`ImageError::UnknownFormat`].
    pub fn locate(module: &'a [u8]) -> Result<Self, ImageError> {
        let data = if array_at(module, MAGIC) == Some(*b"HdrS") { bzimage_payload(module)? } else { module };
        let Some(head) = data.first_chunk::<4>() else {
            return Err(ImageError::Truncated { what: "kernel", need: 4, have: data.len() as u64 });
        };
        let format = Format::detect(data).ok_or(ImageError::UnknownFormat(*head))?;
        let unpacked_size = match format {
            Format::Bare => data.len(),
            // Linux appends the size to every format but gzip, which ends in it by itself.
            _ => le32(data, data.len().saturating_sub(4)).unwrap_or(0) as usize,
        };
        Ok(Self { format, data, unpacked_size })
    }

    /// How the kernel is packed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Size in bytes of the unpacked kernel, as the file claims it.
    pub fn unpacked_size(&self) -> usize {
        self.unpacked_size
    }

    /// The kernel itself if it is not packed at all.
    pub fn bare(&self) -> Option<&'a [u8]> {
        (self.format == Format::Bare).then_some(self.data)
    }

    /// Unpacks into memory of the caller's, which must be exactly [`Self::unpacked_size`] bytes.
    ///
    /// # Errors
    /// [`ImageError::Unpack`] or [`ImageError::ShortOutput`]; the buffer's contents are then unspecified.
    pub fn unpack_into(&self, output: &mut [u8]) -> Result<(), ImageError> {
        let expected = self.unpacked_size as u64;
        if output.len() as u64 != expected {
            return Err(ImageError::ShortOutput { got: output.len() as u64, expected });
        }
        let got =
            unpack::unpack(self.format, self.data, output).map_err(|error| ImageError::Unpack(self.format, error))?;
        if got != output.len() {
            return Err(ImageError::ShortOutput { got: got as u64, expected });
        }
        Ok(())
    }

    /// Unpacks into fresh heap memory of at most `limit` bytes.
    ///
    /// # Errors
    /// [`ImageError::TooLarge`], [`ImageError::OutOfMemory`], and those of [`Self::unpack_into`].
    pub fn unpack(&self, limit: usize) -> Result<Vec<u8>, ImageError> {
        let size = self.unpacked_size;
        if size > limit {
            return Err(ImageError::TooLarge { size: size as u64, limit: limit as u64 });
        }
        let mut output = Vec::new();
        output.try_reserve_exact(size).map_err(|_| ImageError::OutOfMemory(size as u64))?;
        output.resize(size, 0);
        self.unpack_into(&mut output)?;
        Ok(output)
    }
}

/// The payload's bytes inside a bzImage.
fn bzimage_payload(module: &[u8]) -> Result<&[u8], ImageError> {
    let have = module.len() as u64;
    let header = || ImageError::Truncated { what: "bzImage header", need: PAYLOAD_LENGTH as u64 + 4, have };
    let version = le16(module, VERSION).ok_or_else(header)?;
    if version < OLDEST_VERSION {
        return Err(ImageError::OldBootProtocol(version));
    }
    let sectors = match module.get(SETUP_SECTORS).copied().ok_or_else(header)? {
        // The protocol: 0 means 4.
        0 => 4,
        sectors => u64::from(sectors),
    };
    let offset = u64::from(le32(module, PAYLOAD_OFFSET).ok_or_else(header)?);
    let length = u64::from(le32(module, PAYLOAD_LENGTH).ok_or_else(header)?);
    let start = (sectors + 1) * SECTOR + offset;
    let end = start + length;
    module.get(start as usize..end as usize).ok_or(ImageError::Truncated { what: "bzImage payload", need: end, have })
}
