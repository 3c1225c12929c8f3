//! exchange(11): trades frames for others of another size or place, in steps that each happen whole or not at all.
//!
//! A step is the smallest number of input extents that makes whole output extents (or the reverse). Its frames are taken
//! and its new ones allocated first, in a transaction that puts everything back when it is dropped; then it commits.
//! The count of exchanged extents in the caller's structure is the progress, and is written on failure as well.

use abi::memory::{MemoryExchange, MemoryOperation, MemoryReservation};
use abi::{Errno, Gfn, GuestHandle, Mfn, Pfn, Result};

use super::reservation::{self, Placement, ReservationHost};
use crate::authority::{self, Policy, Target};
use crate::guest::{self, GuestMemory, Preemption};
use crate::outcome::{Failure, Reply};

/// One exchange step at a time, kept by the host for the running vCPU; never survives the call.
pub trait ExchangeHost: ReservationHost {
    /// Takes a frame out of the domain: no mapping, no pin, no other reference may be left on it. Errors: `EINVAL`.
    fn exchange_take(&mut self, target: Target, frame: Mfn) -> Result<()>;
    /// Sets aside `2^order` new frames that belong to nobody yet. Errors: `ENOMEM`.
    fn exchange_allocate(&mut self, target: Target, order: u32, placement: Placement) -> Result<()>;
    /// Frees what was taken (out of the machine-to-physical table first), gives the domain what was set aside.
    /// Errors: `ESRCH` if the domain is going away; then everything is freed and the step is over.
    fn exchange_commit(&mut self, target: Target) -> Result<()>;
    /// After a commit: the first frame of the next new extent, in the order of their allocation.
    fn exchange_next(&mut self) -> Option<Mfn>;
    /// Gives back what was taken and frees what was set aside.
    fn exchange_roll_back(&mut self, target: Target);
}

/// Largest order an extent can have at all.
const ORDER_MAX: u32 = 20;

/// Sizes of a step: how many extents of each side make one.
#[derive(Clone, Copy)]
struct Step {
    input_shift: u32,
    output_shift: u32,
}

impl Step {
    fn of(request: &MemoryExchange) -> Self {
        let (input, output) = (request.input.extent_order, request.output.extent_order);
        Self { input_shift: output.saturating_sub(input), output_shift: input.saturating_sub(output) }
    }
}

/// Errors: `EFAULT`, `EPERM` for an order beyond the caller's or a domain beyond its authority, `EINVAL` for sides that
/// do not match or a frame that cannot be taken, `ESRCH`, `ENOMEM`.
pub fn exchange<H>(host: &mut H, argument: GuestHandle<MemoryExchange>) -> Reply
where
    H: ExchangeHost + Policy + GuestMemory + Preemption,
{
    let mut request = guest::read(host, argument)?;
    let outcome = run(host, &mut request);
    let exchanged = argument.cast::<u64>().element((size_of::<MemoryReservation>() * 2 / size_of::<u64>()) as u64);
    guest::write(host, exchanged, &request.exchanged)?;
    match outcome? {
        true => Ok(0),
        false => {
            let operation = u64::from(MemoryOperation::EXCHANGE.0);
            Err(Failure::Preempted([operation, argument.address().0, 0, 0, 0, 0]))
        }
    }
}

/// Whether all steps are done; if not, it was preempted. `request.exchanged` counts along.
fn run<H>(host: &mut H, request: &mut MemoryExchange) -> Result<bool>
where
    H: ExchangeHost + Policy + GuestMemory + Preemption,
{
    let (target, placement) = admit(host, request)?;
    let step = Step::of(request);
    let first = request.exchanged >> step.input_shift;
    for index in first..request.input.extent_count >> step.input_shift {
        if index != first && host.preempted() {
            return Ok(false);
        }
        // Rounded down to a whole step, which is what has been done.
        request.exchanged = index << step.input_shift;
        prepare(host, target, request, step, index, placement)?.commit()?;
        request.exchanged = (index + 1) << step.input_shift;
        announce(host, target, request, step, index)?;
    }
    request.exchanged = request.input.extent_count;
    Ok(true)
}

