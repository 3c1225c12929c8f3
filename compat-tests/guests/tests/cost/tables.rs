//! Changes of page-table entries, one at a time and in lists.

use super::area;
use compat_guests::cost::{row, row_of};
use compat_guests::hypercall::{call, mmu_update, update_va_mapping};
use compat_guests::memory::{self, DATA, INVLPG, READ_ONLY, entry, mfn_of, page};
use compat_guests::number;
use core::cell::UnsafeCell;

/// `UVMF_TLB_FLUSH`, this vCPU.
const FLUSH: u64 = 1;
/// `UVMF_ALL`.
const ALL: u64 = 4;
/// Updates in the longest list.
const LONGEST: usize = 512;

struct Updates(UnsafeCell<[[u64; 2]; LONGEST]>);
// SAFETY: only vCPU 0 uses it.
unsafe impl Sync for Updates {}
static UPDATES: Updates = Updates(UnsafeCell::new([[0; 2]; LONGEST]));

/// Makes a list of updates; `count` is at most [`LONGEST`].
pub fn updates(count: usize, mut one: impl FnMut(u64) -> [u64; 2]) -> &'static mut [[u64; 2]] {
    // SAFETY: callers use one list at a time, on one vCPU.
    let list = unsafe { &mut (&mut *UPDATES.0.get())[..count] };
    for (index, update) in list.iter_mut().enumerate() {
        *update = one(index as u64);
    }
    list
}

/// Hands a list of updates to the hypervisor.
#[inline(always)]
pub fn submit(list: &[[u64; 2]]) -> i64 {
    call(number::MMU_UPDATE, [list.as_ptr() as u64, list.len() as u64, 0, number::DOMID_SELF, 0])
}

/// All rows of this family.
pub fn measure() {
    one_entry();
    if area::prepare() {
        lists();
    }
}

fn one_entry() {
    let target = page();
    let frame = mfn_of(target);
    let by_turns = |round: u64| entry(frame, if round & 1 == 0 { READ_ONLY } else { DATA });
    for (name, flags) in [
        ("update_va_mapping, no flush", 0),
        ("update_va_mapping, invlpg", INVLPG),
        ("update_va_mapping, invlpg on all", INVLPG | ALL),
        ("update_va_mapping, flush", FLUSH),
        ("update_va_mapping, flush on all", FLUSH | ALL),
    ] {
        row(name, |round| _ = update_va_mapping(target, by_turns(round), flags));
        memory::make_writable(target);
    }
    let at = memory::entry_address(target, 1);
    row("mmu_update, 1 entry", |round| _ = mmu_update(at, by_turns(round)));
    memory::make_writable(target);
    // What the hypervisor does for a write to a table that is mapped read-only.
    let table = memory::table(target, 1).map_or(0, |(_, table)| table) + memory::index(target, 1) * 8;
    row("page-table entry written by mov, emulated", |round| memory::write(table, by_turns(round)));
    memory::make_writable(target);
}

fn lists() {
    for (name, count, rounds) in [("mmu_update, 64 entries", 64, 20), ("mmu_update, 512 entries", LONGEST, 4)] {
        let list = updates(count, |index| [area::entry_address(index), entry(area::unused_frame(index), DATA)]);
        submit(list);
        row_of(name, rounds, |_| {
            for update in list.iter_mut() {
                update[1] ^= memory::RW;
            }
            submit(list);
        });
        for update in list.iter_mut() {
            update[1] = 0;
        }
        submit(list);
    }
}
