//! Which place breaks next, how, and for whom.

use core::sync::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::{cpu::block, fail_point::Point};

/// How a place breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Break {
    /// A panic.
    Panic,
    /// A CPU fault.
    Fault,
    /// Not at all, each time: a breakpoint is set on the way into the hypervisor.
    Watch,
}

const NOTHING: u32 = 0;
const FAULTS: u32 = 1 << 31;
const WATCHES: u32 = 1 << 30;
const WAYS: u32 = FAULTS | WATCHES;

static POINT: AtomicU32 = AtomicU32::new(NOTHING);
static VICTIM: AtomicU32 = AtomicU32::new(u32::MAX);
static SPARED: AtomicU32 = AtomicU32::new(0);

/// Arms a place for one domain, which passes it `spared` times unharmed.
pub fn arm(point: Point, how: Break, victim: abi::DomainId, spared: u32) {
    VICTIM.store(u32::from(victim.0), Relaxed);
    SPARED.store(spared, Relaxed);
    let way = match how {
        Break::Panic => 0,
        Break::Fault => FAULTS,
        Break::Watch => WATCHES,
    };
    POINT.store(point.0 | way, Release);
}

/// Disarms; true when the place had been reached.
pub fn disarm() -> bool {
    POINT.swap(NOTHING, AcqRel) == NOTHING
}

/// How this place breaks now, if it does.
#[inline]
pub fn takes(point: Point) -> Option<Break> {
    let armed = POINT.load(Acquire);
    if armed & !WAYS != point.0 {
        return None;
    }
    let vcpu = block::this_info().current()?;
    if u32::from(vcpu.domain.id.0) != VICTIM.load(Relaxed) {
        return None;
    }
    // The victim has one vCPU: nobody else counts.
    let spared = SPARED.load(Relaxed);
    if spared != 0 {
        SPARED.store(spared - 1, Relaxed);
        return None;
    }
    if armed & WATCHES != 0 {
        return Some(Break::Watch);
    }
    POINT.store(NOTHING, Release);
    Some(if armed & FAULTS != 0 { Break::Fault } else { Break::Panic })
}
