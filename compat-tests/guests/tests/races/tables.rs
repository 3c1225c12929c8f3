//! Page types: a frame is never a page table and writable at once, not even through a translation that is out of date.

use compat_guests::hypercall::{mmuext, update_va_mapping};
use compat_guests::memory::{self, DATA, INVLPG, P, RW, entry, frame_in, l1_entry, mfn_of, page};
use compat_guests::number::mmuext as ext;
use compat_guests::report::check;
use compat_guests::trap;

use crate::spoiler::{Shared, against};

/// The frame that both want, and where the spoiler maps it.
static FRAME: Shared = Shared::new(0);
static WINDOW: Shared = Shared::new(0);

/// vCPU 0 makes a frame a page table and looks whether it stays as it is; vCPU 1 maps it, writes, unmaps it without a flush,
/// and writes again.
pub fn race(rounds: u64) {
    let (table, window) = (page(), page());
    let frame = mfn_of(table);
    memory::make_read_only(table);
    FRAME.set(frame);
    WINDOW.set(window);
    let (mut pinned, mut writable, mut changed) = (0u64, 0u64, 0u64);
    against("type-spoiled", rounds, spoil, |_| {
        if mmuext(ext::PIN_L1, frame, 0) != 0 {
            return;
        }
        pinned += 1;
        let before = memory::read(table);
        for _ in 0..64 {
            let mapping = l1_entry(window);
            writable += u64::from(mapping & (P | RW) == P | RW && frame_in(mapping) == frame);
            changed += u64::from(memory::read(table) != before);
        }
        mmuext(ext::UNPIN, frame, 0);
    });
    check("table-is-not-writable", (writable == 0).into(), format_args!("{writable} times, pinned {pinned}"));
    check("table-does-not-change", (changed == 0).into(), format_args!("{changed} times, pinned {pinned}"));
    check("table-was-pinned", (pinned > 0).into(), format_args!("{pinned} of {rounds}"));
    update_va_mapping(window, 0, INVLPG);
    is_unused("table", frame);
}

/// Values without the present bit: any of them may stand in a table.
fn spoil(step: u64) {
    let window = WINDOW.get();
    if update_va_mapping(window, entry(FRAME.get(), DATA), INVLPG) == 0 {
        memory::write(window, step << 1);
    }
    update_va_mapping(window, 0, 0);
    // Hits if the old translation is still there; that is fine as long as the frame is no table.
    let _ = trap::try_write(window, (step << 1) ^ 0xffff_0000);
}

/// A frame that nothing refers to can become a table and a writable page again.
pub fn is_unused(name: &str, frame: u64) {
    let pinned = mmuext(ext::PIN_L1, frame, 0);
    let unpinned = mmuext(ext::UNPIN, frame, 0);
    let window = page();
    let mapped = update_va_mapping(window, entry(frame, DATA), INVLPG);
    update_va_mapping(window, 0, INVLPG);
    let fine = (pinned, unpinned, mapped) == (0, 0, 0);
    check("nothing-is-left", fine.into(), format_args!("{name}: pin {pinned}, unpin {unpinned}, map {mapped}"));
}