/// Everything that is checked before the first step.
fn admit<H>(host: &H, request: &MemoryExchange) -> Result<(Target, Placement)>
where
    H: ExchangeHost + Policy + GuestMemory,
{
    let (input, output) = (&request.input, &request.output);
    if input.extent_order.max(output.extent_order) > host.max_extent_order().min(ORDER_MAX) {
        return Err(Errno::EPERM);
    }
    let fits = |side: &MemoryReservation| u64::MAX >> side.extent_order >= side.extent_count;
    if request.exchanged > input.extent_count
        || input.domain != output.domain
        || !fits(input)
        || !fits(output)
        || input.extent_count << input.extent_order != output.extent_count << output.extent_order
    {
        return Err(Errno::EINVAL);
    }
    let step = Step::of(request);
    let output_done = request.exchanged >> step.input_shift << step.output_shift;
    check_rest(input.extent_start, request.exchanged, input.extent_count)?;
    check_rest(output.extent_start, output_done, output.extent_count)?;
    let target = authority::target(host, input.domain)?;
    // The input's placement means nothing; only the new frames are placed.
    let placement = reservation::placement(host, target, output.flags).ok_or(Errno::EINVAL)?;
    Ok((target, placement))
}

/// Checks the elements from `done` on against the hypervisor's range, before any is followed. Errors: `EFAULT`.
fn check_rest(list: GuestHandle<Gfn>, done: u64, count: u64) -> Result<()> {
    guest::check_array(list.element(done), count.saturating_sub(done))
}

/// A step that is not committed; dropping it puts everything back.
struct Prepared<'a, H: ExchangeHost> {
    host: &'a mut H,
    target: Target,
    committed: bool,
}

impl<H: ExchangeHost> Prepared<'_, H> {
    fn commit(mut self) -> Result<()> {
        self.committed = true;
        self.host.exchange_commit(self.target)
    }
}

impl<H: ExchangeHost> Drop for Prepared<'_, H> {
    fn drop(&mut self) {
        if !self.committed {
            self.host.exchange_roll_back(self.target);
        }
    }
}

/// Takes the frames of step `index` and sets the new ones aside.
fn prepare<'a, H: ExchangeHost + GuestMemory>(
    host: &'a mut H,
    target: Target,
    request: &MemoryExchange,
    step: Step,
    index: u64,
    placement: Placement,
) -> Result<Prepared<'a, H>> {
    let prepared = Prepared { host, target, committed: false };
    let start = index << step.input_shift;
    for extent in start..start + (1 << step.input_shift) {
        let first = guest::read(prepared.host, request.input.extent_start.element(extent))?;
        for frame in 0..1 << request.input.extent_order {
            prepared.host.exchange_take(target, Mfn(first.0.wrapping_add(frame)))?;
        }
    }
    for _ in 0..1u64 << step.output_shift {
        prepared.host.exchange_allocate(target, request.output.extent_order, placement.possible()?)?;
    }
    Ok(prepared)
}

/// Places the new extents where the output list says and writes their numbers there. The frames are the domain's
/// already, so a fault stops nothing and is reported when all are dealt with.
fn announce<H: ExchangeHost + GuestMemory>(
    host: &mut H,
    target: Target,
    request: &MemoryExchange,
    step: Step,
    index: u64,
) -> Result<()> {
    let mut outcome = Ok(());
    let mut element = request.output.extent_start.element(index << step.output_shift);
    while let Some(first) = host.exchange_next() {
        match guest::read(host, element) {
            Ok(at) => {
                host.extent_place(target, first, Pfn(at.0), request.output.extent_order);
                outcome = outcome.and(guest::write(host, element, &Gfn(first.0)));
            }
            Err(errno) => outcome = Err(errno),
        }
        element = element.element(1);
    }
    outcome
}
