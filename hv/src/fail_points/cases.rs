//! Every place, with a victim that reaches it.

use super::{
    bare::{DATA, Event, MORE, Program, SPARE},
    ties::BYSTANDER_GRANT,
};
use crate::fail_point::Point;

/// A place and who reaches it.
#[derive(Clone, Copy)]
pub struct Case {
    /// The place.
    pub point: Point,
    /// How often the victim passes it unharmed.
    pub spared: u32,
    /// The victim.
    pub program: Program,
    /// What it shares with others.
    pub sharing: Sharing,
    /// How it ends.
    pub ending: Ending,
    /// How the place breaks.
    pub ways: Ways,
}

/// In which ways a place breaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ways {
    /// Once by a panic, once by a CPU fault.
    Both,
    /// By a panic, twice: a fault there would skip a guard (`docs/soundness.md`, gap 1).
    Panic,
}

/// What a victim shares with the two permanent domains.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nothing.
    Nothing,
    /// It maps a page of the bystander's, the driving domain maps one of its own, and they share a port.
    GrantsAndPorts,
}

/// What ends a victim.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The place breaks.
    Break,
    /// It crashes by itself, after a data breakpoint of its own was met by the hypervisor.
    AfterBreakpoint,
    /// The same, but the breakpoint is one on the first instruction of the way in, where the stack is still the guest's:
    /// there a trap comes that MOV SS held back.
    AfterEntry,
}

/// `syscall`, then an instruction that has no handler.
const CALL: &[u8] = &[0x0F, 0x05, 0x0F, 0x0B];
const SELF: u64 = 0x7FF0;
const NO_DATA: &[u64] = &[0];
/// Makes the calls of the list at [`DATA`], six words each, until a negative number; then int3, which has no handler.
#[rustfmt::skip]
const SCRIPT: &[u8] = &[
    0xBB, 0x00, 0x10, 0x00, 0x40, // mov ebx, DATA
    0x48, 0x8B, 0x03,             // next: mov rax, [rbx]
    0x48, 0x85, 0xC0,             // test rax, rax
    0x78, 0x1C,                   // js end
    0x48, 0x8B, 0x7B, 0x08,       // mov rdi, [rbx + 8]
    0x48, 0x8B, 0x73, 0x10,       // mov rsi, [rbx + 16]
    0x48, 0x8B, 0x53, 0x18,       // mov rdx, [rbx + 24]
    0x4C, 0x8B, 0x53, 0x20,       // mov r10, [rbx + 32]
    0x4C, 0x8B, 0x43, 0x28,       // mov r8, [rbx + 40]
    0x48, 0x83, 0xC3, 0x30,       // add rbx, 48
    0x0F, 0x05,                   // syscall
    0xEB, 0xDC,                   // jmp next
    0xCC,                         // end: int3
];
const END: u64 = u64::MAX;
/// Maps the bystander's page, binds a VIRQ and an IPI, asks for the version, unmaps the page again.
#[rustfmt::skip]
const SHARING_CALLS: &[u64] = &[
    20, 0, MORE, 1, 0, 0,
    32, 1, DATA + 0x200, 0, 0, 0,
    32, 7, DATA + 0x200, 0, 0, 0,
    17, 0, 0, 0, 0, 0,
    20, 1, MORE + 0x20, 1, 0, 0,
    END,
];
/// The same without the end.
const HOLDING_CALLS: &[u64] = &[
    20,
    0,
    MORE,
    1,
    0,
    0, //
    32,
    1,
    DATA + 0x200,
    0,
    0,
    0, //
    32,
    7,
    DATA + 0x200,
    0,
    0,
    0, //
    END,
];
/// map_grant_ref of the bystander's page, writable; unmap_grant_ref of the first handle.
const SHARING_MORE: [u64; 8] = [SPARE, (BYSTANDER_GRANT as u64) << 32 | 2, 1, 0, SPARE, 0, 0, 0];
/// A breakpoint for reading and writing eight bytes, and a call that copies there: extraversion.
#[rustfmt::skip]
const BREAKPOINT_CALLS: &[u64] = &[
    8, 0, DATA + 0x200, 0, 0, 0,
    8, 7, 0x000B_0001, 0, 0, 0,
    17, 1, DATA + 0x200, 0, 0, 0,
    END,
];
/// The version, again and again.
#[rustfmt::skip]
const ENTRY_CALLS: &[u64] = &[
    17, 0, 0, 0, 0, 0,
    17, 0, 0, 0, 0, 0,
    17, 0, 0, 0, 0, 0,
    17, 0, 0, 0, 0, 0,
    END,
];
/// A data segment and a stack segment that are not present.
const ABSENT_SEGMENT: &[u64] = &[0, 0x00CF_7300_0000_FFFF];

