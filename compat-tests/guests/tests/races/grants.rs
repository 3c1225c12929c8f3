//! Grant entries that change while they are used: the frame that is mapped or copied is the one that was pinned.

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::{call3, update_va_mapping};
use compat_guests::memory::{self, DATA, INVLPG, entry, frame_in, l1_entry, mfn_of, page};
use compat_guests::number::{self, DOMID_SELF};
use compat_guests::report::{check, give_up};

use crate::spoiler::{Shared, against, scatter};
use crate::tables::is_unused;

const MAP: u64 = 0;
const UNMAP: u64 = 1;
const SETUP: u64 = 2;
const COPY: u64 = 5;
const REFERENCE: u64 = 20;
const DEVICE: u32 = 1;
const HOST: u32 = 2;
const PERMIT: u64 = 1;
const READ_ONLY: u64 = 4;
const IN_USE: u64 = 0x18;

/// The shared table, and two frames that the entry names in turn.
static TABLE: Shared = Shared::new(0);
static FIRST: Shared = Shared::new(0);
static SECOND: Shared = Shared::new(0);

/// All races of this file.
pub fn race(rounds: u64) {
    TABLE.set(set_up());
    let pages = [page(), page()];
    for (at, pattern) in pages.into_iter().zip([0xaaaa_aaaa_aaaa_aaaa, 0xbbbb_bbbb_bbbb_bbbb]) {
        (0..512).for_each(|word| memory::write(at + word * 8, pattern));
    }
    FIRST.set(mfn_of(pages[0]));
    SECOND.set(mfn_of(pages[1]));
    map(rounds);
    copy(rounds, pages);
    two_maps(rounds);
    for (name, at) in ["first", "second"].into_iter().zip(pages) {
        let frame = mfn_of(at);
        // Patterns are no page-table entries.
        (0..512).for_each(|word| memory::write(at + word * 8, 0));
        update_va_mapping(at, 0, INVLPG);
        is_unused(name, frame);
    }
}

fn set_up() -> u64 {
    let (list, at) = (page(), page());
    let mut setup = Buffer::<24>::new().u16(0, DOMID_SELF as u16).u32(4, 1).u64(16, list);
    call3(number::GRANT_TABLE_OP, SETUP, setup.address(), 1);
    if update_va_mapping(at, entry(memory::read(list), DATA), INVLPG) != 0 {
        give_up(format_args!("the grant table cannot be mapped"));
    }
    at
}

/// Everything that an entry can turn into, the hypervisor's marks wiped away with it.
fn spoil(step: u64) {
    let pick = scatter(step);
    let frame = if pick & 1 == 0 { FIRST.get() } else { SECOND.get() };
    let header = [PERMIT, PERMIT, PERMIT, PERMIT | READ_ONLY, 0, 2, 3, PERMIT | 1 << 16, PERMIT | IN_USE];
    let header = header[(pick >> 8) as usize % header.len()];
    memory::write(TABLE.get() + REFERENCE * 8, frame << 32 | header);
    // Some calls find the entry at rest, others do not.
    (0..pick >> 16 & 0xff).for_each(|_| core::hint::spin_loop());
}

fn operation<const N: usize>(command: u64, argument: &mut Buffer<N>) -> i64 {
    call3(number::GRANT_TABLE_OP, command, argument.address(), 1)
}

/// Status, handle and bus address of one mapping.
fn map_once(address: u64, flags: u32) -> (u16, u32, u64) {
    let mut argument = Buffer::<32>::new().u64(0, address).u32(8, flags).u32(12, REFERENCE as u32).u16(16, 0);
    operation(MAP, &mut argument);
    (argument.get_u16(18), argument.get_u32(20), argument.get_u64(24))
}

fn unmap_once(address: u64, bus: u64, handle: u32) -> u16 {
    let mut argument = Buffer::<24>::new().u64(0, address).u64(8, bus).u32(16, handle);
    operation(UNMAP, &mut argument);
    argument.get_u16(20)
}

fn is_ours(frame: u64) -> bool {
    frame == FIRST.get() || frame == SECOND.get()
}

