//! Taking a domain down: everything it had goes back, in bounded steps.
//!
//! Order: no CPU has it; then what its vCPUs hold; then ports, grant mappings and interrupts; then its frames. The shared
//! page, the grant frames and the tables of its own slot go with the record, when the last frame that others have in use
//! is given back. Steps are counted in the record, so that any caller may go on. Context: a hypercall of another domain; one
//! CPU at a time, which the step's own claim sees to.

#![expect(unsafe_code, reason = "takes the state of vCPUs that never run again")]

use core::sync::atomic::{
    Ordering::{AcqRel, Acquire, Release, SeqCst},
    fence,
};

use abi::{GrantHandle, Mfn, Virq};
use event_channels::Progress;
use grant_tables::{Teardown, release_mappings};
use pv_mmu::relinquish_frame;

use super::{Domain, Held, Life, Vcpu, changes, hold, retired, virqs};
use crate::{
    cpu,
    fail_point::{Point, hit},
    interrupt::pirq::DomainPirqs,
    memory::{claims, frame_table, mmu::Machine},
    serve::{Caller, budget, context},
};

/// How far it got.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TeardownProgress {
    /// Nothing is left but the record, and frames that others have in use.
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
/// A CPU, whose index stands in the bits below this one, is at work on the step that stands below those.
const CLAIMED: u64 = 1 << 63;
const CLAIMANT_SHIFT: u32 = 48;
const STEP_MASK: u64 = (1 << CLAIMANT_SHIFT) - 1;
/// Handles in one step.
const HANDLES: u32 = 256;
/// Frames between two looks at the budget.
const STRIDE: u64 = 4096;

/// The right to go on with a domain's teardown; another caller waits meanwhile.
struct Turn {
    domain: &'static Domain,
    step: u64,
}

impl Turn {
    /// `None` when another CPU is at it.
    fn take(domain: &'static Domain) -> Option<Self> {
        let step = domain.teardown_step.load(Acquire);
        let is_free = step & CLAIMED == 0;
        let claim = || domain.teardown_step.compare_exchange(step, step | own_claim(), AcqRel, Acquire);
        if !is_free || claim().is_err() {
            return None;
        }
        hit(Point::CLAIMING);
        Some(Self { domain, step })
    }
}

/// A claim of this CPU's.
fn own_claim() -> u64 {
    CLAIMED | (cpu::this().index as u64) << CLAIMANT_SHIFT
}

/// A fault has thrown away what this CPU did with the domain, guards and all: vCPUs that it held are free again, and
/// whoever comes next begins the step of the teardown anew.
pub fn abandon(domain: &'static Domain) {
    hold::abandon(domain);
    let step = domain.teardown_step.load(Acquire);
    if step & !STEP_MASK == own_claim() {
        domain.teardown_step.store(step & STEP_MASK, Release);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.domain.teardown_step.store(self.step, Release);
    }
}

/// Goes on with taking `domain` down on behalf of `caller`, who belongs to another domain.
pub fn tear_down(domain: &'static Domain, caller: &Caller<'_>) -> TeardownProgress {
    if domain.advance(Life::Dying) {
        changes::note(domain.id);
        domain.stop_for_good();
    }
    if domain.is_dead() {
        return TeardownProgress::Done;
    }
    let Some(mut turn) = Turn::take(domain) else { return TeardownProgress::More };
    loop {
        hit(Point::teardown(turn.step));
        let next = match turn.step {
            EVICT => evict(domain),
            VCPUS => release_vcpus(domain),
            PORTS => close_ports(domain),
            GRANTS => release_grants(domain, caller),
            _ => return relinquish(&mut turn),
        };
        let Some(next) = next else { return TeardownProgress::More };
        turn.step = next;
    }
}

/// Waits until no CPU has a vCPU of it, resident or queued.
fn evict(domain: &'static Domain) -> Option<u64> {
    for vcpu in domain.vcpus().iter().filter(|vcpu| !vcpu.is_evicted()) {
        let held = Held::take(vcpu).ok()?;
        hit(Point::within_teardown(EVICT));
        let processor = cpu::by_index(vcpu.processor.load(Acquire) as usize)?;
        let entity = processor.queue.lock().detach(vcpu.entity)?;
        vcpu.is_queued.store(false, Release);
        held.keep();
        drop(entity);
    }
    // Nobody has its tables loaded any more, so no flush is owed to them.
    (domain.dirty_cpus().0 == 0).then_some(VCPUS)
}

/// Gives back what the vCPUs hold: roots, descriptor pages, unfinished work, timers.
fn release_vcpus(domain: &'static Domain) -> Option<u64> {
    for vcpu in domain.vcpus() {
        release_vcpu(vcpu)?;
    }
    Some(PORTS)
}

fn release_vcpu(vcpu: &'static Vcpu) -> Option<()> {
    {
        let mut time = vcpu.time.lock();
        (time.singleshot, time.periodic, time.poll) = (None, None, None);
        (time.runstate_area, time.time_area) = (None, None);
    }
    // SAFETY: 1. it is resident nowhere and in no queue (`evict`), and a dying domain's vCPUs are never queued again.
    // 2. dropped at the end.
    let state = unsafe { vcpu.state() };
    hit(Point::within_teardown(VCPUS));
    state.exchange.abandon(vcpu.domain);
    context::release_tables(vcpu, state)
}

fn close_ports(domain: &'static Domain) -> Option<u64> {
    let control = DomainPirqs::of(domain);
    if domain.ports.teardown(&control, budget::is_spent) == Progress::Preempted {
        return None;
    }
    hit(Point::within_teardown(PORTS));
    for vcpu in domain.vcpus() {
        vcpu.set_info(super::record::dummy_info());
    }
    domain.ports.release_vcpu_infos();
    domain.interrupts.tear_down(domain);
    virqs::forget(domain);
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
    hit(Point::within_teardown(GRANTS));
    // Giving a claim back cannot fail.
    let _ = claims::stake(&domain.memory, 0);
    drop(core::mem::take(&mut *domain.memory.map.lock()));
    drop(domain.memory.topology.lock().take());
    Some(FRAMES)
}

/// Takes every frame away that is still the domain's.
fn relinquish(turn: &mut Turn) -> TeardownProgress {
    let domain = turn.domain;
    // Pairs with that of `serve::memory::give`: frames given before the domain began to die are seen here.
    fence(SeqCst);
    let mut from = turn.step - FRAMES;
    while let Some(region) = domain.memory.regions.next(Mfn(from)) {
        let end = region.end.min((region.start + 1).next_multiple_of(STRIDE));
        from = relinquish_range(domain, region.start, end);
        if budget::is_spent() {
            turn.step = FRAMES + from;
            return TeardownProgress::More;
        }
    }
    turn.step = FRAMES + frame_table::limit().0;
    domain.advance(Life::Dead);
    changes::note(domain.id);
    retired::reap_soon();
    virqs::raise(Virq::DOM_EXC);
    TeardownProgress::Done
}

/// Goes from frame `start` on to `end`, or less far when it runs out of budget; how far it got.
fn relinquish_range(domain: &Domain, start: u64, end: u64) -> u64 {
    for frame in start..end {
        let is_its = frame_table::frames().get(Mfn(frame)).is_some_and(|info| info.reference().owner() == domain.id);
        if !is_its {
            continue;
        }
        hit(Point::within_teardown(FRAMES));
        while relinquish_frame(&Machine, Mfn(frame), domain.id).is_err() {
            if budget::is_spent() {
                return frame;
            }
        }
    }
    end
}
