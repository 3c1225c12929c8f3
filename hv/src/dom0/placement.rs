//! Which machine frames stand behind dom0's first frames, and taking frames for it.
//!
//! The first frames, which the builder writes to, come scrubbed and are kept as a short list of runs. Those of the rest
//! go straight into the p2m list. They are scrubbed as well: what a session before a warm reboot left there is not dom0's
//! to see. Most memory holds zeros when a machine starts, and looking costs less than writing, so they are written only
//! where something stands. Blocks are as large as the allocator has. Context: boot CPU, no lock held. The list's memory is taken when it is
//! made, so it may grow while the temporary heap is in use.

use alloc::vec::Vec;

use abi::Mfn;
use frame_allocator::{MAX_ORDER, Order};
use pv_mmu::FrameInfo;

use super::Dom0Error;
use crate::{
    domain::Domain,
    memory::{frame_table, machine_to_physical, physical, recycle, window},
};

/// Runs that are kept; a fresh allocator needs few.
const CAPACITY: usize = 512;

/// Consecutive frames in both numberings.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// First pseudo-physical frame.
    pub pfn: u64,
    /// First machine frame.
    pub mfn: u64,
    /// How many.
    pub count: u64,
}

/// The runs of dom0's first frames, ascending, and free frames that were taken with them.
pub struct Placement {
    domain: &'static Domain,
    runs: Vec<Run>,
    /// Scrubbed frames of nobody: what a block had beyond what was wanted.
    spare: (u64, u64),
    /// Largest order that may still be had.
    order: u8,
}

impl Placement {
    /// No frames yet. Errors: no memory for the list.
    pub fn new(domain: &'static Domain) -> Result<Self, Dom0Error> {
        let mut runs = Vec::new();
        runs.try_reserve_exact(CAPACITY).map_err(|_| Dom0Error::Record(abi::Errno::ENOMEM))?;
        Ok(Self { domain, runs, spare: (0, 0), order: MAX_ORDER.0 })
    }

