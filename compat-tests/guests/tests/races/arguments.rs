//! Arguments that change between being checked and being used: what was checked must be what is done.

use compat_guests::hypercall::{call4, update_va_mapping};
use compat_guests::memory::{self, DATA, INVLPG, P, RW, entry, frame_in, l1_entry, mfn_of, page};
use compat_guests::number::{self, DOMID_SELF};
use compat_guests::report::check;

use crate::spoiler::{Shared, against, scatter};

/// Where the argument lies.
static BLOCK: Shared = Shared::new(0);
/// A page that may be mapped, and a page table, which may not.
static GOOD: Shared = Shared::new(0);
static TABLE: Shared = Shared::new(0);

/// All races of this file.
pub fn race(rounds: u64) {
    page_table_update(rounds);
    exchange(rounds);
    multicall(rounds);
}

/// mmu_update whose value turns into a writable mapping of a page table, and whose address turns into another command.
fn page_table_update(rounds: u64) {
    let (block, window) = (page(), page());
    let (table, _) = memory::table(window, 1).unwrap_or((0, 0));
    BLOCK.set(block);
    GOOD.set(mfn_of(page()));
    TABLE.set(table);
    let target = memory::entry_address(window, 1);
    memory::write(block, target);
    let (mut bad_results, mut writable_tables, mut seen) = (0u64, 0u64, 0);
    against("update-spoiled", rounds, spoil_value, |_| {
        let result = call4(number::MMU_UPDATE, block, 1, 0, DOMID_SELF);
        if !matches!(result, 0 | -22 | -16) {
            bad_results += 1;
            seen = result;
        }
        let installed = l1_entry(window);
        writable_tables += u64::from(installed & (P | RW) == P | RW && frame_in(installed) == table);
    });
    update_va_mapping(window, 0, INVLPG);
    check("update-never-maps-a-table", (writable_tables == 0).into(), format_args!("{writable_tables} of {rounds}"));
    check("update-results", (bad_results == 0).into(), format_args!("{bad_results} of {rounds}, such as {seen}"));
}

fn spoil_value(step: u64) {
    let frame = if step.is_multiple_of(2) { GOOD.get() } else { TABLE.get() };
    memory::write(BLOCK.get() + 8, entry(frame, DATA));
}

/// XENMEM_exchange whose lists, counts and progress change: it may fail or not, but nothing is lost or written elsewhere.
fn exchange(rounds: u64) {
    let (block, lists) = (page(), page());
    let spare = page();
    let frame = mfn_of(spare);
    update_va_mapping(spare, 0, INVLPG);
    BLOCK.set(block);
    GOOD.set(lists);
    memory::write(lists, frame);
    memory::write(lists + 8, memory::pfn_of(frame));
    for (offset, value) in
        [(0, lists), (8, 1), (16, 0), (24, DOMID_SELF), (32, lists + 8), (40, 1), (48, 0), (56, DOMID_SELF)]
    {
        memory::write(block + offset, value);
    }
    let before = reservation();
    let mut odd = 0u64;
    against("exchange-spoiled", rounds, spoil_exchange, |_| {
        let result = call4(number::MEMORY_OP, number::memory::EXCHANGE, block, 0, 0);
        odd += u64::from(!(-95..=0).contains(&result));
    });
    check("exchange-results", (odd == 0).into(), format_args!("{odd} of {rounds}"));
    check(
        "exchange-loses-nothing",
        (reservation() == before).into(),
        format_args!("{} pages, {before} before", reservation()),
    );
}

fn spoil_exchange(step: u64) {
    let pick = scatter(step);
    let (offset, good) = [(0, GOOD.get()), (32, GOOD.get() + 8), (64, 0), (8, 1), (40, 1)][(pick % 5) as usize];
    let bad = [0xffff_8300_0000_0000, 0xffff_82d0_0000_0000, u64::MAX, 2, 1 << 40][(pick >> 8) as usize % 5];
    memory::write(BLOCK.get() + offset, bad);
    memory::write(BLOCK.get() + offset, good);
}

/// Pages that the domain has.
pub fn reservation() -> i64 {
    let domain = [DOMID_SELF as u16];
    call4(number::MEMORY_OP, number::memory::CURRENT_RESERVATION, domain.as_ptr() as u64, 0, 0)
}

/// A multicall whose entry turns from harmless into nested, unknown and back: one result of one of them, never a mixture.
fn multicall(rounds: u64) {
    let block = page();
    BLOCK.set(block);
    memory::write(block, number::XEN_VERSION);
    let version = call4(number::XEN_VERSION, 0, 0, 0, 0);
    let mut odd = 0u64;
    against("multicall-spoiled", rounds, spoil_multicall, |_| {
        memory::write(block + 8, 0x5555);
        let result = call4(number::MULTICALL, block, 1, 0, 0);
        let inner = memory::read(block + 8) as i64;
        odd += u64::from(result != 0 || !(inner == version || matches!(inner, -38 | -22)));
    });
    check("multicall-results", (odd == 0).into(), format_args!("{odd} of {rounds}"));
}

fn spoil_multicall(step: u64) {
    let call = [number::XEN_VERSION, number::MULTICALL, 63, number::XEN_VERSION, u64::MAX][step as usize % 5];
    memory::write(BLOCK.get(), call);
}
