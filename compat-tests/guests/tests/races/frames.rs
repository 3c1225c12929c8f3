//! Frames that are given back while another vCPU maps them.

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::{call2, mmuext, update_va_mapping};
use compat_guests::memory::{self, DATA, INVLPG, entry, frame_in, l1_entry, mfn_of, page, pfn_of};
use compat_guests::number::{self, DOMID_SELF, mmuext as ext};
use compat_guests::report::check;

use crate::arguments::reservation;
use crate::spoiler::{Shared, against};

/// The frame that comes and goes, and where the spoiler maps it.
static FRAME: Shared = Shared::new(0);
static WINDOW: Shared = Shared::new(0);

/// One reservation of one page; gives back the call's result and what stands in the list.
fn reserve(command: u64, list: u64, first: u64) -> (i64, u64) {
    memory::write(list, first);
    let mut argument = Buffer::<32>::new().u64(0, list).u64(8, 1).u16(24, DOMID_SELF as u16);
    (call2(number::MEMORY_OP, command, argument.address()), memory::read(list))
}

/// vCPU 0 gives a frame back and takes another for the same place; vCPU 1 maps whatever frame it was told of last.
pub fn race(rounds: u64) {
    let (list, spare, window) = (page(), page(), page());
    let first = mfn_of(spare);
    let place = pfn_of(first);
    update_va_mapping(spare, 0, INVLPG);
    FRAME.set(first);
    WINDOW.set(window);
    let before = reservation();
    let (mut lost, mut astray, mut given) = (0u64, 0u64, 0u64);
    against("balloon-spoiled", rounds, spoil, |_| {
        let (decreased, _) = reserve(number::memory::DECREASE_RESERVATION, list, FRAME.get());
        if decreased != 1 {
            return;
        }
        given += 1;
        let (populated, frame) = reserve(number::memory::POPULATE_PHYSMAP, list, place);
        if populated == 1 {
            astray += u64::from(pfn_of(frame) != place);
            FRAME.set(frame);
        } else {
            lost += 1;
        }
    });
    update_va_mapping(window, 0, INVLPG);
    let after = reservation();
    check(
        "balloon-keeps-count",
        (after + lost as i64 == before).into(),
        format_args!("{after} pages, {before} before, {lost} lost"),
    );
    check("balloon-fills-its-place", (astray == 0).into(), format_args!("{astray} of {given}"));
    check("balloon-happened", (given > 0).into(), format_args!("{given} of {rounds}"));
    check("stale-frame", (WRONG.get() == 0).into(), format_args!("{} mappings of another frame", WRONG.get()));
}

/// Mappings that were of another frame than asked for.
static WRONG: Shared = Shared::new(0);

fn spoil(step: u64) {
    let (window, frame) = (WINDOW.get(), FRAME.get());
    if step.is_multiple_of(4) {
        if mmuext(ext::PIN_L1, frame, 0) == 0 {
            mmuext(ext::UNPIN, frame, 0);
        }
        return;
    }
    if update_va_mapping(window, entry(frame, DATA), INVLPG) == 0 {
        if frame_in(l1_entry(window)) != frame {
            WRONG.set(WRONG.get() + 1);
        }
        memory::write(window + 8, 0);
        update_va_mapping(window, 0, INVLPG);
    }
}