    /// The first frame that has nothing behind it.
    pub fn end(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.pfn + run.count)
    }

    /// All runs.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The machine frame behind one of the first frames.
    pub fn mfn(&self, pfn: u64) -> Result<Mfn, Dom0Error> {
        let position = self.runs.partition_point(|run| run.pfn + run.count <= pfn);
        let run = self.runs.get(position).filter(|run| run.pfn <= pfn).ok_or(Dom0Error::Unplaced(pfn))?;
        Ok(Mfn(run.mfn + (pfn - run.pfn)))
    }

    /// Puts `count` fresh frames behind the next frames, in one piece if there is one so large.
    pub fn add_contiguous(&mut self, part: &'static str, count: u64) -> Result<(), Dom0Error> {
        let order = count.next_power_of_two().ilog2() as u8;
        if order <= MAX_ORDER.0
            && self.spare.0 == self.spare.1
            && let Ok(first) = recycle::take(Order(order), physical::ANYWHERE)
        {
            self.spare = (first.0, first.0 + (1 << order));
        }
        self.add(part, count)
    }

    /// Puts `count` fresh frames behind the next frames.
    pub fn add(&mut self, part: &'static str, count: u64) -> Result<(), Dom0Error> {
        let mut left = count;
        while left > 0 {
            let (mfn, taken) = self.take(part, left, recycle::take)?;
            self.add_frames(mfn, taken)?;
            left -= taken;
        }
        Ok(())
    }

    /// Puts frames that nobody has behind the next frames, as they are.
    pub fn add_frames(&mut self, first: Mfn, count: u64) -> Result<(), Dom0Error> {
        let pfn = self.end();
        self.own(pfn, first, count)?;
        if let Some(last) = self.runs.last_mut()
            && last.mfn + last.count == first.0
        {
            last.count += count;
            return Ok(());
        }
        if self.runs.len() == CAPACITY {
            return Err(Dom0Error::Fragmented(CAPACITY));
        }
        self.runs.push(Run { pfn, mfn: first.0, count });
        Ok(())
    }

    /// Puts `count` fresh frames behind the frames from `first` on, and tells `place` of each run instead of keeping it.
    pub fn add_rest(
        &mut self,
        first: u64,
        count: u64,
        mut place: impl FnMut(&Self, Run) -> Result<(), Dom0Error>,
    ) -> Result<(), Dom0Error> {
        let end = first + count;
        let mut pfn = first;
        while pfn < end {
            let (mfn, count) = self.take("memory", end - pfn, take_unused)?;
            self.own(pfn, mfn, count)?;
            place(self, Run { pfn, mfn: mfn.0, count })?;
            pfn += count;
        }
        Ok(())
    }

    /// Up to `wanted` frames of nobody, in one piece, by way of `source` if there are no spare ones.
    fn take(
        &mut self,
        part: &'static str,
        wanted: u64,
        source: fn(Order, Mfn) -> abi::Result<Mfn>,
    ) -> Result<(Mfn, u64), Dom0Error> {
        let (first, end) = self.spare;
        if first < end {
            let count = wanted.min(end - first);
            self.spare.0 += count;
            return Ok((Mfn(first), count));
        }
        // An order that failed once fails from then on: nothing is given back meanwhile.
        let mut order = self.order.min(wanted.ilog2() as u8);
        loop {
            match source(Order(order), physical::ANYWHERE) {
                Ok(first) => return Ok((first, 1 << order)),
                Err(_) if order > 0 => {
                    order -= 1;
                    self.order = order;
                }
                Err(_) => return Err(Dom0Error::Frames { part, wanted, free: physical::free_frames() }),
            }
        }
    }

    /// Makes frames dom0's, under the numbers from `pfn` on.
    fn own(&self, pfn: u64, first: Mfn, count: u64) -> Result<(), Dom0Error> {
        let over = |_| Dom0Error::Frames { part: "memory", wanted: count, free: physical::free_frames() };
        self.domain.memory.charge(count).map_err(over)?;
        self.domain.memory.regions.note(first, count);
        let frames = frame_table::frames();
        for offset in 0..count {
            let mfn = Mfn(first.0 + offset);
            let info: &FrameInfo = frames.get(mfn).ok_or(Dom0Error::Unplaced(pfn + offset))?;
            info.assign(self.domain.id);
            machine_to_physical::set(mfn, pfn + offset);
        }
        Ok(())
    }

    /// Gives back what no frame of dom0 got.
    pub fn free_spare(&mut self) {
        let (mut first, end) = core::mem::take(&mut self.spare);
        while first < end {
            let order = first.trailing_zeros().min((end - first).ilog2());
            physical::free(Mfn(first), Order(order as u8));
            first += 1 << order;
        }
        // Blocks may have merged.
        self.order = MAX_ORDER.0;
    }

    /// Copies bytes to a place in the first frames, `offset` bytes from the start of frame 0.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Dom0Error> {
        let mut position = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let start = (position & 0xFFF) as usize;
            let (part, tail) = rest.split_at(rest.len().min(4096 - start));
            window::write_bytes(self.mfn(position >> 12)?, start, part);
            position += part.len() as u64;
            rest = tail;
        }
        Ok(())
    }
}

/// A free block that holds nothing. A domain's frame would carry the stamp of its last use; at boot none does.
fn take_unused(order: Order, limit: Mfn) -> abi::Result<Mfn> {
    let first = physical::allocate(order, limit)?;
    let frames = frame_table::frames();
    let is_unused = |frame: u64| frames.get(Mfn(frame)).is_some_and(|info| info.flush_stamp() == 0);
    assert!((first.0..first.0 + (1 << order.0)).all(is_unused), "a domain had frames before dom0");
    for frame in (first.0..first.0 + (1 << order.0)).map(Mfn) {
        if !window::is_zero(frame) {
            window::zero(frame);
        }
    }
    Ok(first)
}
