//! Frames, the tables the builder made, and a pool of mapped pages.
//!
//! The pool is part of the image, so its pages are mapped from the start with ordinary 4 KiB entries.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::hypercall::{mmuext, update_va_mapping};
use crate::number::mmuext as ext;
use crate::start::{self, VIRT_BASE};

/// Bytes in a page.
pub const PAGE: u64 = 4096;
/// Present.
pub const P: u64 = 1;
/// Writable.
pub const RW: u64 = 2;
/// User (added to every present entry by the hypervisor).
pub const US: u64 = 4;
/// Accessed.
pub const A: u64 = 0x20;
/// Dirty.
pub const D: u64 = 0x40;
/// No execute.
pub const NX: u64 = 1 << 63;
/// The entry flags of an ordinary writable page.
pub const DATA: u64 = P | RW | US | A | D;
/// The entry flags of an ordinary read-only page.
pub const READ_ONLY: u64 = P | US | A | D;
/// `UVMF_INVLPG`, this vCPU.
pub const INVLPG: u64 = 2;

const POOL_PAGES: usize = 1024;

#[repr(C, align(4096))]
struct Pool([[u8; PAGE as usize]; POOL_PAGES]);

static mut POOL: Pool = Pool([[0; PAGE as usize]; POOL_PAGES]);
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A zeroed, mapped page of the pool: its virtual address. Pages are not given back.
pub fn page() -> u64 {
    pages(1)
}

/// Consecutive virtual pages of the pool.
pub fn pages(count: usize) -> u64 {
    let first = NEXT.fetch_add(count, Ordering::Relaxed);
    assert!(first + count <= POOL_PAGES, "page pool is used up");
    &raw const POOL as u64 + first as u64 * PAGE
}

/// The machine frame behind an address of the initial region.
pub fn mfn_of(address: u64) -> u64 {
    let pfn = (address - VIRT_BASE) / PAGE;
    // SAFETY: the p2m list is mapped by the builder and has an entry for each page of the initial region.
    unsafe { core::ptr::read_volatile((start::info_u64(104) + pfn * 8) as *const u64) }
}

/// The M2P entry of a frame; the frame must be RAM.
pub fn pfn_of(mfn: u64) -> u64 {
    // SAFETY: the read-only M2P is mapped for every RAM frame.
    unsafe { core::ptr::read_volatile((0xffff_8000_0000_0000 + mfn * 8) as *const u64) }
}

/// The virtual address of a frame of the initial region.
pub fn virtual_of(mfn: u64) -> u64 {
    VIRT_BASE + pfn_of(mfn) * PAGE
}

/// Frame number in an entry.
pub const fn frame_in(entry: u64) -> u64 {
    (entry & 0x000f_ffff_ffff_f000) >> 12
}

/// An entry for a frame.
pub const fn entry(mfn: u64, flags: u64) -> u64 {
    (mfn << 12) | flags
}

/// Reads 8 bytes of memory that the hypervisor or another CPU may change.
pub fn read(address: u64) -> u64 {
    // SAFETY: callers pass addresses of their own mapped pages, or want the fault.
    unsafe { core::ptr::read_volatile(address as *const u64) }
}

/// Writes 8 bytes.
pub fn write(address: u64, value: u64) {
    // SAFETY: callers pass addresses of their own mapped pages, or want the fault.
    unsafe { core::ptr::write_volatile(address as *mut u64, value) }
}

/// The table of `level` (4 to 1) that maps an address: its frame and virtual address.
pub fn table(address: u64, level: u32) -> Option<(u64, u64)> {
    let mut virtual_address = start::pt_base();
    let mut mfn = mfn_of(virtual_address);
    for above in (level + 1..=4).rev() {
        let found = read(virtual_address + index(address, above) * 8);
        if found & P == 0 {
            return None;
        }
        mfn = frame_in(found);
        virtual_address = virtual_of(mfn);
    }
    Some((mfn, virtual_address))
}

/// The index into a table of `level` for an address.
pub const fn index(address: u64, level: u32) -> u64 {
    (address >> (12 + 9 * (level - 1))) & 511
}

/// Machine address of the entry of `level` that maps an address.
pub fn entry_address(address: u64, level: u32) -> u64 {
    let (mfn, _) = table(address, level).expect("address has no such table");
    mfn * PAGE + index(address, level) * 8
}

/// The L1 entry that maps an address, as the hypervisor left it.
pub fn l1_entry(address: u64) -> u64 {
    match table(address, 1) {
        Some((_, virtual_address)) => read(virtual_address + index(address, 1) * 8),
        None => 0,
    }
}

/// Makes a page of the initial region read-only, so that it can become a table or a descriptor page.
pub fn make_read_only(address: u64) -> i64 {
    update_va_mapping(address, entry(mfn_of(address), READ_ONLY), INVLPG)
}

/// Makes a page of the initial region writable again.
pub fn make_writable(address: u64) -> i64 {
    update_va_mapping(address, entry(mfn_of(address), DATA), INVLPG)
}

/// A fresh pool page that maps a given machine frame instead of its own.
pub fn window(mfn: u64) -> Option<u64> {
    let address = page();
    (update_va_mapping(address, entry(mfn, DATA), INVLPG) == 0).then_some(address)
}

static SHARED_INFO: AtomicU64 = AtomicU64::new(0);

/// The shared_info page, mapped on first use.
pub fn shared_info() -> u64 {
    if let Some(known) = mapped_shared_info() {
        return known;
    }
    let address = window(start::info_u64(40) / PAGE).expect("shared_info cannot be mapped");
    SHARED_INFO.store(address, Ordering::Relaxed);
    address
}

/// The shared_info page if it is mapped.
pub fn mapped_shared_info() -> Option<u64> {
    let known = SHARED_INFO.load(Ordering::Relaxed);
    (known != 0).then_some(known)
}

/// Loads the same L4 again: a full flush, and the end of all lazily mapped LDT pages.
pub fn reload_base() -> i64 {
    mmuext(ext::NEW_BASEPTR, mfn_of(start::pt_base()), 0)
}
