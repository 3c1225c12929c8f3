//! What a toolstack does to others, broken in the middle: the driving domain is dom0 and must go on, its call must fail,
//! and the domain that it was changing is lost, or none is.
//!
//! Each errand is one domctl on a target that runs, or one sysctl beside it. Source of the numbers: Xen public headers
//! `domctl.h`, `sysctl.h`.

use super::{
    bare::{Bare, DATA, Program},
    hand,
};
use crate::fail_point::Point;
use abi::{Errno, domctl::DomctlOperation as Op, sched::ShutdownReason, sysctl::SysctlOperation as MachineOp};

/// What a broken call costs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// The call only.
    Call,
    /// The target.
    Target,
}

/// A call and where it breaks.
#[derive(Clone, Copy)]
pub struct Errand {
    /// The place.
    pub point: Point,
    /// How often it is passed unharmed.
    pub spared: u32,
    /// What makes the call possible.
    before: &'static [Call],
    call: Call,
    /// What it costs.
    pub cost: Cost,
}

/// A domctl on the target, or a sysctl.
#[derive(Clone, Copy)]
enum Operation {
    Domain(Op),
    Machine(MachineOp),
}

/// One call.
#[derive(Clone, Copy)]
struct Call {
    operation: Operation,
    /// The first words of its structure; what stands there already when there are none.
    words: &'static [u64],
}

const SYSCTL: u64 = 35;
const DOMCTL: u64 = 36;
const VERSION: u64 = 0x15;
/// That of Xen 4.20, for domctls which came later.
const LATER_VERSION: u64 = 0x17;
/// Words of the driving domain's data page: the request, a small buffer, a large one, which reaches into the next page.
const REQUEST: usize = 0x40;
const SMALL: usize = 0x58;
const BUFFER: u64 = DATA + 8 * SMALL as u64;
const LARGE: u64 = DATA + 0xBC0;

/// mov eax, sched_op; xor edi, edi (yield); syscall; again
const TARGET: &[u8] = &[0xB8, 29, 0, 0, 0, 0x31, 0xFF, 0x0F, 0x05, 0xEB, 0xF5];

/// What the target runs.
pub const fn target() -> Program {
    Program::bare(TARGET)
}

const fn call(operation: Op, words: &'static [u64]) -> Call {
    Call { operation: Operation::Domain(operation), words }
}

/// A sysctl, broken where it copies for the second time: the answer, or what it points to.
const fn machine(operation: MachineOp, words: &'static [u64]) -> Errand {
    let call = Call { operation: Operation::Machine(operation), words };
    Errand { call, point: Point::inside_call(SYSCTL), spared: 1, before: &[], cost: Cost::Call }
}

/// Broken where its handler has found the target.
const fn reads(operation: Op, words: &'static [u64]) -> Errand {
    Errand { point: Point::NAMED, spared: 0, before: &[], call: call(operation, words), cost: Cost::Call }
}

const fn changes(operation: Op, words: &'static [u64]) -> Errand {
    Errand { cost: Cost::Target, ..reads(operation, words) }
}

const fn after(before: &'static [Call], errand: Errand) -> Errand {
    Errand { before, ..errand }
}

const fn at(point: Point, errand: Errand) -> Errand {
    Errand { point, ..errand }
}

const fn late(spared: u32, errand: Errand) -> Errand {
    Errand { spared, ..errand }
}

const MAP: &[u64] = &[1 << 32, BUFFER, 64, BUFFER, 64];
const CONTEXT: &[u64] = &[0, LARGE];
/// Asks for the format of extended state, which stands in the request then; and for the state.
const FORMAT: Call = call(Op::GETVCPUEXTSTATE, &[0, 0, 0, LARGE]);
const STATE: Call = call(Op::GETVCPUEXTSTATE, &[]);
const MSRS: &[u64] = &[1 << 32, BUFFER + 8];
/// createdomain: one vCPU, all ports, four frames of grants and of handles, version 1.
const NEW: &[u64] = &[0, 0, 0, 1 << 32, 4 << 32 | 0xFFFF_FFFF, 1 << 32 | 4, 0, 0];
const COPY: Point = Point::inside_call(DOMCTL);

