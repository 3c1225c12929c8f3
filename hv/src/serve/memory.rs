//! memory_op: frames coming to and leaving domains, memory maps, tables that toolstacks map.
//!
//! A frame changes hands by single atomic steps on its record (`pv_mmu`), so nothing here takes a lock of the domain.
//! Whoever gives a frame to a domain looks afterwards whether the domain is dying and then takes the frame back: teardown
//! may have passed it. Source: Xen public header `memory.h`.

use alloc::vec::Vec;
use core::sync::atomic::{
    Ordering::{Relaxed, SeqCst},
    fence,
};

use abi::{Errno, Mfn, Pfn, Result, memory::E820Entry};
use frame_allocator::Order;
use grant_tables::{
    Growth, Version,
    table::{FRAMES_PER_STATUS_FRAME, status_frames_for},
};
use hypercalls::{
    authority::Target,
    op::memory::{MemoryHost, MemoryMapHost, Placement, ReservationHost, Resource, ResourceHost},
};
use pv_mmu::{finish_drops, get_page, put_page, release_allocation, unpin};

use super::Caller;
use crate::{
    domain::{self, Domain},
    fail_point::{Point, hit},
    memory::{claims, entry, frame_table, layout, machine_to_physical, mmu::Machine, physical, recycle, tables},
    platform::memory_map,
};

/// Largest extent orders of a control domain, the hardware domain and others: the defaults of `memop-max-order`.
const CONTROL_ORDER: u32 = 18;
const HARDWARE_ORDER: u32 = 12;
const GUEST_ORDER: u32 = 9;

/// A domain that a call named. Errors: `ESRCH`.
pub(super) fn named(target: Target) -> Result<&'static Domain> {
    let domain = domain::find(target.id()).ok_or(Errno::ESRCH)?;
    hit(Point::NAMED);
    Ok(domain)
}

/// The domain that the caller named, which mostly is its own and is not looked up then. Errors: `ESRCH`.
#[inline]
fn named_by(caller: &Caller<'_>, target: Target) -> Result<&'static Domain> {
    if !target.is_caller() {
        return named(target);
    }
    hit(Point::NAMED);
    Ok(caller.domain)
}

/// The same, if it is not going away. Errors: `ESRCH`.
pub(super) fn living(target: Target) -> Result<&'static Domain> {
    named(target).and_then(|domain| if domain.is_dying() { Err(Errno::ESRCH) } else { Ok(domain) })
}

/// The frame below which a placement must end.
pub(super) fn limit(placement: Placement) -> Mfn {
    match placement.address_bits {
        Some(bits) if bits < u64::BITS => Mfn(1 << bits.saturating_sub(abi::frame::PAGE_SHIFT)),
        _ => physical::ANYWHERE,
    }
}

/// The allocator's order. Errors: `ENOMEM` for one it has no blocks of.
pub(super) fn block_order(order: u32) -> Result<Order> {
    u8::try_from(order).ok().map(Order).filter(|&order| order <= frame_allocator::MAX_ORDER).ok_or(Errno::ENOMEM)
}

/// Gives free, scrubbed and charged frames to a domain. Errors: `ESRCH` if it is dying; then the frames are free again.
pub(super) fn give(domain: &Domain, first: Mfn, count: u64) -> Result<()> {
    domain.memory.regions.note(first, count);
    let frames = frame_table::frames();
    for frame in first.0..first.0 + count {
        if let Some(info) = frames.get(Mfn(frame)) {
            info.assign(domain.id);
        }
    }
    // Either teardown, which fences too, sees the frames or this sees that it has begun.
    fence(SeqCst);
    if !domain.is_dying() {
        return Ok(());
    }
    take_back(domain, first, count);
    Err(Errno::ESRCH)
}

/// Ends the allocation of frames that were given and may be in use, or given back, by now.
fn take_back(domain: &Domain, first: Mfn, count: u64) {
    for frame in first.0..first.0 + count {
        // An error says that the guest or teardown was faster.
        let _ = release_allocation(&Machine, Mfn(frame), domain.id);
    }
}

