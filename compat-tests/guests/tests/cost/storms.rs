//! What fork, exec and exit do to page tables: a thousand entries at a time, in the lists of 32 that Linux makes.

use super::{area, entries, tables};
use compat_guests::cost::row_of;
use compat_guests::hypercall::{call1, mmuext};
use compat_guests::memory::{self, DATA, entry, make_read_only, make_writable, mfn_of, page};
use compat_guests::number::{self, mmuext as ext};
use compat_guests::trap::{self, TrapInfo};
use core::cell::UnsafeCell;

/// Updates in one call.
const LIST: u64 = 32;

struct Entries(UnsafeCell<[u64; area::ENTRIES as usize]>);
// SAFETY: only vCPU 0 uses it.
unsafe impl Sync for Entries {}
static WRITABLE: Entries = Entries(UnsafeCell::new([0; area::ENTRIES as usize]));
static ADDRESSES: Entries = Entries(UnsafeCell::new([0; area::ENTRIES as usize]));

/// All rows of this family.
pub fn measure() {
    if !area::prepare() {
        return;
    }
    // SAFETY: filled before anybody reads them.
    let (writable, addresses) = unsafe { (&mut *WRITABLE.0.get(), &mut *ADDRESSES.0.get()) };
    for index in 0..area::ENTRIES {
        writable[index as usize] = entry(area::unused_frame(index), DATA);
        addresses[index as usize] = area::entry_address(index);
    }
    row_of("map storm: 1000 entries, and unmap", 1, |_| {
        change(addresses, |index| writable[index]);
        change(addresses, |_| 0);
        mmuext(ext::TLB_FLUSH_LOCAL, 0, 0);
    });
    change(addresses, |index| writable[index]);
    row_of("fork storm: 1000 entries write-protected, and back", 1, |_| {
        change(addresses, |index| writable[index] & !memory::RW);
        mmuext(ext::TLB_FLUSH_LOCAL, 0, 0);
        change(addresses, |index| writable[index]);
    });
    copy_on_write(addresses, writable);
    change(addresses, |_| 0);
    address_space(writable);
}

/// Changes all entries of the area.
#[inline(always)]
fn change(addresses: &[u64], value: impl Fn(usize) -> u64) {
    for first in (0..area::ENTRIES).step_by(LIST as usize) {
        let count = LIST.min(area::ENTRIES - first) as usize;
        tables::submit(tables::updates(count, |index| {
            let index = (first + index) as usize;
            [addresses[index], value(index)]
        }));
    }
}

/// Write-protects all, then writes to each page: a fault, and an update by its handler.
fn copy_on_write(addresses: &[u64], writable: &[u64]) {
    let mut table = [TrapInfo::new(14, 0), TrapInfo::default()];
    table[0].address = &raw const entries::entry_copy as u64;
    call1(number::SET_TRAP_TABLE, table.as_ptr() as u64);
    row_of("copy-on-write storm: 1000 entries protected, written, faulted, updated", 1, |_| {
        change(addresses, |index| writable[index] & !memory::RW);
        mmuext(ext::TLB_FLUSH_LOCAL, 0, 0);
        entries::copy_loop(area::START, writable.as_ptr() as u64, area::ENTRIES);
    });
    trap::install();
}

/// A new address space with two full L1 tables made, pinned, unpinned and its pages writable again: exec and exit.
fn address_space(writable: &[u64]) {
    let pages: [u64; 5] = core::array::from_fn(|_| page());
    let [top, third, second, first, other] = pages;
    for (table, slot, below) in [(second, 0, first), (second, 1, other), (third, 0, second), (top, 0, third)] {
        memory::write(table + slot * 8, entry(mfn_of(below), DATA));
    }
    row_of("address space with 1000 entries: filled, pinned, unpinned", 1, |_| {
        for (index, value) in writable.iter().enumerate() {
            let table = if index < 500 { first } else { other };
            memory::write(table + (index as u64 % 500) * 8, value & !memory::RW);
        }
        for table in pages {
            make_read_only(table);
        }
        mmuext(ext::PIN_L4, mfn_of(top), 0);
        mmuext(ext::UNPIN, mfn_of(top), 0);
        for table in pages {
            make_writable(table);
        }
    });
}
