//! Decompressors for kernel payloads: one file a format, all writing into one output slice and returning its length.
//!
//! Every decoder takes untrusted bytes and answers with a length or an [`UnpackError`](crate::UnpackError). Formats
//! other than gzip carry Linux's four bytes of size behind the compressed data.

mod bzip2;
mod bzip2_bits;
mod format;
mod gzip;
mod lz4;
mod lzma;
mod lzo;
mod zstd;

pub use format::Format;
pub(crate) use format::unpack;
