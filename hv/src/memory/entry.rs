//! Bits of page-table entries as the CPU reads them. Source: AMD64 manual, volume 2, §5.4.

/// Entry is valid.
pub const PRESENT: u64 = 1 << 0;
/// Writes are allowed.
pub const WRITABLE: u64 = 1 << 1;
/// User mode may access.
pub const USER: u64 = 1 << 2;
/// Page-level write-through.
pub const WRITE_THROUGH: u64 = 1 << 3;
/// Page-level cache disable.
pub const CACHE_DISABLE: u64 = 1 << 4;
/// Set by the CPU on access.
pub const ACCESSED: u64 = 1 << 5;
/// Set by the CPU on a write.
pub const DIRTY: u64 = 1 << 6;
/// Level 2 or 3: maps a large page.
pub const LARGE: u64 = 1 << 7;
/// Survives CR3 writes.
pub const GLOBAL: u64 = 1 << 8;
/// No instruction fetch.
pub const NO_EXECUTE: u64 = 1 << 63;
/// Bits of the frame's address.
pub const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// Rights of ordinary hypervisor data.
pub const DATA: u64 = PRESENT | WRITABLE | ACCESSED | DIRTY | GLOBAL | NO_EXECUTE;
/// Rights of hypervisor constants.
pub const CONSTANT: u64 = PRESENT | ACCESSED | GLOBAL | NO_EXECUTE;
/// Rights of hypervisor code.
pub const CODE: u64 = PRESENT | ACCESSED | GLOBAL;
/// Device registers.
pub const DEVICE: u64 = DATA | CACHE_DISABLE | WRITE_THROUGH;
/// A table above a mapping of any rights.
pub const TABLE: u64 = PRESENT | WRITABLE | USER | ACCESSED | DIRTY;

/// The frame an entry points to.
pub const fn frame(entry: u64) -> abi::Mfn {
    abi::Mfn((entry & ADDRESS) >> 12)
}
