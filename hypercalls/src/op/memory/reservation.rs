//! Growing and shrinking a reservation: memory_op 0, 1 and 6.
//!
//! These never answer with an error number. Whatever goes wrong, the result is how many extents are done, which for a
//! refusal at the door is the start the caller itself passed in. Progress is that start, in the command; a release also
//! notes how far it came within a large extent (see [`ReleaseProgress`]).

use core::ops::RangeInclusive;

use abi::memory::{MemoryFlags, MemoryOperation, MemoryReservation, OPERATION_BITS};
use abi::{Errno, Gfn, GuestHandle, Mfn, Pfn, Result};

use crate::authority::{self, Policy, Target};
use crate::guest::{self, GuestMemory, Preemption};
use crate::op::virtual_numa::VirtualNumaHost;
use crate::outcome::{Failure, Reply};

/// Where new memory may lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Placement {
    /// Every byte must have a machine address of no more than this many bits.
    pub address_bits: Option<u32>,
    memory: Availability,
}

impl Placement {
    /// The same where there can be such memory. Errors: `ENOMEM`.
    pub(super) fn possible(self) -> Result<Self> {
        if self.memory == Availability::Nowhere { Err(Errno::ENOMEM) } else { Ok(self) }
    }
}

/// Whether there can be such memory: that is asked when memory is taken, not at the door.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Availability {
    /// There can.
    #[default]
    Somewhere,
    /// It has to be of a node that is not there, or in the first page.
    Nowhere,
}

/// Frames coming to and leaving domains.
pub trait ReservationHost: VirtualNumaHost {
    /// One more than the highest frame number of RAM.
    fn page_limit(&self) -> u64;
    /// Largest extent order the caller may use.
    fn max_extent_order(&self) -> u32;
    /// Gives the domain `2^order` scrubbed, aligned frames, charged to it; they have no place in its address space yet.
    /// Errors: `ENOMEM` if there are none or the domain may not have more, `ESRCH` if it went away.
    fn extent_allocate(&mut self, target: Target, order: u32, placement: Placement) -> Result<Mfn>;
    /// Takes frames back that were just allocated and could not be announced.
    fn extent_withdraw(&mut self, target: Target, first: Mfn, order: u32);
    /// Enters consecutive frames into the machine-to-physical table at consecutive places.
    fn extent_place(&mut self, target: Target, first: Mfn, at: Pfn, order: u32);
    /// Drops the domain's hold on a frame: the pin if it is pinned, and the reference that keeps it allocated. The
    /// frame is free when its last user lets go. Errors: `EINVAL` if the domain has no such frame.
    fn frame_release(&mut self, target: Target, frame: Mfn) -> Result<()>;
}

/// Most extents a command has room to count.
const EXTENTS_MAX: u64 = (u32::MAX >> OPERATION_BITS) as u64;
/// Widths that leave no page at all.
const TOO_FEW_BITS: RangeInclusive<u32> = 1..=abi::frame::PAGE_SHIFT;
/// NUMA nodes the interface can name.
const NODES_MAX: u32 = 64;
/// The node number that stands for "any".
const ANY_NODE: u32 = 0xFF;
/// Frames released between two looks at the clock.
const RELEASE_STRIDE: u64 = 64;

/// A request that passed the door.
struct Request {
    reservation: MemoryReservation,
    target: Target,
    placement: Placement,
}

/// Everything that is checked before the first extent; `None` is a refusal.
fn admit<H>(host: &H, start: u64, argument: GuestHandle<MemoryReservation>) -> Option<Request>
where
    H: ReservationHost + Policy + GuestMemory,
{
    let reservation = guest::read(host, argument).ok()?;
    if reservation.extent_count > EXTENTS_MAX || start >= reservation.extent_count {
        return None;
    }
    let target = authority::target(host, reservation.domain).ok()?;
    let placement = placement(host, target, reservation.flags)?;
    if TOO_FEW_BITS.contains(&reservation.flags.address_bits()) {
        return None;
    }
    if !reservation.extent_start.is_null() {
        let rest = reservation.extent_start.element(start);
        guest::check_array(rest, reservation.extent_count - start).ok()?;
    }
    (reservation.extent_order <= host.max_extent_order()).then_some(Request { reservation, target, placement })
}

/// Reads the placement flags; `None` is a refusal. All memory is one node here: any node may be preferred, only a
/// privileged caller may insist, and only on the one there is. A virtual node stands for the one that the domain's
/// topology puts it on, and for any if the domain has none.
pub(super) fn placement<H>(host: &H, target: Target, flags: MemoryFlags) -> Option<Placement>
where
    H: ReservationHost + Policy,
{
    let is_exact = flags.contains(MemoryFlags::EXACT_NODE_REQUEST);
    let mut chosen = 0;
    if flags.contains(MemoryFlags::VNODE) {
        if let Ok(node) = host.read_virtual_numa(target, |topology| topology.physical_node(flags.node())) {
            chosen = node?;
        }
    } else if flags.node() != ANY_NODE {
        let is_privileged = host.is_hardware_domain() || host.is_control_domain();
        let is_refused = if is_privileged { flags.node() >= NODES_MAX } else { is_exact };
        if is_refused {
            return None;
        }
        chosen = flags.node();
    }
    let bits = flags.address_bits();
    let is_nowhere = is_exact && chosen != 0 || TOO_FEW_BITS.contains(&bits);
    let memory = if is_nowhere { Availability::Nowhere } else { Availability::Somewhere };
    Some(Placement { address_bits: (bits != 0).then_some(bits), memory })
}

fn preempted(operation: MemoryOperation, progress: u64, argument: GuestHandle<MemoryReservation>) -> Reply {
    let command = u64::from(operation.0) | progress << OPERATION_BITS;
    Err(Failure::Preempted([command, argument.address().0, 0, 0, 0, 0]))
}