#[rustfmt::skip]
const ERRANDS: &[Errand] = &[
    // The request, the answer, before and after.
    at(COPY, reads(Op::PAUSEDOMAIN, &[])),
    late(1, at(COPY, reads(Op::GETDOMAININFO, &[]))),
    at(Point::BEHALF_BEGINS, reads(Op::PAUSEDOMAIN, &[])),
    late(1, at(Point::BEHALF_BEGINS, changes(Op::PAUSEDOMAIN, &[]))),
    late(1, at(Point::BEHALF_BEGINS, reads(Op::GETVCPUINFO, &[0]))),
    at(Point::BEHALF_ENDS, changes(Op::PAUSEDOMAIN, &[])),
    at(Point::BEHALF_ENDS, reads(Op::GETVCPUINFO, &[0])),
    // Every handler.
    changes(Op::PAUSEDOMAIN, &[]),
    after(&[call(Op::PAUSEDOMAIN, &[])], changes(Op::UNPAUSEDOMAIN, &[])),
    changes(Op::RESUMEDOMAIN, &[]),
    changes(Op::MAX_VCPUS, &[1]),
    changes(Op::SETDOMAINHANDLE, &[1, 2]),
    changes(Op::SETDEBUGGING, &[1]),
    changes(Op::SUBSCRIBE, &[1]),
    changes(Op::SET_VIRQ_HANDLER, &[3]),
    reads(Op::GETVCPUINFO, &[0]),
    changes(Op::MAX_MEM, &[1024]),
    changes(Op::HYPERCALL_INIT, &[0]),
    changes(Op::SHADOW_OP, &[0]),
    changes(Op::SETVCPUCONTEXT, CONTEXT),
    reads(Op::GETVCPUCONTEXT, CONTEXT),
    changes(Op::SENDTRIGGER, &[0]),
    reads(Op::GET_EXT_VCPUCONTEXT, &[0]),
    after(&[call(Op::GET_EXT_VCPUCONTEXT, &[0])], changes(Op::SET_EXT_VCPUCONTEXT, &[])),
    reads(Op::GETVCPUEXTSTATE, &[0, 0, 0, LARGE]),
    after(&[FORMAT, STATE], changes(Op::SETVCPUEXTSTATE, &[])),
    reads(Op::GET_VCPU_MSRS, MSRS),
    changes(Op::SET_VCPU_MSRS, MSRS),
    reads(Op::GETVCPUAFFINITY, MAP),
    after(&[call(Op::GETVCPUAFFINITY, MAP)], changes(Op::SETVCPUAFFINITY, MAP)),
    changes(Op::SCHEDULER_OP, &[6, 256]),
    reads(Op::GET_CPU_POLICY, &[0, 0, 0]),
    changes(Op::SET_CPU_POLICY, &[0, 0, 0]),
    changes(Op::IRQ_PERMISSION, &[1 << 32 | 5]),
    changes(Op::GSI_PERMISSION, &[1 << 32 | 5]),
    changes(Op::IOMEM_PERMISSION, &[0x10_0000, 1, 1]),
    changes(Op::IOPORT_PERMISSION, &[1 << 32 | 0x300, 1]),
    changes(Op::SETTIMEOFFSET, &[5]),
    reads(Op::GETTSCINFO, &[]),
    after(&[call(Op::GETTSCINFO, &[])], changes(Op::SETTSCINFO, &[])),
    // While a vCPU of the target is held.
    at(Point::HOLDING, reads(Op::GETVCPUCONTEXT, CONTEXT)),
    after(&[call(Op::GETVCPUCONTEXT, CONTEXT)], at(Point::HOLDING, changes(Op::SETVCPUCONTEXT, CONTEXT))),
    at(Point::HOLDING, reads(Op::GET_EXT_VCPUCONTEXT, &[0])),
    after(&[call(Op::GET_EXT_VCPUCONTEXT, &[0])], at(Point::HOLDING, changes(Op::SET_EXT_VCPUCONTEXT, &[]))),
    after(&[FORMAT], at(Point::HOLDING, reads(Op::GETVCPUEXTSTATE, &[]))),
    after(&[FORMAT, STATE], at(Point::HOLDING, changes(Op::SETVCPUEXTSTATE, &[]))),
    at(Point::HOLDING, reads(Op::GET_VCPU_MSRS, MSRS)),
    at(Point::HOLDING, changes(Op::SET_VCPU_MSRS, MSRS)),
    // While it is marked as held, and no guard is there yet.
    at(Point::TAKING_HOLD, reads(Op::GETVCPUCONTEXT, CONTEXT)),
    after(&[FORMAT, STATE], at(Point::TAKING_HOLD, changes(Op::SETVCPUEXTSTATE, &[]))),
    // While their structures are copied.
    late(1, at(COPY, changes(Op::SETVCPUCONTEXT, CONTEXT))),
    late(1, at(COPY, reads(Op::GETVCPUCONTEXT, CONTEXT))),
    late(1, at(COPY, reads(Op::GETPAGEFRAMEINFO3, &[1, BUFFER]))),
    late(1, at(COPY, reads(Op::GETVCPUAFFINITY, MAP))),
    late(1, at(COPY, changes(Op::SETVCPUAFFINITY, MAP))),
    late(1, at(COPY, changes(Op::SETNODEAFFINITY, &[BUFFER, 64]))),
    late(1, at(COPY, reads(Op::GETNODEAFFINITY, &[BUFFER, 64]))),
    late(1, at(COPY, reads(Op::GET_CPU_POLICY, &[64 << 32 | 64, LARGE, LARGE]))),
    // What is asked of the machine.
    late(0, machine(MachineOp::SCHED_ID, &[0])),
    at(Point::BEHALF_BEGINS, late(0, machine(MachineOp::SCHED_ID, &[0]))),
    at(Point::BEHALF_ENDS, late(0, machine(MachineOp::SCHED_ID, &[0]))),
    machine(MachineOp::READCONSOLE, &[0, LARGE, 64]),
    machine(MachineOp::PHYSINFO, &[0]),
    machine(MachineOp::SCHED_ID, &[0]),
    machine(MachineOp::GETDOMAININFOLIST, &[8 << 32, LARGE, 0]),
    machine(MachineOp::GETCPUINFO, &[4, LARGE, 0]),
    machine(MachineOp::AVAILHEAP, &[0, 0, 0]),
    machine(MachineOp::CPUTOPOINFO, &[4, LARGE]),
    machine(MachineOp::NUMAINFO, &[4, LARGE, 0]),
    machine(MachineOp::CPUPOOL_OP, &[3, 0, 0, LARGE, 64]),
    machine(MachineOp::SCHEDULER_OP, &[6 << 32, 1, 0, 0, 0]),
    machine(MachineOp::GET_CPU_LEVELLING_CAPS, &[0]),
];

