//! `XENMEM_exchange`, one step at a time: frames taken from the domain, and new ones that are not anybody's yet.
//!
//! Both are kept in lists that run through the records of the frames themselves, which is possible because they have no
//! owner: nobody else reads or links them. Nothing is allocated. A new extent gets its owner when the caller asks for its
//! number; from then on it is on no list. The domain's account does not change: it gets as many frames as it gives.

use abi::{DomainId, Errno, Mfn, Result};
use frame_allocator::Order;
use hypercalls::{
    authority::Target,
    op::memory::{ExchangeHost, Placement},
};
use pv_mmu::{FrameList, steal};

use super::{
    Caller,
    memory::{block_order, give, limit, living, named},
};
use crate::{
    domain::{self, Domain},
    interrupt::flush::{self, CpuMask},
    memory::{claims, frame_table, machine_to_physical, mmu::Machine, physical, recycle},
};

/// A vCPU's step.
#[derive(Default)]
pub struct ExchangeStep {
    /// Frames that were the domain's.
    taken: FrameList,
    /// First frames of the new extents.
    fresh: FrameList,
    /// Order of the new extents.
    order: u8,
    /// Who gets the new extents, once the step is committed.
    receiver: Option<DomainId>,
}

impl ExchangeStep {
    /// Frees the frames that were taken; how many there were.
    fn free_taken(&mut self) -> u64 {
        let count = self.taken.len();
        while let Some(frame) = self.taken.pop(frame_table::frames()) {
            machine_to_physical::invalidate(frame);
            recycle::put(frame);
        }
        count
    }

    fn free_fresh(&mut self) {
        while let Some(first) = self.fresh.pop(frame_table::frames()) {
            physical::free(first, Order(self.order));
        }
    }
}

impl ExchangeStep {
    /// Undoes the step of a vCPU that will not run again: all frames are free.
    pub fn abandon(&mut self, domain: &Domain) {
        self.free_fresh();
        if !self.taken.is_empty() {
            flush::on(CpuMask(u64::MAX));
            domain.memory.release(self.free_taken());
        }
    }
}

impl ExchangeHost for Caller<'_> {
    fn exchange_take(&mut self, target: Target, frame: Mfn) -> Result<()> {
        steal(&Machine, frame, target.id())?;
        self.state.exchange.taken.push(frame_table::frames(), frame);
        Ok(())
    }

    fn exchange_allocate(&mut self, target: Target, order: u32, placement: Placement) -> Result<()> {
        let domain = living(target).map_err(|_| Errno::ENOMEM)?;
        let order = block_order(order)?;
        let admission = claims::admit(&domain.memory, 1 << order.0)?;
        let first = recycle::take(order, limit(placement))?;
        drop(admission);
        let step = &mut self.state.exchange;
        step.order = order.0;
        step.fresh.push(frame_table::frames(), first);
        Ok(())
    }

    fn exchange_commit(&mut self, target: Target) -> Result<()> {
        let step = &mut self.state.exchange;
        let taken = step.free_taken();
        match living(target) {
            Ok(domain) => step.receiver = Some(domain.id),
            Err(errno) => {
                step.free_fresh();
                if let Ok(domain) = named(target) {
                    domain.memory.release(taken);
                }
                return Err(errno);
            }
        }
        Ok(())
    }

    fn exchange_next(&mut self) -> Option<Mfn> {
        let step = &mut self.state.exchange;
        let Some(first) = step.fresh.pop(frame_table::frames()) else {
            step.receiver = None;
            return None;
        };
        // A domain that began to die meanwhile loses the extent again; the caller sees only its number.
        match step.receiver.and_then(domain::find) {
            Some(receiver) => _ = give(receiver, first, 1 << step.order),
            None => physical::free(first, Order(step.order)),
        }
        Some(first)
    }

    fn exchange_roll_back(&mut self, target: Target) {
        let step = &mut self.state.exchange;
        step.free_fresh();
        if step.taken.is_empty() {
            return;
        }
        let Ok(domain) = named(target) else {
            step.free_taken();
            return;
        };
        // The records no longer say what the frames were used as, so translations from then must go first, also those
        // of domains that had the frames by grant.
        flush::on(CpuMask(u64::MAX));
        while let Some(frame) = step.taken.pop(frame_table::frames()) {
            let _ = give(domain, frame, 1);
        }
    }
}