fn map(rounds: u64) {
    let at = page();
    let (mut mapped, mut strange, mut stuck) = (0u64, 0u64, 0u64);
    against("map-spoiled", rounds, spoil, |round| {
        let flags = HOST | if round % 3 == 0 { DEVICE } else { 0 };
        let (status, handle, bus) = map_once(at, flags);
        if status != 0 {
            return;
        }
        mapped += 1;
        let frame = frame_in(l1_entry(at));
        let same = flags & DEVICE == 0 || bus >> 12 == frame;
        strange += u64::from(!is_ours(frame) || !same);
        let bus = if flags & DEVICE == 0 { 0 } else { bus };
        stuck += u64::from(unmap_once(at, bus, handle) != 0);
    });
    check("map-is-of-one-frame", (strange == 0).into(), format_args!("{strange} of {mapped}"));
    check("map-can-be-undone", (stuck == 0).into(), format_args!("{stuck} of {mapped}"));
    check("map-happened", (mapped > 0).into(), format_args!("{mapped} of {rounds}"));
    marks_are_gone("map", at);
}

/// With the entry left alone, its marks come and go as they should: no pin was forgotten, none given back twice.
fn marks_are_gone(name: &str, at: u64) {
    let place = TABLE.get() + REFERENCE * 8;
    memory::write(place, FIRST.get() << 32 | PERMIT);
    let (status, handle, _) = map_once(at, HOST);
    let during = memory::read(place) & IN_USE;
    let unmapped = unmap_once(at, 0, handle);
    let after = memory::read(place) & IN_USE;
    let fine = (status, during, unmapped, after) == (0, IN_USE, 0, 0);
    check("marks", fine.into(), format_args!("{name}: {status} {during:#x} {unmapped} {after:#x}"));
}

/// A copy is of one frame as a whole, the first or the second.
fn copy(rounds: u64, pages: [u64; 2]) {
    let into = page();
    let patterns = pages.map(memory::read);
    let (mut copied, mut mixed) = (0u64, 0u64);
    against("copy-spoiled", rounds, spoil, |_| {
        let mut argument = Buffer::<40>::new()
            .u32(0, REFERENCE as u32)
            .u16(8, 0)
            .u64(16, mfn_of(into))
            .u16(24, DOMID_SELF as u16)
            .u16(32, 4096)
            .u16(34, 1);
        operation(COPY, &mut argument);
        if argument.get_u16(36) == 0 {
            copied += 1;
            let first = memory::read(into);
            let whole = (0..512).step_by(73).all(|word| memory::read(into + word * 8) == first);
            mixed += u64::from(!whole || !patterns.contains(&first));
        }
    });
    check("copy-is-of-one-frame", (mixed == 0).into(), format_args!("{mixed} of {copied}"));
    check("copy-happened", (copied > 0).into(), format_args!("{copied} of {rounds}"));
    marks_are_gone("copy", page());
}

/// Both vCPUs map and unmap the one entry: pins of both, each given back once.
fn two_maps(rounds: u64) {
    let place = TABLE.get() + REFERENCE * 8;
    memory::write(place, FIRST.get() << 32 | PERMIT);
    OTHER.set(page());
    let at = page();
    let mut odd = 0u64;
    against("two-maps", rounds, map_and_unmap, |_| {
        let (status, handle, _) = map_once(at, HOST);
        odd += u64::from(status != 0 || memory::read(place) & IN_USE != IN_USE || unmap_once(at, 0, handle) != 0);
    });
    odd += ODD.get();
    check("two-maps-results", (odd == 0).into(), format_args!("{odd} of {rounds}"));
    marks_are_gone("two-maps", at);
}

/// Where vCPU 1 maps, and what went wrong there.
static OTHER: Shared = Shared::new(0);
static ODD: Shared = Shared::new(0);

fn map_and_unmap(_: u64) {
    let (status, handle, _) = map_once(OTHER.get(), HOST);
    if status != 0 || unmap_once(OTHER.get(), 0, handle) != 0 {
        ODD.set(ODD.get() + 1);
    }
}
