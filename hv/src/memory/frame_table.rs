//! The frame table: one record for each frame of memory, at a fixed address.

/// Bytes of a record.
pub const RECORD_SIZE: u64 = 32;
