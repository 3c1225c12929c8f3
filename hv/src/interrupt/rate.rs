//! How often a device may interrupt: a source that comes more often in a period than `irq_ratelimit` says is held back
//! until the period is over. A device, or a guest that drives one, must not keep a CPU from everything else.
//!
//! Context: interrupt handlers and the timer work of a CPU; atomics only.

use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use crate::{boot::options, sched::timers, time::clock};

/// Nanoseconds.
const PERIOD: u64 = 10_000_000;
/// How long a level-triggered line stays masked when its guest does not say that it was served.
const LONGEST_WAIT: u64 = 1_000_000;
const NEVER: u64 = u64::MAX;

/// When the first of those that are held back may come again.
static DUE: AtomicU64 = AtomicU64::new(NEVER);

/// The rate of one source.
pub struct Rate {
    since: AtomicU64,
    seen: AtomicU32,
    is_held_back: AtomicBool,
    /// When a line that waits for its guest is opened all the same.
    opens_at: AtomicU64,
}

impl Rate {
    /// Of a source that has not come yet.
    pub const fn new() -> Self {
        Self {
            since: AtomicU64::new(0),
            seen: AtomicU32::new(0),
            is_held_back: AtomicBool::new(false),
            opens_at: AtomicU64::new(NEVER),
        }
    }

    /// Counts an interrupt; true when it is one too many for this period.
    #[inline]
    pub fn is_exceeded(&self) -> bool {
        let limit = options::get().cpu.interrupt_rate;
        if self.seen.fetch_add(1, Relaxed) < limit || limit == 0 {
            return false;
        }
        let now = clock::now();
        if now.saturating_sub(self.since.swap(now, Relaxed)) >= PERIOD {
            self.seen.store(1, Relaxed);
            return false;
        }
        true
    }

    /// The source was masked because of its rate; this CPU looks at it again when the period is over.
    pub fn hold_back(&self) {
        let end = clock::now() + PERIOD;
        self.since.store(end, Relaxed);
        self.seen.store(0, Relaxed);
        self.is_held_back.store(true, Relaxed);
        DUE.fetch_min(end, AcqRel);
        timers::arm(end);
    }

    /// A line was delivered and waits for its guest: for a millisecond, as on Xen, and no longer.
    pub fn await_end(&self) {
        let end = clock::now() + LONGEST_WAIT;
        self.opens_at.store(end, Relaxed);
        DUE.fetch_min(end, AcqRel);
        timers::arm(end);
    }

    /// The guest has served it.
    pub fn ended(&self) {
        self.opens_at.store(NEVER, Relaxed);
    }

    /// Whether the guest took too long.
    pub fn is_waiting_over(&self, now: u64) -> bool {
        let end = self.opens_at.load(Acquire);
        if end > now {
            DUE.fetch_min(end, AcqRel);
            return false;
        }
        self.opens_at.compare_exchange(end, NEVER, AcqRel, Relaxed).is_ok()
    }

    /// Whether it is held back.
    pub fn is_held_back(&self) -> bool {
        self.is_held_back.load(Acquire)
    }

    /// Ends the holding back if its time is over; true when it was.
    pub fn is_over(&self, now: u64) -> bool {
        if !self.is_held_back() {
            return false;
        }
        let end = self.since.load(Acquire);
        if end > now {
            DUE.fetch_min(end, AcqRel);
            return false;
        }
        self.is_held_back.swap(false, AcqRel)
    }
}

/// When somebody is to look at those that are held back.
pub fn due() -> u64 {
    DUE.load(Acquire)
}

/// Somebody looks now: what is still held back afterwards is told anew by [`Rate::is_over`].
pub fn begin_look() {
    // Reads what others wrote last, so that their interrupts are seen by the look, or their moment stays.
    DUE.swap(NEVER, AcqRel);
}
