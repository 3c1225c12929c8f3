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
}

const NOTHING: u32 = 0;
const FAULTS: u32 = 1 << 31;

static POINT: AtomicU32 = AtomicU32::new(NOTHING);
static VICTIM: AtomicU32 = AtomicU32::new(u32::MAX);
static SPARED: AtomicU32 = AtomicU32::new(0);

/// Arms a place for one domain, which passes it `spared` times unharmed.
pub fn arm(point: Point, how: Break, victim: abi::DomainId, spared: u32) {
    VICTIM.store(u32::from(victim.0), Relaxed);
    SPARED.store(spared, Relaxed);
    POINT.store(point.0 | if how == Break::Fault { FAULTS } else { 0 }, Release);
}

/// Disarms; true when the place had been reached.
pub fn disarm() -> bool {
    POINT.swap(NOTHING, AcqRel) == NOTHING
}

/// How this place breaks now, if it does.
#[inline]
pub fn takes(point: Point) -> Option<Break> {
    let armed = POINT.load(Acquire);
    if armed & !FAULTS != point.0 {
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
    POINT.store(NOTHING, Release);
    Some(if armed & FAULTS != 0 { Break::Fault } else { Break::Panic })
}