/// Hypercalls by number, 0 to 40 without holes: unassigned ones have a dispatcher to break in, too.
const CALLS: u64 = 41;
const MULTICALL: u64 = 13;
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

/// Exceptions by vector, with code that raises them. Those that need alignment checks or SSE traps, which an emulator
/// leaves out, go the same way through the same place.
const EXCEPTIONS: &[(u32, &[u8])] = &[
    (0, &[0x31, 0xC0, 0xF7, 0xF0]),                                     // xor eax,eax; div eax
    (1, &[0xF1]),                                                       // int1
    (3, &[0xCC]),                                                       // int3
    (4, &[0xCD, 0x04]),                                                 // int 4
    (6, &[0x0F, 0x0B]),                                                 // ud2
    (7, &[0xB8, 5, 0, 0, 0, 0xBF, 1, 0, 0, 0, 0x0F, 0x05, 0xDB, 0xE3]), // fpu_taskswitch(1); fninit
    (11, &[0xB8, 0x0B, 0, 0, 0, 0x8E, 0xD8]),                           // mov eax,0xb; mov ds,eax
    (12, &[0xB8, 0x0B, 0, 0, 0, 0x8E, 0xD0]),                           // mov eax,0xb; mov ss,eax
    (13, &[0x0F, 0x20, 0xC0]),                                          // mov rax,cr0
    (14, &[0x48, 0x8B, 0x04, 0x25, 0, 0, 0, 0]),                        // mov rax,[0]
    (16, DIVIDE_BY_ZERO_X87),
    (0x80, &[0xCD, 0x80]), // int 0x80
];

/// fninit; push 0; fldcw [rsp]; fld1; fldz; fdivp; fwait
const DIVIDE_BY_ZERO_X87: &[u8] = &[0xDB, 0xE3, 0x6A, 0, 0xD9, 0x2C, 0x24, 0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9, 0x9B];

const fn bare(code: &'static [u8]) -> Program {
    Program { descriptors: ABSENT_SEGMENT, ..Program::bare(code) }
}

const fn calling(number: u64, arguments: [u64; 5], data: &'static [u64]) -> Program {
    let [a, b, c, d, e] = arguments;
    Program { data, registers: [number, a, b, c, d, e], ..Program::bare(CALL) }
}

/// The same call as the one entry of a multicall.
const fn nested(number: u64, arguments: [u64; 5], data: &'static [u64]) -> Program {
    let [a, b, c, d, e] = arguments;
    Program { more: [number, 0, a, b, c, d, e, 0], ..calling(MULTICALL, [MORE, 1, 0, 0, 0], data) }
}

const fn broken(point: Point, program: Program) -> Case {
    Case { point, spared: 0, program, sharing: Sharing::Nothing, ending: Ending::Break, ways: Ways::Both }
}

/// A victim that shares grants and ports, broken at its passage number `spared` + 1 of a place.
const fn shared(point: Point, spared: u32) -> Case {
    let program = Program { data: SHARING_CALLS, more: SHARING_MORE, ..Program::bare(SCRIPT) };
    Case { spared, sharing: Sharing::GrantsAndPorts, ..broken(point, program) }
}

