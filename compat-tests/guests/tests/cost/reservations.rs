//! Ballooning: pages given away and taken back.

use super::area;
use compat_guests::buffer::Buffer;
use compat_guests::cost::{row, row_of};
use compat_guests::hypercall::call2;
use compat_guests::number::{self, memory as op};

/// Pages in the long row.
const MANY: usize = 512;
/// Which of the unused pages: those of the long row lie before it, tables' rows use the first ones.
const APART: u64 = 4000;

fn reservation(command: u64, list: &mut [u64]) -> i64 {
    let (address, count) = (list.as_mut_ptr() as u64, list.len() as u64);
    let mut argument = Buffer::<32>::new().u64(0, address).u64(8, count).u16(24, number::DOMID_SELF as u16);
    call2(number::MEMORY_OP, command, argument.address())
}

/// Gives the frames away, and fills the list with those that come instead.
#[inline(always)]
fn out_and_in(pages: &[u64], frames: &mut [u64]) {
    reservation(op::DECREASE_RESERVATION, frames);
    frames.copy_from_slice(pages);
    reservation(op::POPULATE_PHYSMAP, frames);
    // The call replaced page numbers by frames behind the compiler's back.
    core::hint::black_box(frames);
}

/// All rows of this family.
pub fn measure() {
    let (page, mut frame) = ([area::unused_page(APART)], [area::unused_frame(APART)]);
    row("balloon one page out and in", |_| out_and_in(&page, &mut frame));
    let pages: [u64; MANY] = core::array::from_fn(|index| area::unused_page(APART + 1 + index as u64));
    let mut frames: [u64; MANY] = core::array::from_fn(|index| area::unused_frame(APART + 1 + index as u64));
    row_of("balloon 512 pages out and in", 2, |_| out_and_in(&pages, &mut frames));
}
