//! Tables whose last reference went while the budget was used up: finished first by the vCPU's next MMU call.
//!
//! A table here is partial and so owned by nobody; anybody who needs it may take it over meanwhile, and then there is
//! nothing left to finish. The queue holds a general reference of its own, so that the MFN stays meaningful.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::Mfn;

use crate::{
    host::{MmuHost, Stop},
    type_word::FrameType,
    types::put_page,
    upper::finish_partial,
};

/// One vCPU's unfinished drops. Used by one CPU at a time.
pub struct DropQueue {
    /// Zero, or `mfn << 3 | level`. Lowest levels are finished first, each finished table may leave one of every
    /// lower level and one of its own (a linear entry's, which leaves none of that level in turn), and a failed
    /// validation three chains: nine places at most.
    places: [AtomicU64; 12],
    occupied: AtomicU64,
}

impl Default for DropQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl DropQueue {
    /// Nothing to do.
    pub fn new() -> Self {
        Self { places: core::array::from_fn(|_| AtomicU64::new(0)), occupied: AtomicU64::new(0) }
    }

    /// Whether nothing is left over.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.occupied.load(Relaxed)
    }

    /// The frames with work left, in no order; each has a reference of the queue's. For audits.
    pub fn frames(&self) -> impl Iterator<Item = Mfn> + '_ {
        self.places.iter().map(|place| place.load(Relaxed)).filter(|place| *place != 0).map(|place| Mfn(place >> 3))
    }

    /// False if there is no place: the table then stays partial until its domain is torn down.
    pub(crate) fn push(&self, mfn: Mfn, level: FrameType) -> bool {
        let Some(place) = self.places.iter().find(|place| place.load(Relaxed) == 0) else {
            debug_assert!(false, "more unfinished drops than levels can make");
            return false;
        };
        place.store(mfn.0 << 3 | level as u64, Relaxed);
        self.occupied.store(self.len() + 1, Relaxed);
        true
    }

    /// Moves what a vCPU that never runs again left over to `to`, which is empty. Context: nobody uses either meanwhile.
    pub fn give_to(&self, to: &DropQueue) {
        debug_assert!(to.is_empty(), "drops would be mixed");
        for (from, to) in self.places.iter().zip(&to.places) {
            let value = from.load(Relaxed);
            from.store(0, Relaxed);
            to.store(value, Relaxed);
        }
        to.occupied.store(self.len(), Relaxed);
        self.occupied.store(0, Relaxed);
    }

    fn take_lowest(&self) -> Option<Mfn> {
        let occupied = self.places.iter().filter(|place| place.load(Relaxed) != 0);
        let place = occupied.min_by_key(|place| place.load(Relaxed) & 7)?;
        let value = place.load(Relaxed);
        place.store(0, Relaxed);
        self.occupied.store(self.len() - 1, Relaxed);
        Some(Mfn(value >> 3))
    }
}

/// Finishes what earlier calls of this vCPU left over. Errors: `Preempted`, to be called again.
#[inline]
pub fn finish_drops<H: MmuHost>(host: &H) -> Result<(), Stop> {
    if host.drops().is_empty() { Ok(()) } else { finish_some(host) }
}

#[cold]
fn finish_some<H: MmuHost>(host: &H) -> Result<(), Stop> {
    while let Some(mfn) = host.drops().take_lowest() {
        let Some(frame) = host.frames().get(mfn) else { continue };
        finish_partial(host, mfn, frame);
        put_page(host, mfn, frame);
        if host.out_of_budget() && !host.drops().is_empty() {
            return Err(Stop::Preempted);
        }
    }
    Ok(())
}