impl ReservationHost for Caller<'_> {
    fn page_limit(&self) -> u64 {
        frame_table::limit().0
    }

    fn max_extent_order(&self) -> u32 {
        let rights = &self.domain.rights;
        match (rights.is_control, rights.is_hardware()) {
            (true, _) => CONTROL_ORDER,
            (false, true) => HARDWARE_ORDER,
            (false, false) => GUEST_ORDER,
        }
    }

    fn extent_allocate(&mut self, target: Target, order: u32, placement: Placement) -> Result<Mfn> {
        let domain = named_by(self, target)?;
        if domain.is_dying() {
            return Err(Errno::ESRCH);
        }
        let order = block_order(order)?;
        let count = 1 << order.0;
        domain.memory.charge(count)?;
        let taken = claims::admit(&domain.memory, count).and_then(|admission| {
            let first = recycle::take_for(domain.id, order, limit(placement))?;
            admission.settle();
            Ok(first)
        });
        let first = taken.inspect_err(|_| domain.memory.release(count))?;
        give(domain, first, count)?;
        Ok(first)
    }

    fn extent_withdraw(&mut self, target: Target, first: Mfn, order: u32) {
        if let Ok(domain) = named(target) {
            take_back(domain, first, 1 << order);
        }
    }

    fn extent_place(&mut self, target: Target, first: Mfn, at: Pfn, order: u32) {
        for offset in 0..1 << order {
            let frame = Mfn(first.0 + offset);
            // Held, because another vCPU may give the frame back: a free frame must have no entry.
            if let Ok(info) = get_page(&*self, frame, target.id()) {
                machine_to_physical::set(frame, at.0.wrapping_add(offset));
                put_page(&*self, frame, info);
            }
        }
    }

    fn frame_release(&mut self, target: Target, frame: Mfn) -> Result<()> {
        let domain = named_by(self, target)?;
        // A pinned table may leave its lower tables to be dropped later, and there is room for one table's only.
        while finish_drops(&*self).is_err() {}
        // An error says that it is not pinned.
        let _ = unpin(&*self, frame, domain.id);
        release_allocation(&*self, frame, domain.id).or_else(|_| {
            // Given back before and still in use, or one the hypervisor shares with the guest and keeps: there is nothing
            // left to do, and so nothing to complain of.
            let info = get_page(&*self, frame, domain.id)?;
            put_page(&*self, frame, info);
            Ok(())
        })
    }
}

impl MemoryMapHost for Caller<'_> {
    fn machine_to_physical_piece(&self, index: u64) -> Option<Mfn> {
        tables::lookup(physical::root(), layout::MACHINE_TO_PHYSICAL + (index << 21)).map(entry::frame)
    }

    fn machine_map_entry(&self, index: u32) -> Option<E820Entry> {
        memory_map::entry(index)
    }

    fn domain_map_entry(&self, index: u32) -> Option<E820Entry> {
        self.domain.memory.map.lock().get(index as usize).copied()
    }

    fn set_domain_map(&mut self, target: Target, map: Vec<E820Entry>) -> Result<()> {
        let former = core::mem::replace(&mut *living(target)?.memory.map.lock(), map);
        drop(former);
        Ok(())
    }
}

impl ResourceHost for Caller<'_> {
    fn resource_size(&self, target: Target, resource: Resource) -> Option<u32> {
        let frames = named(target).ok()?.grants.limits().frames;
        Some(match resource {
            Resource::GrantShared => frames,
            Resource::GrantStatus => status_frames_for(frames),
        })
    }

    fn resource_frame(&mut self, target: Target, resource: Resource, index: u32) -> Result<Mfn> {
        let domain = living(target)?;
        let grants = &domain.grants;
        let wanted = match resource {
            Resource::GrantShared => index.saturating_add(1),
            // A table of version 1 has no status words.
            Resource::GrantStatus if grants.version() == Version::One => return Err(Errno::EINVAL),
            Resource::GrantStatus => index.saturating_mul(FRAMES_PER_STATUS_FRAME).saturating_add(1),
        };
        while grants.grow(wanted, &*self).map_err(|_| Errno::ENOMEM)? == Growth::More {}
        match resource {
            Resource::GrantShared => grants.shared_frame(index),
            Resource::GrantStatus => grants.status_frame(index),
        }
        .ok_or(Errno::EINVAL)
    }
}

impl MemoryHost for Caller<'_> {
    fn current_pages(&self, target: Target) -> Result<u64> {
        named(target).map(|domain| domain.memory.total())
    }

    fn maximum_pages(&self, target: Target) -> Result<u64> {
        named(target).map(|domain| domain.memory.maximum())
    }

    fn shared_max_pfn(&self, target: Target) -> Result<u64> {
        let [maximum, ..] = &named(target)?.shared().arch;
        Ok(maximum.load(Relaxed))
    }

    fn claim_pages(&mut self, target: Target, pages: u64) -> Result<()> {
        claims::stake(&living(target)?.memory, pages)
    }
}
