//! What requests look like: which field of an argument is a count, a vCPU, a list. Byte offsets are those of Xen 4.17's
//! public headers `domctl.h`; requests of other versions are made of the same fields and so are wrong in new ways.

/// Whose domain a call may name without ending the test by what it rightly does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Everybody's, for it changes nothing.
    Anyone,
    /// Those made to be hit, dom0, and those that are not there.
    TargetsAndDom0,
    /// The same without dom0, whose own life it would end or slow down, or whose rights would rightly take memory.
    Targets,
}

/// What a list holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Frames,
    Context,
    Leaves,
    Msrs,
    State,
    Numbers,
    Noise,
}

/// A field, by its byte offset.
#[derive(Clone, Copy)]
pub enum Field {
    /// 32 bits: a vCPU's or CPU's number.
    Cpu(usize),
    /// 32 bits, below a bound.
    Below(usize, u64),
    /// 32 bits, one of these.
    Among(usize, &'static [u64]),
    /// 64 bits, one of these.
    Among64(usize, &'static [u64]),
    /// 32 bits: some of these flags.
    Flags(usize, u64),
    /// A byte, 0 or 1 mostly.
    Switch(usize),
    /// 32 bits: how many elements a list has.
    Count(usize),
    /// The same in 64 bits.
    Count64(usize),
    /// 32 bits of anything.
    Word(usize),
    /// 64 bits of anything.
    Word64(usize),
    /// 64 bits: a frame's number.
    Frame(usize),
    /// 16 bits: another domain, never a bystander.
    Domain(usize),
    /// 16 bits that are 0 mostly.
    Short(usize),
    /// The address of a list.
    List(usize, Content),
    /// `xenctl_bitmap`: the address of a map and its length in bits.
    Map(usize),
}

/// A call.
pub struct Shape {
    pub command: u64,
    pub whom: Whom,
    pub fields: &'static [Field],
}

use Content::{Context, Frames, Leaves, Msrs, Noise, Numbers, State};
use Field::{Among, Among64, Below, Count, Count64, Cpu, Domain, Flags, Frame, List, Map, Short, Switch, Word, Word64};
use Whom::{Anyone, Targets, TargetsAndDom0};

const fn shape(command: u64, whom: Whom, fields: &'static [Field]) -> Shape {
    Shape { command, whom, fields }
}

/// The fields of createdomain, whose domain field is an id that is asked for.
pub const CREATION: Shape = shape(
    1,
    Targets,
    &[
        Below(16, 4),
        Word64(20),
        Word64(28),
        Among(36, &[0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256]),
        Below(40, 2),
        Among(44, &[1, 2, 2, 2, 3, 8, 33, 64, 128, 8192, 8193, 0]),
        Among(48, &[0, 31, 1023, 1023, 4095, 0xffff_ffff]),
        Among(52, &[0, 1, 4, 4, 64, 65, 0xffff_ffff]),
        Among(56, &[0, 1, 4, 4, 1024, 1025, 0xffff_ffff]),
        Among(60, &[1, 1, 1, 2, 0, 3, 16]),
        Among(64, &[0, 0, 0, 4096, 8192]),
        Among(68, &[0, 0, 0, 0xffff_ffff, 1, 7]),
        Among(72, &[0, 0, 0, 1, 0x7ff, 0xffff_ffff]),
        Flags(76, 7),
    ],
);

/// Calls of the hypercall domctl but createdomain; the argument starts at byte 16.
pub const DOMCTLS: &[Shape] = &[
    shape(2, TargetsAndDom0, &[]),
    shape(3, TargetsAndDom0, &[]),
    shape(4, TargetsAndDom0, &[]),
    shape(4, TargetsAndDom0, &[]),
    shape(5, Anyone, &[]),
    shape(9, TargetsAndDom0, &[Cpu(16), Flags(20, 7), Map(24), Map(40)]),
    shape(
        10,
        TargetsAndDom0,
        &[Among(16, &[0, 1, 2, 3, 11, 12, 30, 31, 32]), Flags(20, 31), Below(24, 4), List(32, Noise), Count64(40)],
    ),
    shape(11, TargetsAndDom0, &[Among64(16, &[0, 1, 4, 64, 64, 256, 4096, 4096, 0x10_0000, u64::MAX >> 10, u64::MAX])]),
    shape(12, TargetsAndDom0, &[Cpu(16), List(24, Context)]),
    shape(12, TargetsAndDom0, &[Cpu(16), List(24, Context)]),
    shape(13, Anyone, &[Cpu(16), List(24, Noise)]),
    shape(14, Anyone, &[Cpu(16)]),
    shape(15, TargetsAndDom0, &[Among(16, &[1, 2, 2, 3, 8, 33, 64, 128, 0, 8192, 8193])]),
    shape(16, Targets, &[Among(16, &[6, 6, 6, 5, 7, 8, 9, 0]), Below(20, 5), Word64(24), Count(32)]),
    shape(16, Targets, &[Among(16, &[6, 8]), Among(20, &[2, 3]), List(24, Numbers), Count(32)]),
    shape(17, TargetsAndDom0, &[Word64(16), Word64(24)]),
    shape(18, TargetsAndDom0, &[Switch(16)]),
    shape(19, Targets, &[Cpu(16), Switch(20)]),
    shape(20, Targets, &[Frame(16), Count64(24), Switch(32)]),
    shape(21, Targets, &[Word(16), Count(20), Switch(24)]),
    shape(22, TargetsAndDom0, &[Frame(16)]),
    shape(23, TargetsAndDom0, &[]),
    shape(24, TargetsAndDom0, &[Word64(16)]),
    shape(25, Anyone, &[Cpu(16), Flags(20, 7), Map(24), Map(40)]),
    shape(26, TargetsAndDom0, &[Word64(16), Word64(24)]),
    shape(27, TargetsAndDom0, &[]),
    shape(28, TargetsAndDom0, &[Below(16, 6), Cpu(20)]),
    shape(29, TargetsAndDom0, &[Below(16, 1100)]),
    shape(33, Anyone, &[Count(16), List(24, Noise)]),
    shape(34, TargetsAndDom0, &[Count(16), List(24, Noise)]),
    shape(35, TargetsAndDom0, &[Among(16, &[32, 64, 64, 0, 16])]),
    shape(36, Anyone, &[]),
    shape(37, Targets, &[Below(16, 3), Flags(20, 3), Below(24, 256)]),
    shape(38, Targets, &[Cpu(16), Below(20, 6), Word(24), Word64(32)]),
    shape(39, Targets, &[Frame(16), Frame(24), Count64(32), Below(40, 3), Short(44)]),
    shape(40, Targets, &[Word(16), Word(20), Count(24), Below(28, 3)]),
    shape(42, TargetsAndDom0, &[Cpu(16), Count(20), Word64(24), Word64(32), Word64(40), Word64(48), Word64(56)]),
    shape(43, Anyone, &[Cpu(16), Count(20)]),
    shape(44, TargetsAndDom0, &[Word64(16), Word64(24)]),
    shape(45, Targets, &[Below(16, 3), Flags(20, 3), Below(24, 256)]),
    shape(46, Targets, &[Domain(16)]),
    shape(47, Targets, &[Below(16, 3), Flags(20, 3), Below(24, 256)]),
    shape(48, Targets, &[Cpu(16), Below(20, 6), Word(24), Word64(32)]),
    shape(50, Targets, &[Below(16, 256), Count(20), List(32, Noise)]),
    shape(54, Targets, &[Below(16, 8), Cpu(20)]),
    shape(55, Anyone, &[Below(16, 24), Cpu(20), Count64(24), List(32, Noise)]),
    shape(56, Targets, &[Below(16, 5), Below(20, 4), Word(24)]),
    shape(57, Targets, &[Switch(16), Switch(17)]),
    shape(59, Anyone, &[]),
    shape(60, TargetsAndDom0, &[Below(16, 5), Word(20), Word(24), Word64(32)]),
    shape(61, Anyone, &[Count64(16), List(24, Frames)]),
    shape(62, TargetsAndDom0, &[Cpu(16), Word64(24), Count64(32), List(40, State)]),
    shape(62, TargetsAndDom0, &[Cpu(16), Among64(24, &[3, 7]), Among64(32, &[592, 848, 16, 0]), List(40, State)]),
    shape(63, Anyone, &[Cpu(16), Word64(24), Count64(32), List(40, Noise)]),
    shape(64, Targets, &[Switch(16)]),
    shape(65, Targets, &[]),
    shape(66, TargetsAndDom0, &[Below(16, 26)]),
    shape(67, Targets, &[Frame(16)]),
    shape(68, TargetsAndDom0, &[Map(16)]),
    shape(69, Anyone, &[Map(16)]),
    shape(71, Targets, &[Frame(16), Count64(24)]),
    shape(72, Anyone, &[Cpu(16), Count(20), List(24, Noise)]),
    shape(73, TargetsAndDom0, &[Cpu(16), Count(20), List(24, Msrs)]),
    shape(
        74,
        Targets,
        &[
            Below(16, 4),
            Below(20, 4),
            Among(24, &[2, 2, 1, 3]),
            Among(28, &[0, 0, 0, 1]),
            List(32, Numbers),
            List(40, Numbers),
            List(48, Numbers),
            List(56, Frames),
        ],
    ),
    shape(75, Targets, &[Below(16, 4), Word(20)]),
    shape(77, Targets, &[Below(16, 6), Below(20, 14), Word64(24), Word64(32)]),
    shape(78, Targets, &[Below(16, 11), Below(20, 3), Word64(24)]),
    shape(79, Targets, &[]),
    shape(81, Targets, &[Below(16, 2), Below(20, 2), Frame(24), Domain(32)]),
    shape(82, Anyone, &[Count(16), Count(20), List(24, Noise), List(32, Noise)]),
    shape(83, TargetsAndDom0, &[Count(16), Count(20), List(24, Leaves), List(32, Msrs)]),
    shape(84, Targets, &[Below(16, 8), Cpu(20), Word64(24), Word64(32)]),
    shape(85, Anyone, &[]),
    shape(86, Targets, &[Word64(16)]),
    shape(87, Targets, &[Word64(16), Word64(24)]),
    shape(88, Targets, &[Cpu(16), Switch(20)]),
    shape(89, Targets, &[Count(16), List(24, Numbers)]),
    shape(1000, Targets, &[Word64(16), Word64(24), List(32, Noise), Count(40), Switch(44), Count(48)]),
    shape(1001, Targets, &[Cpu(16)]),
    shape(1002, Targets, &[Cpu(16)]),
    shape(1003, Targets, &[]),
];