/// A domain half made: it is never there.
const CREATION: Errand = at(Point::CREATING, reads(Op::CREATEDOMAIN, NEW));

/// The errand of this number; `None` after the last.
pub fn errand(index: usize) -> Option<Errand> {
    ERRANDS.get(index).copied()
}

/// How many there are.
pub const fn count() -> usize {
    ERRANDS.len()
}

/// The creation that breaks; it needs no target.
pub const fn creation() -> Errand {
    CREATION
}

impl Errand {
    /// What is called.
    pub fn name(&self) -> (&'static str, u32) {
        match self.call.operation {
            Operation::Domain(operation) => ("domctl", operation.0),
            Operation::Machine(operation) => ("sysctl", operation.0),
        }
    }

    /// Asks the driving domain for call number `step` of those that come before; false after the last.
    pub fn prepare(&self, step: usize, driver: Bare, target: Bare) -> bool {
        self.before.get(step).inspect(|call| call.ask(driver, target)).is_some()
    }

    /// Asks it for the call itself.
    pub fn ask(&self, driver: Bare, target: Bare) {
        self.call.ask(driver, target);
    }

    /// What is wrong once the call has come back.
    pub fn complaint(&self, driver: Bare, target: Bare) -> Option<&'static str> {
        let reason = target.record().and_then(|record| record.shutdown().reason());
        let lost = match self.cost {
            Cost::Call => None,
            Cost::Target => Some(ShutdownReason::CRASH),
        };
        if hand::result(driver) != Errno::EIO.to_register() {
            Some("the call did not fail")
        } else if reason != lost {
            Some("the target ended, or did not, as it should")
        } else {
            None
        }
    }
}

impl Call {
    fn ask(&self, driver: Bare, target: Bare) {
        // A map with its first bit set, or one frame; a list of one MSR.
        hand::set_words(driver, SMALL, &[1, 0x48, 0]);
        let first = |number: u32, version: u64| u64::from(number) | version << 32;
        let (number, argument) = match self.operation {
            Operation::Domain(operation) => {
                let version = if operation == Op::GSI_PERMISSION { LATER_VERSION } else { VERSION };
                hand::set_words(driver, REQUEST, &[first(operation.0, version), u64::from(target.id.0)]);
                (DOMCTL, REQUEST + 2)
            }
            Operation::Machine(operation) => {
                hand::set_words(driver, REQUEST, &[first(operation.0, VERSION)]);
                (SYSCTL, REQUEST + 1)
            }
        };
        hand::set_words(driver, argument, self.words);
        hand::ask(driver, [number, DATA + 8 * REQUEST as u64, 0, 0, 0, 0]);
    }
}

/// Has the driving domain destroy another.
pub fn destroy(driver: Bare, id: abi::DomainId) {
    call(Op::DESTROYDOMAIN, &[]).ask(driver, Bare { id, ..driver });
}
