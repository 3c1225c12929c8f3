//! Taking a stopped domain down: everything it had goes back, in bounded steps, and its record stays.
//!
//! Order: no CPU has it; then what its vCPUs hold; then ports, grant mappings and interrupts; then its frames. The record,
//! the shared page, the first grant frames and the tables of its own slot stay with it for good: ids are never used again
//! and other CPUs find records without a lock. Context: a hypercall of another domain; one CPU at a time. Built for the
//! containment test alone until a call of the toolstack destroys domains.

#![expect(unsafe_code, reason = "takes the state of vCPUs that never run again")]
#![cfg_attr(
    not(feature = "fail-points"),
    expect(dead_code, reason = "nobody else ends a domain other than the host's yet")
)]

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use abi::{GrantHandle, Mfn};
use event_channels::Progress;
use grant_tables::{Teardown, release_mappings};
use pv_mmu::{Stop, finish_drops, release_root, release_segment_page, relinquish_frame};

use super::{Domain, Life, RunFlags, Vcpu};
use crate::{
    cpu::{self, Work},
    interrupt::pirq::DomainPirqs,
    memory::{claims, frame_table, mmu::Machine},
    sched::wake,
    serve::{Caller, budget, descriptors},
};

/// How far it got.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TeardownProgress {
    /// Nothing is left but the record.
    Done,
    /// Call again: out of budget, or another CPU has yet to let the domain go.
    More,
}

/// Steps, in order; kept in [`Domain::teardown_step`]. Frames are counted on from [`FRAMES`].
const EVICT: u64 = 0;
const VCPUS: u64 = 1;
const PORTS: u64 = 2;
const GRANTS: u64 = 3;
const FRAMES: u64 = 4;
/// Handles in one step.
const HANDLES: u32 = 256;
/// Frames between two looks at the budget.
const STRIDE: u64 = 4096;

/// Goes on with taking `domain` down on behalf of `caller`, who belongs to another domain.
pub fn tear_down(domain: &'static Domain, caller: &Caller<'_>) -> TeardownProgress {
    if domain.advance(Life::Dying) {
        for vcpu in domain.vcpus() {
            wake::stop(vcpu, RunFlags::PAUSED);
        }
    }
    loop {
        let step = domain.teardown_step.load(Acquire);
        let next = match step {
            EVICT => evict(domain),
            VCPUS => release_vcpus(domain),
            PORTS => close_ports(domain),
            GRANTS => release_grants(domain, caller),
            _ => return relinquish(domain, step - FRAMES),
        };
        let Some(next) = next else { return TeardownProgress::More };
        domain.teardown_step.store(next, Relaxed);
    }
}

/// Waits until no CPU has a vCPU of it, resident or queued.
fn evict(domain: &'static Domain) -> Option<u64> {
    let holders = domain.dirty_cpus();
    if holders.0 != 0 {
        for index in holders.iter() {
            if let Some(holder) = cpu::by_index(index) {
                wake::interrupt(holder, Work::SCHEDULE);
            }
        }
        return None;
    }
    for vcpu in domain.vcpus() {
        let processor = cpu::by_index(vcpu.processor.load(Acquire) as usize)?;
        let entity = processor.queue.lock().detach(vcpu.entity);
        // Absent: gone in an earlier attempt, or on its way to another queue.
        if entity.is_none() && !vcpu.is_evicted() {
            return None;
        }
        vcpu.mark_evicted();
        drop(entity);
    }
    Some(VCPUS)
}

/// Gives back what the vCPUs hold: roots, descriptor pages, unfinished work, timers.
fn release_vcpus(domain: &'static Domain) -> Option<u64> {
    for vcpu in domain.vcpus() {
        release_vcpu(vcpu)?;
    }
    Some(PORTS)
}

fn release_vcpu(vcpu: &'static Vcpu) -> Option<()> {
    finish_drops(&Machine).ok()?;
    {
        let mut time = vcpu.time.lock();
        (time.singleshot, time.periodic, time.poll) = (None, None, None);
        (time.runstate_area, time.time_area) = (None, None);
    }
    // SAFETY: 1. it is resident nowhere and in no queue (`evict`), and a dying domain's vCPUs are never queued again.
    // 2. dropped at the end.
    let state = unsafe { vcpu.state() };
    state.exchange.abandon(vcpu.domain);
    descriptors::drop_local_table(vcpu);
    for frame in state.descriptor_frames.take().into_iter().flatten() {
        release_segment_page(&Machine, frame);
    }
    for root in [state.kernel_root.take(), state.user_root.take()].into_iter().flatten() {
        release_root(&Machine, root);
        while finish_drops(&Machine) == Err(Stop::Preempted) {}
    }
    vcpu.drops.give_to(crate::memory::mmu::own_drops());
    while finish_drops(&Machine) == Err(Stop::Preempted) {}
    Some(())
}

fn close_ports(domain: &'static Domain) -> Option<u64> {
    let control = DomainPirqs::of(domain);
    if domain.ports.teardown(&control, budget::is_spent) == Progress::Preempted {
        return None;
    }
    for vcpu in domain.vcpus() {
        vcpu.set_info(super::record::dummy_info());
    }
    domain.ports.release_vcpu_infos();
    domain.interrupts.tear_down(domain);
    Some(GRANTS)
}

fn release_grants(domain: &'static Domain, caller: &Caller<'_>) -> Option<u64> {
    let mut from = GrantHandle(0);
    while let Teardown::From(next) = release_mappings(caller, &domain.grants, from, HANDLES) {
        // Handles that were released are found free again by a later call.
        from = next;
        if budget::is_spent() {
            return None;
        }
    }
    // Giving a claim back cannot fail.
    let _ = claims::stake(&domain.memory, 0);
    drop(core::mem::take(&mut *domain.memory.map.lock()));
    Some(FRAMES)
}

/// Takes every frame away that is still the domain's, from frame `from` on.
fn relinquish(domain: &'static Domain, from: u64) -> TeardownProgress {
    let limit = frame_table::limit().0;
    let mut frame = from;
    while frame < limit {
        let is_its = frame_table::frames().get(Mfn(frame)).is_some_and(|info| info.reference().owner() == domain.id);
        let is_preempted = is_its && relinquish_frame(&Machine, Mfn(frame), domain.id).is_err();
        if !is_preempted {
            frame += 1;
        }
        if (is_preempted || frame.is_multiple_of(STRIDE)) && budget::is_spent() {
            domain.teardown_step.store(FRAMES + frame, Relaxed);
            return TeardownProgress::More;
        }
    }
    domain.teardown_step.store(FRAMES + limit, Relaxed);
    domain.advance(Life::Dead);
    TeardownProgress::Done
}

impl Vcpu {
    fn is_evicted(&self) -> bool {
        self.evicted.load(Acquire)
    }

    fn mark_evicted(&self) {
        self.evicted.swap(true, AcqRel);
    }
}
