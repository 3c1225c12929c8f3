//! A stretch of addresses with tables of its own, and frames that nothing maps: what the rows about page tables work on.

use compat_guests::hypercall::mmu_update;
use compat_guests::memory::{self, DATA, PAGE, entry, mfn_of, page};
use compat_guests::start::{self, VIRT_BASE};

/// First address: an entry of the builder's L2 that is free.
pub const START: u64 = VIRT_BASE + (300 << 21);
/// Tables, and with them 512 addresses each.
const TABLES: u64 = 2;
/// Entries that a storm works on: 1,000.
pub const ENTRIES: u64 = 1000;

/// Puts empty L1 tables there; gives back false if the hypervisor would not have it. Twice does no harm.
pub fn prepare() -> bool {
    if memory::table(START, 1).is_some() {
        return true;
    }
    (0..TABLES).all(|index| {
        let table = page();
        let at = memory::entry_address(START + (index << 21), 2);
        memory::make_read_only(table) == 0 && mmu_update(at, entry(mfn_of(table), DATA)) == 0
    })
}

/// Machine address of the L1 entry of an address by its index in the area.
pub fn entry_address(index: u64) -> u64 {
    memory::entry_address(START + index * PAGE, 1)
}

/// The page number of a page that no table maps: they lie above all that the builder used.
pub fn unused_page(index: u64) -> u64 {
    start::nr_pages() - 1 - index
}

/// The machine frame of a page that no table maps.
pub fn unused_frame(index: u64) -> u64 {
    memory::read(start::info_u64(104) + unused_page(index) * 8)
}
