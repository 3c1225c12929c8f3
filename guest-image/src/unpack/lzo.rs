//! An lzop container: its header and blocks are read here, the LZO1X data by the crate `lzo`.
//!
//! Source: the container's published description (`lzop`'s conf.h constants as quoted by its file format notes).

use crate::bytes::Reader;
use crate::crc32::crc32;
use crate::error::UnpackError;
use adler2::adler32_slice;

const MAGIC: &[u8] = &[0x89, b'L', b'Z', b'O', 0, 0x0d, 0x0a, 0x1a, 0x0a];
/// From this version of the format on the header has the fields "version needed", "level" and the high time word.
const VERSION_LONG: u16 = 0x0940;
const FLAG_ADLER_UNPACKED: u32 = 0x0001;
const FLAG_ADLER_PACKED: u32 = 0x0002;
const FLAG_EXTRA_FIELD: u32 = 0x0040;
const FLAG_CRC_UNPACKED: u32 = 0x0100;
const FLAG_CRC_PACKED: u32 = 0x0200;
const FLAG_MULTIPART: u32 = 0x0400;
const FLAG_FILTER: u32 = 0x0800;
/// LZO1X-1, LZO1X-1(15) and LZO1X-999 are methods 1 to 3, all one data format.
const METHODS: core::ops::RangeInclusive<u8> = 1..=3;

/// Unpacks the container's only member; returns the bytes written.
pub(super) fn unpack(data: &[u8], output: &mut [u8]) -> Result<usize, UnpackError> {
    let mut reader = Reader::new(data);
    let flags = skip_header(&mut reader)?;
    let mut written = 0usize;
    loop {
        let unpacked_size = reader.be32().ok_or(UnpackError::InputEnded)? as usize;
        if unpacked_size == 0 {
            return Ok(written);
        }
        let end = written.checked_add(unpacked_size).ok_or(UnpackError::OutputOverrun)?;
        let room = output.get_mut(written..end).ok_or(UnpackError::OutputOverrun)?;
        unpack_block(&mut reader, flags, room)?;
        written = end;
    }
}

/// Reads the container's header and returns its flags.
fn skip_header(reader: &mut Reader<'_>) -> Result<u32, UnpackError> {
    let ended = UnpackError::InputEnded;
    if reader.take(MAGIC.len()).ok_or(ended)? != MAGIC {
        return Err(UnpackError::Corrupt("bad lzop magic"));
    }
    let version = reader.be16().ok_or(ended)?;
    reader.take(2).ok_or(ended)?;
    if version >= VERSION_LONG {
        reader.take(2).ok_or(ended)?;
    }
    let method = reader.byte().ok_or(ended)?;
    if !METHODS.contains(&method) {
        return Err(UnpackError::Header("unknown method", u64::from(method)));
    }
    if version >= VERSION_LONG {
        reader.take(1).ok_or(ended)?;
    }
    let flags = reader.be32().ok_or(ended)?;
    if flags & (FLAG_MULTIPART | FLAG_FILTER) != 0 {
        return Err(UnpackError::Header("unsupported flags", u64::from(flags)));
    }
    // Mode and time of the packed file.
    reader.take(if version >= VERSION_LONG { 12 } else { 8 }).ok_or(ended)?;
    let name = reader.byte().ok_or(ended)?;
    reader.take(usize::from(name)).ok_or(ended)?;
    reader.take(4).ok_or(ended)?;
    if flags & FLAG_EXTRA_FIELD != 0 {
        let length = reader.be32().ok_or(ended)?;
        reader.take(length as usize).ok_or(ended)?;
        reader.take(4).ok_or(ended)?;
    }
    Ok(flags)
}

/// Unpacks one block, which must fill `room` exactly, and verifies the checksums it has.
fn unpack_block(reader: &mut Reader<'_>, flags: u32, room: &mut [u8]) -> Result<(), UnpackError> {
    let mut next = || reader.be32().ok_or(UnpackError::InputEnded);
    let packed_size = next()? as usize;
    let is_stored = packed_size == room.len();
    if packed_size > room.len() {
        return Err(UnpackError::Header("packed block is larger than unpacked", packed_size as u64));
    }
    let adler = if flags & FLAG_ADLER_UNPACKED != 0 { Some(next()?) } else { None };
    let crc = if flags & FLAG_CRC_UNPACKED != 0 { Some(next()?) } else { None };
    for flag in [FLAG_ADLER_PACKED, FLAG_CRC_PACKED] {
        // Checksums of the packed bytes add nothing to those of the unpacked ones.
        if flags & flag != 0 && !is_stored {
            next()?;
        }
    }
    let packed = reader.take(packed_size).ok_or(UnpackError::InputEnded)?;
    if is_stored {
        room.copy_from_slice(packed);
    } else if lzo::decompress_into(packed, room) != Ok(room.len()) {
        return Err(UnpackError::Corrupt("bad lzo block"));
    }
    if let Some(stored) = adler {
        compare(stored, adler32_slice(room))?;
    }
    if let Some(stored) = crc {
        compare(stored, crc32(room))?;
    }
    Ok(())
}

fn compare(stored: u32, computed: u32) -> Result<(), UnpackError> {
    if stored == computed { Ok(()) } else { Err(UnpackError::Checksum { stored, computed }) }
}