fn allocate<H: ReservationHost>(host: &mut H, request: &Request) -> Result<Mfn> {
    host.extent_allocate(request.target, request.reservation.extent_order, request.placement.possible()?)
}

/// increase_reservation(0): new frames without a place; their numbers are written out if the caller passed a list.
pub fn increase<H>(host: &mut H, start: u64, argument: GuestHandle<MemoryReservation>) -> Reply
where
    H: ReservationHost + Policy + GuestMemory + Preemption,
{
    let Some(request) = admit(host, start, argument) else {
        return Ok(start);
    };
    let Request { reservation, target, .. } = request;
    for index in start..reservation.extent_count {
        if index != start && host.preempted() {
            return preempted(MemoryOperation::INCREASE_RESERVATION, index, argument);
        }
        let Ok(first) = allocate(host, &request) else {
            return Ok(index);
        };
        let to = reservation.extent_start.element(index);
        if !reservation.extent_start.is_null() && guest::write(host, to, &Gfn(first.0)).is_err() {
            host.extent_withdraw(target, first, reservation.extent_order);
            return Ok(index);
        }
    }
    Ok(reservation.extent_count)
}

/// populate_physmap(6): new frames for the places in the list, whose elements become the frames' numbers.
pub fn populate<H>(host: &mut H, start: u64, argument: GuestHandle<MemoryReservation>) -> Reply
where
    H: ReservationHost + Policy + GuestMemory + Preemption,
{
    let Some(request) = admit(host, start, argument) else {
        return Ok(start);
    };
    let Request { reservation, target, .. } = request;
    let is_on_demand = reservation.flags.contains(MemoryFlags::POPULATE_ON_DEMAND);
    if is_on_demand && target.is_caller() {
        return Ok(start);
    }
    for index in start..reservation.extent_count {
        if index != start && host.preempted() {
            return preempted(MemoryOperation::POPULATE_PHYSMAP, index, argument);
        }
        let element = reservation.extent_start.element(index);
        let Ok(at) = guest::read(host, element) else {
            return Ok(index);
        };
        if is_on_demand {
            // A domain that is not translated has no places to mark: each extent is done as it is.
            continue;
        }
        let Ok(first) = allocate(host, &request) else {
            return Ok(index);
        };
        host.extent_place(target, first, Pfn(at.0), reservation.extent_order);
        if guest::write(host, element, &Gfn(first.0)).is_err() {
            host.extent_withdraw(target, first, reservation.extent_order);
            return Ok(index);
        }
    }
    Ok(reservation.extent_count)
}

/// How far a release came: whole extents, and frames of the one it is in.
///
/// A control domain's extents can be large, and their frames are dropped one by one, so the extent count alone would
/// either repeat work or leave it unpreemptible. The command has 32 bits that no valid start reaches; a set top bit says
/// that they hold the frames done. A guest that sets them itself only skips frames of its own.
#[derive(Clone, Copy)]
struct ReleaseProgress {
    extents: u64,
    frames: u64,
}

impl ReleaseProgress {
    const WITHIN_EXTENT: u64 = 1 << 63;
    const FRAMES_SHIFT: u32 = 32;
    const FRAMES_MASK: u64 = 0x7FFF_FFFF;

    fn decode(command: u64) -> Self {
        let start = command >> OPERATION_BITS;
        if command & Self::WITHIN_EXTENT == 0 {
            return Self { extents: start, frames: 0 };
        }
        Self { extents: start & EXTENTS_MAX, frames: command >> Self::FRAMES_SHIFT & Self::FRAMES_MASK }
    }

    fn encode(self) -> u64 {
        let whole = u64::from(MemoryOperation::DECREASE_RESERVATION.0) | self.extents << OPERATION_BITS;
        if self.frames == 0 {
            return whole;
        }
        whole | Self::WITHIN_EXTENT | (self.frames & Self::FRAMES_MASK) << Self::FRAMES_SHIFT
    }
}

/// decrease_reservation(1): gives the listed frames back.
pub fn decrease<H>(host: &mut H, command: u64, argument: GuestHandle<MemoryReservation>) -> Reply
where
    H: ReservationHost + Policy + GuestMemory + Preemption,
{
    let mut progress = ReleaseProgress::decode(command);
    let start = progress.extents;
    let Some(Request { reservation, target, .. }) = admit(host, start, argument) else {
        return Ok(start);
    };
    while progress.extents < reservation.extent_count {
        if progress.extents != start && host.preempted() {
            return stop(progress, argument);
        }
        let Ok(first) = guest::read(host, reservation.extent_start.element(progress.extents)) else {
            break;
        };
        match release_extent(host, target, first, 1 << reservation.extent_order, progress.frames) {
            Ok(None) => progress = ReleaseProgress { extents: progress.extents + 1, frames: 0 },
            Ok(Some(frames)) => return stop(ReleaseProgress { frames, ..progress }, argument),
            Err(_) => break,
        }
    }
    Ok(progress.extents)
}

fn stop(progress: ReleaseProgress, argument: GuestHandle<MemoryReservation>) -> Reply {
    Err(Failure::Preempted([progress.encode(), argument.address().0, 0, 0, 0, 0]))
}

/// Releases the frames of one extent from number `done` on; how many are done if it was preempted.
fn release_extent<H: ReservationHost + Preemption>(
    host: &mut H,
    target: Target,
    first: Gfn,
    count: u64,
    done: u64,
) -> Result<Option<u64>> {
    for index in done..count {
        if index != done && index.is_multiple_of(RELEASE_STRIDE) && host.preempted() {
            return Ok(Some(index));
        }
        host.frame_release(target, Mfn(first.0.wrapping_add(index)))?;
    }
    Ok(None)
}
