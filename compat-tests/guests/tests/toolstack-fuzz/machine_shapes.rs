//! The shapes of sysctl's and of memory_op's requests; byte offsets of Xen 4.17's public headers `sysctl.h` and `memory.h`.
//!
//! Left out, because they rightly change the machine for good: trace buffers but for asking, pages taken out of use,
//! debug keys that do something, live patches.

use crate::shapes::Content::{Frames, Noise, Numbers};
use crate::shapes::Field::{
    Among, Among64, Below, Count, Count64, Cpu, Domain, Flags, Frame, List, Map, Short, Switch, Word, Word64,
};
use crate::shapes::Shape;
use crate::shapes::Whom::{self, Anyone, Targets};

const fn shape(command: u64, fields: &'static [crate::shapes::Field]) -> Shape {
    Shape { command, whom: Anyone, fields }
}

/// sysctl: the argument starts at byte 8.
pub const SYSCTLS: &[Shape] = &[
    shape(1, &[Switch(8), Switch(9), Word(12), List(16, Noise), Count(24)]),
    shape(2, &[Among(8, &[0, 0, 6, 77])]),
    shape(3, &[]),
    shape(4, &[]),
    shape(5, &[Below(8, 4), List(24, Noise), List(32, Noise)]),
    shape(6, &[Short(8), Count(12), List(16, Noise)]),
    shape(7, &[Among64(8, &[0, 8, 0x8000_0000_0000]), Count(16)]),
    shape(8, &[Count(8), List(16, Noise)]),
    shape(9, &[Below(8, 70), Below(12, 70), Among(16, &[0, 0xffff_ffff, 1, 64])]),
    shape(10, &[Among(8, &[0x11, 0x12, 0x13, 0x21, 0x22, 0x23, 0, 0x31]), Cpu(12), Word(16), List(24, Noise)]),
    shape(11, &[Among(8, &[1, 1, 0, 2, 8192, 0xffff_ffff]), Among(12, &[0, 1, 2, 3, 4])]),
    shape(12, &[Among(8, &[0x11, 0x12, 0x13, 0x14, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0]), Cpu(12), Word(16)]),
    shape(14, &[Among(8, &[0, 2, 3, 3, 4, 77]), Word(12), Word(16), List(24, Noise)]),
    shape(15, &[Below(8, 4), Count(12), List(32, Noise)]),
    shape(16, &[Count(8), List(16, Noise)]),
    shape(17, &[Count(8), List(16, Noise), List(24, Noise)]),
    shape(
        18,
        &[
            Below(8, 9),
            Among(12, &[0, 0, 1, 2, 7, 0xffff_ffff]),
            Among(16, &[0, 5, 6, 6, 6, 8, 9]),
            Domain(20),
            Among(24, &[0, 1, 1, 2, 0xffff_ffff]),
            Map(32),
        ],
    ),
    shape(19, &[Below(8, 3), Among(12, &[5, 6, 6, 6, 7, 8]), Below(16, 3), Word64(24)]),
    shape(20, &[Below(8, 4), Count(12), List(16, Noise)]),
    shape(21, &[Below(8, 6), Below(12, 2), Cpu(16), Word(20)]),
    shape(22, &[Count(8), List(16, Numbers), List(24, Noise)]),
    shape(23, &[Below(8, 4), Below(12, 2), Word64(16)]),
    shape(24, &[Word64(8), Word64(16)]),
    shape(25, &[]),
    shape(26, &[Below(8, 7), Count(12), List(16, Noise)]),
    shape(28, &[Word64(8), Word64(16)]),
    shape(29, &[Below(8, 7), Count(12), Count(16), Among(20, &[0, 0, 0, 1]), List(24, Noise), List(32, Noise)]),
    shape(30, &[Word64(8), Word64(16)]),
];

/// A call of memory_op, and where its argument names its domain.
pub struct MemoryShape {
    pub shape: Shape,
    pub domain: usize,
}

