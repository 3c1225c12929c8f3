//! Grants with oneself: map and unmap, copy.

use compat_guests::buffer::Buffer;
use compat_guests::cost::{row, row_of};
use compat_guests::hypercall::call3;
use compat_guests::memory::{self, mfn_of, page, pages};
use compat_guests::number;

const MAP: u64 = 0;
const UNMAP: u64 = 1;
const SETUP: u64 = 2;
const COPY: u64 = 5;
/// First reference used.
const FIRST: u32 = 9;
/// In a batch.
const BATCH: usize = 32;

fn grant(command: u64, argument: u64, count: u64) -> i64 {
    call3(number::GRANT_TABLE_OP, command, argument, count)
}

/// All rows of this family.
pub fn measure() {
    let frames = page();
    let mut setup = Buffer::<24>::new().u16(0, number::DOMID_SELF as u16).u32(4, 1).u64(16, frames);
    grant(SETUP, setup.address(), 1);
    let Some(table) = memory::window(memory::read(frames)) else { return };
    let shared = page();
    for reference in FIRST..FIRST + BATCH as u32 {
        memory::write(table + u64::from(reference) * 8, mfn_of(shared) << 32 | 1);
    }
    map_one();
    map_many();
    copy();
}

fn map_one() {
    let at = page();
    row("grant map + unmap", |_| {
        let mut map = Buffer::<32>::new().u64(0, at).u32(8, 2).u32(12, FIRST);
        grant(MAP, map.address(), 1);
        let mut unmap = Buffer::<24>::new().u64(0, at).u32(16, map.get_u32(20));
        grant(UNMAP, unmap.address(), 1);
    });
}

fn map_many() {
    let at = pages(BATCH);
    let address = |index: usize| at + index as u64 * memory::PAGE;
    let mut map: [Buffer<32>; BATCH] =
        core::array::from_fn(|index| Buffer::new().u64(0, address(index)).u32(8, 2).u32(12, FIRST + index as u32));
    let mut unmap: [Buffer<24>; BATCH] = core::array::from_fn(|index| Buffer::new().u64(0, address(index)));
    row_of("grant map + unmap, batches of 32", 10, |_| {
        grant(MAP, map[0].address(), BATCH as u64);
        for (unmap, map) in unmap.iter_mut().zip(&map) {
            *unmap = unmap.clone().u32(16, map.get_u32(20));
        }
        grant(UNMAP, unmap[0].address(), BATCH as u64);
    });
}

fn copy() {
    let target = mfn_of(page());
    let copy = |length: u16| {
        Buffer::<40>::new()
            .u64(0, FIRST.into())
            .u64(16, target)
            .u16(24, number::DOMID_SELF as u16)
            .u16(32, length)
            .u16(34, 1)
    };
    for (name, length) in [("grant copy 4096 B", 4096u16), ("grant copy 64 B", 64)] {
        let mut argument = copy(length);
        row(name, |_| _ = grant(COPY, argument.address(), 1));
    }
    let mut batch: [Buffer<40>; 16] = core::array::from_fn(|_| copy(1500));
    row("grant copy, 16 x 1500 B", |_| _ = grant(COPY, batch[0].address(), 16));
}
