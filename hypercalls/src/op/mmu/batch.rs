//! What mmu_update and mmuext_op have in common: a list, a count whose bit 31 says "goes on", a done counter in guest
//! memory, and tables left half dropped that come first.

use abi::mmu::MMU_UPDATE_PREEMPTED;
use abi::{Errno, GuestHandle};
use pv_mmu::Stop;
use zerocopy::{FromBytes, IntoBytes};

use super::{MmuCalls, Step};
use crate::{
    guest,
    outcome::{Failure, Reply},
};

/// The arguments of a batch call.
pub(super) struct Batch<T> {
    /// The requests.
    pub(super) list: GuestHandle<T>,
    /// How many, without the mark.
    pub(super) count: u32,
    done_out: GuestHandle<u32>,
    done_before: u32,
    foreign: u32,
}

/// What to do with a batch call.
pub(super) enum Begin<T> {
    /// Run it.
    Run(Batch<T>),
    /// It only delivers a result, which a half-dropped table kept back.
    Deliver(u64),
}

impl<T: FromBytes + IntoBytes> Batch<T> {
    /// Finishes what the vCPU left over, and checks the list. Errors: `EFAULT`; preempted.
    #[inline]
    pub(super) fn begin<H: MmuCalls>(
        host: &H,
        list: GuestHandle<T>,
        count: u32,
        done_out: GuestHandle<u32>,
        foreign: u32,
    ) -> Result<Begin<T>, Failure> {
        if pv_mmu::finish_drops(host).is_err() {
            let arguments = [list.address().0, count.into(), done_out.address().0, foreign.into(), 0, 0];
            return Err(Failure::Preempted(arguments));
        }
        let mut done_before = 0;
        if count & MMU_UPDATE_PREEMPTED != 0 {
            if count == MMU_UPDATE_PREEMPTED && list.is_null() {
                return Ok(Begin::Deliver(i64::from(foreign as i32) as u64));
            }
            if !done_out.is_null() {
                // The call itself wrote it there; a guest that takes the page away only loses its own count.
                done_before = guest::read(host, done_out).unwrap_or(0);
            }
        }
        let count = count & !MMU_UPDATE_PREEMPTED;
        guest::check_array(list, count.into())?;
        Ok(Begin::Run(Batch { list, count, done_out, done_before, foreign }))
    }

    /// Whether to stop before request `index`.
    #[inline]
    pub(super) fn must_stop<H: MmuCalls>(&self, host: &H, index: u32) -> bool {
        !host.drops().is_empty() || (index != 0 && host.preempted())
    }

    /// Request `index`. Errors: `EFAULT`.
    #[inline]
    pub(super) fn request<H: MmuCalls>(&self, host: &H, index: u32) -> core::result::Result<T, Stop> {
        Ok(guest::read(host, self.list.element(index.into()))?)
    }

    /// Reports how many requests were done, and ends the call or arranges for it to go on.
    #[inline(always)]
    pub(super) fn end<H: MmuCalls>(&self, host: &H, done: u32, outcome: Step) -> Reply {
        // Nothing to report and nothing left over.
        if outcome.is_ok() && self.done_out.is_null() && host.drops().is_empty() {
            return Ok(0);
        }
        self.report(host, done, outcome)
    }

    #[inline(never)]
    fn report<H: MmuCalls>(&self, host: &H, done: u32, outcome: Step) -> Reply {
        if !self.done_out.is_null() {
            // A count that cannot be stored does not change the result.
            let _ = guest::write(host, self.done_out, &self.done_before.wrapping_add(done));
        }
        let result = match outcome {
            Err(Stop::Preempted) => {
                let rest = (self.count - done) | MMU_UPDATE_PREEMPTED;
                let list = self.list.element(done.into()).address().0;
                let arguments = [list, rest.into(), self.done_out.address().0, self.foreign.into(), 0, 0];
                return Err(Failure::Preempted(arguments));
            }
            Ok(()) => Ok(0),
            Err(Stop::Errno(errno)) => Err(errno),
        };
        if host.drops().is_empty() { result.map_err(Failure::from) } else { Err(keep_back(result)) }
    }
}

/// The result is delivered after the half-dropped table is finished.
#[cold]
fn keep_back(result: Result<u64, Errno>) -> Failure {
    let result = result.unwrap_or_else(Errno::to_register) as u32;
    Failure::Preempted([0, MMU_UPDATE_PREEMPTED.into(), 0, result.into(), 0, 0])
}