const fn memory(command: u64, whom: Whom, domain: usize, fields: &'static [crate::shapes::Field]) -> MemoryShape {
    MemoryShape { shape: Shape { command, whom, fields }, domain }
}

const ORDERS: &[u64] = &[0, 0, 0, 0, 0, 1, 2, 9, 10, 18, 64, 0xffff_ffff];

/// memory_op, the toolstack's part and what reads only: reservations of the caller's own are the guest `hostile`'s.
pub const MEMORY: &[MemoryShape] = &[
    memory(0, Targets, 24, &[List(0, Frames), Count64(8), Among(16, ORDERS), Word(20)]),
    memory(1, Targets, 24, &[List(0, Frames), Count64(8), Among(16, ORDERS), Word(20)]),
    memory(1, Targets, 24, &[List(0, Frames), Among64(8, &[1, 1, 2]), Among(16, &[0, 0, 1]), Among(20, &[0])]),
    memory(2, Anyone, 0, &[]),
    memory(3, Anyone, 0, &[]),
    memory(4, Anyone, 0, &[]),
    memory(5, Anyone, 24, &[Count(0), List(8, Noise)]),
    memory(6, Targets, 24, &[List(0, Frames), Count64(8), Among(16, ORDERS), Word(20)]),
    memory(6, Targets, 24, &[List(0, Numbers), Among64(8, &[1, 2, 7, 16]), Among(16, &[0, 0, 3]), Among(20, &[0])]),
    memory(7, Targets, 0, &[Short(2), Below(4, 7), Frame(8), Frame(16)]),
    memory(9, Anyone, 24, &[Count(0), List(8, Noise)]),
    memory(10, Anyone, 24, &[Count(0), List(8, Noise)]),
    memory(
        11,
        Targets,
        24,
        &[
            List(0, Frames),
            Count64(8),
            Among(16, ORDERS),
            Word(20),
            List(32, Numbers),
            Count64(40),
            Among(48, ORDERS),
            Word(52),
            Domain(56),
            Count64(64),
        ],
    ),
    memory(12, Anyone, 24, &[]),
    memory(13, Targets, 0, &[Count(8), List(16, Noise)]),
    memory(14, Anyone, 0, &[]),
    memory(15, Targets, 0, &[Frame(8)]),
    memory(16, Targets, 32, &[Count64(0)]),
    memory(17, Anyone, 32, &[]),
    memory(18, Anyone, 24, &[]),
    memory(19, Anyone, 24, &[]),
    memory(20, Targets, 2, &[Switch(0), Frame(8), List(16, Noise)]),
    memory(21, Targets, 2, &[Switch(0), Switch(1), Count(4), Frame(8), List(16, Numbers), List(24, Noise)]),
    memory(22, Targets, 2, &[Switch(0), Frame(8), Word64(16), Domain(24), Word64(32)]),
    memory(23, Targets, 0, &[Short(2), Short(4), Domain(6), List(8, Frames), List(16, Numbers), List(24, Noise)]),
    memory(24, Targets, 24, &[Among64(0, &[0, 0, 8]), Count64(8), Among(16, &[0, 0, 0, 1]), Among(20, &[0, 0, 1])]),
    memory(25, Anyone, 24, &[Count(0), List(8, Noise)]),
    memory(
        26,
        Anyone,
        0,
        &[Short(2), Count(4), Count(8), Count(12), List(16, Noise), List(24, Noise), List(32, Noise)],
    ),
    memory(27, Anyone, 24, &[Flags(0, 3), Count(4), List(8, Noise), Below(16, 256)]),
    memory(28, Targets, 0, &[Short(2), Below(4, 3), Count(8), Short(12), Below(16, 6), List(24, Noise)]),
    memory(28, Targets, 0, &[Among(4, &[0]), Among(8, &[0, 1, 2, 4]), Among64(16, &[0, 1]), List(24, Noise)]),
    memory(29, Targets, 0, &[Frame(8)]),
];