/// A victim that shares and dies by itself when it has given everything back.
pub const fn sharing_in_order() -> Program {
    shared(Point::BREAKPOINT, 0).program
}

/// A victim that shares and dies by itself while it holds all of it.
pub const fn holding() -> Program {
    Program { data: HOLDING_CALLS, ..shared(Point::BREAKPOINT, 0).program }
}

/// Where victims that share break: while they hold everything, at each call that takes it, and while they give it back.
/// Copies inside call 20: the request in and out when mapping, then the same when unmapping.
const SHARED: &[Case] = &[
    shared(Point::before_call(17), 0),
    shared(Point::after_call(20), 0),
    shared(Point::inside_call(20), 1),
    shared(Point::inside_call(32), 1),
    shared(Point::after_call(32), 1),
    shared(Point::inside_call(20), 2),
    Case { ways: Ways::Panic, ..shared(Point::inside_call(20), 3) },
    shared(Point::after_call(20), 1),
];

/// How many there are.
pub const fn count() -> usize {
    2 * CALLS as usize + 2 * INSIDE.len() + EXCEPTIONS.len() + SHARED.len() + OTHERS
}

/// Those at the end of the list.
const OTHERS: usize = 7;

/// The case of this number; `None` after the last.
pub fn case(index: usize) -> Option<Case> {
    let mut index = index;
    let mut within = |count: usize| {
        let found = (index < count).then_some(index);
        index = index.wrapping_sub(if found.is_some() { 0 } else { count });
        found
    };
    if let Some(number) = within(CALLS as usize) {
        return Some(broken(Point::before_call(number as u64), calling(number as u64, [0; 5], NO_DATA)));
    }
    if let Some(number) = within(CALLS as usize) {
        return Some(broken(Point::after_call(number as u64), calling(number as u64, [0; 5], NO_DATA)));
    }
    if let Some(&(number, arguments, data)) = within(INSIDE.len()).and_then(|index| INSIDE.get(index)) {
        return Some(broken(Point::inside_call(number), calling(number, arguments, data)));
    }
    // The multicall's own copy comes first, the nested call's second.
    if let Some(&(number, arguments, data)) = within(INSIDE.len()).and_then(|index| INSIDE.get(index)) {
        return Some(Case { spared: 1, ..broken(Point::inside_call(MULTICALL), nested(number, arguments, data)) });
    }
    if let Some(&(vector, code)) = within(EXCEPTIONS.len()).and_then(|index| EXCEPTIONS.get(index)) {
        return Some(broken(Point::exception(vector), bare(code)));
    }
    if let Some(case) = within(SHARED.len()).and_then(|index| SHARED.get(index)) {
        return Some(*case);
    }
    match index {
        0 => Some(broken(Point::EMULATION, bare(&[0x0F, 0x20, 0xC0]))),
        1 => Some(broken(Point::PAGE_FAULT, bare(&[0x48, 0x8B, 0x04, 0x25, 0, 0, 0, 0]))),
        2 => Some(broken(Point::UPCALL, Program { event: Event::Pending, ..bare(&[0xEB, 0xFE]) })),
        3 => Some(broken(Point::BOUNCE, bare(&[0x0F, 0x0B]))),
        4 => Some(broken(Point::IRET, calling(23, [0; 5], NO_DATA))),
        5 => {
            let program = Program { data: BREAKPOINT_CALLS, ..Program::bare(SCRIPT) };
            Some(Case { ending: Ending::AfterBreakpoint, ..broken(Point::BREAKPOINT, program) })
        }
        6 => {
            let program = Program { data: ENTRY_CALLS, ..Program::bare(SCRIPT) };
            Some(Case { ending: Ending::AfterEntry, ..broken(Point::before_call(17), program) })
        }
        _ => None,
    }
}
