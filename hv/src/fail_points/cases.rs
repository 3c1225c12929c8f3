//! Every place, with a victim that reaches it.

use super::bare::{DATA, Event, Program};
use crate::fail_point::Point;

/// A place and who reaches it.
#[derive(Clone, Copy)]
pub struct Case {
    /// The place.
    pub point: Point,
    /// The victim.
    pub program: Program,
}

/// `syscall`, then an instruction that has no handler.
const CALL: &[u8] = &[0x0F, 0x05, 0x0F, 0x0B];
const SELF: u64 = 0x7FF0;
const NO_DATA: &[u64] = &[0];

/// Hypercalls by number, 0 to 40 without holes: unassigned ones have a dispatcher to break in, too.
const CALLS: u64 = 41;
/// Calls whose handler copies from or to its guest, with the arguments that lead there and the data they point to.
const INSIDE: &[(u64, [u64; 5], &[u64])] = &[
    (0, [DATA, 0, 0, 0, 0], NO_DATA),
    (1, [DATA, 1, 0, SELF, 0], NO_DATA),
    (2, [DATA, 1, 0, 0, 0], NO_DATA),
    (7, [DATA, 0, 0, 0, 0], NO_DATA),
    (12, [0, DATA, 0, 0, 0], &[DATA, 1, 0, SELF]),
    (13, [DATA, 1, 0, 0, 0], NO_DATA),
    (16, [DATA, 0, 0, 0, 0], NO_DATA),
    (17, [1, DATA, 0, 0, 0], NO_DATA),
    (18, [0, 1, DATA, 0, 0], NO_DATA),
    (20, [4, DATA, 1, 0, 0], NO_DATA),
    (24, [4, 0, DATA, 0, 0], NO_DATA),
    (26, [DATA, 1, 0, SELF, 0], NO_DATA),
    (28, [0, DATA, 0, 0, 0], NO_DATA),
    (29, [3, DATA, 0, 0, 0], NO_DATA),
    (30, [0, DATA, 0, 0, 0], NO_DATA),
    (32, [6, DATA, 0, 0, 0], &[SELF]),
    (33, [8, DATA, 0, 0, 0], NO_DATA),
];

/// Exceptions by vector, with code that raises them. Those that need descriptors, alignment checks or addresses that an
/// emulator refuses to find wrong go the same way through the same place.
const EXCEPTIONS: &[(u32, &[u8])] = &[
    (0, &[0x31, 0xC0, 0xF7, 0xF0]),                                     // xor eax,eax; div eax
    (1, &[0xF1]),                                                       // int1
    (3, &[0xCC]),                                                       // int3
    (4, &[0xCD, 0x04]),                                                 // int 4
    (6, &[0x0F, 0x0B]),                                                 // ud2
    (7, &[0xB8, 5, 0, 0, 0, 0xBF, 1, 0, 0, 0, 0x0F, 0x05, 0xDB, 0xE3]), // fpu_taskswitch(1); fninit
    (13, &[0x0F, 0x20, 0xC0]),                                          // mov rax,cr0
    (14, &[0x48, 0x8B, 0x04, 0x25, 0, 0, 0, 0]),                        // mov rax,[0]
    (0x80, &[0xCD, 0x80]),                                              // int 0x80
];

const fn bare(code: &'static [u8]) -> Program {
    Program { code, data: NO_DATA, registers: [0; 6], event: Event::None }
}

const fn calling(number: u64, arguments: [u64; 5], data: &'static [u64]) -> Program {
    let [a, b, c, d, e] = arguments;
    Program { code: CALL, data, registers: [number, a, b, c, d, e], event: Event::None }
}

/// The case of this number; `None` after the last.
pub fn case(index: usize) -> Option<Case> {
    let mut index = index;
    if index < CALLS as usize {
        let number = index as u64;
        return Some(Case { point: Point::before_call(number), program: calling(number, [0; 5], NO_DATA) });
    }
    index -= CALLS as usize;
    if index < CALLS as usize {
        let number = index as u64;
        return Some(Case { point: Point::after_call(number), program: calling(number, [0; 5], NO_DATA) });
    }
    index -= CALLS as usize;
    if let Some(&(number, arguments, data)) = INSIDE.get(index) {
        return Some(Case { point: Point::inside_call(number), program: calling(number, arguments, data) });
    }
    index -= INSIDE.len();
    if let Some(&(vector, code)) = EXCEPTIONS.get(index) {
        return Some(Case { point: Point::exception(vector), program: bare(code) });
    }
    index -= EXCEPTIONS.len();
    let (point, program) = match index {
        0 => (Point::EMULATION, bare(&[0x0F, 0x20, 0xC0])),
        1 => (Point::PAGE_FAULT, bare(&[0x48, 0x8B, 0x04, 0x25, 0, 0, 0, 0])),
        2 => (Point::UPCALL, Program { event: Event::Pending, ..bare(&[0xEB, 0xFE]) }),
        3 => (Point::BOUNCE, bare(&[0x0F, 0x0B])),
        4 => (Point::IRET, calling(23, [0; 5], NO_DATA)),
        _ => return None,
    };
    Some(Case { point, program })
}
