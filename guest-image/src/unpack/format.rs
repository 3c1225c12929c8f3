//! Which format a payload has, and the way to its decoder.

use super::{bzip2, gzip, lz4, lzma, lzo, zstd};
use crate::error::UnpackError;
use core::fmt;

/// A kernel payload's format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// An ELF file as it is.
    Bare,
    /// Gzip (RFC 1952).
    Gzip,
    /// Bzip2.
    Bzip2,
    /// LZMA "alone".
    Lzma,
    /// XZ with LZMA2 and, as Linux makes it, the x86 filter.
    Xz,
    /// An lzop container of LZO1X blocks.
    Lzo,
    /// LZ4's legacy frame.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// First bytes of each format.
const MAGICS: [(&[u8], Format); 8] = [
    (b"\x7fELF", Format::Bare),
    (&[0x1f, 0x8b], Format::Gzip),
    (b"BZh", Format::Bzip2),
    // Properties 0x5d and a dictionary that is a multiple of 64 KiB: all that the usual tools make.
    (&[0x5d, 0, 0], Format::Lzma),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Format::Xz),
    (&[0x89, b'L', b'Z', b'O'], Format::Lzo),
    (&[0x02, 0x21, 0x4c, 0x18], Format::Lz4),
    (&[0x28, 0xb5, 0x2f, 0xfd], Format::Zstd),
];

impl Format {
    /// The format whose magic `data` starts with.
    pub(crate) fn detect(data: &[u8]) -> Option<Self> {
        MAGICS.iter().find(|(magic, _)| data.starts_with(magic)).map(|(_, format)| *format)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Bare => "ELF",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Lzma => "lzma",
            Self::Xz => "xz",
            Self::Lzo => "lzo",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

/// Unpacks `data`, size field included, into `output` and returns how many bytes came out.
pub(crate) fn unpack(format: Format, data: &[u8], output: &mut [u8]) -> Result<usize, UnpackError> {
    let packed = data.split_last_chunk::<4>().map_or(&[][..], |(packed, _)| packed);
    match format {
        Format::Bare => {
            let room = output.get_mut(..data.len()).ok_or(UnpackError::OutputOverrun)?;
            room.copy_from_slice(data);
            Ok(data.len())
        }
        Format::Gzip => gzip::unpack(data, output),
        Format::Bzip2 => bzip2::unpack(packed, output),
        Format::Lzma => lzma::unpack_lzma(packed, output),
        Format::Xz => lzma::unpack_xz(packed, output),
        Format::Lzo => lzo::unpack(packed, output),
        Format::Lz4 => lz4::unpack(packed, output),
        Format::Zstd => zstd::unpack(packed, output),
    }
}
