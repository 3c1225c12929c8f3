//! What happens at a given time: each CPU looks after the vCPUs that belong to it.
//!
//! The local APIC is programmed for the earliest deadline known. Setting a later one leaves it alone: it then fires early
//! once, and the scan finds the right moment. Lock: each vCPU's [`locks::Level::Timers`], one at a time.

use core::sync::atomic::Ordering::Relaxed;

use abi::{Virq, sched::ShutdownReason, vcpu::Runstate};

use super::wake;
use crate::{
    cpu::{self, Cpu, Work},
    domain::{self, Domain, Kicked, RunFlags, Vcpu},
    interrupt::{device, local_apic},
    time::{clock, watchdog},
};

/// "No deadline".
const NEVER: u64 = u64::MAX;

/// Makes sure that this CPU wakes up for `deadline`, nanoseconds of system time.
pub fn arm(deadline: u64) {
    let this = cpu::this();
    if deadline < this.next_deadline.load(Relaxed) {
        this.next_deadline.store(deadline, Relaxed);
        program(deadline);
    }
}

fn program(deadline: u64) {
    let now = clock::now();
    local_apic::set_timer(deadline.saturating_sub(now).max(1));
}

/// Remembers when this CPU's current vCPU must give way.
pub fn set_slice(end: Option<u64>) {
    let this = cpu::this();
    this.slice_end.store(end.unwrap_or(NEVER), Relaxed);
    if let Some(end) = end {
        arm(end);
    }
}

/// A CPU's next decision is due by `deadline`, if that is earlier than it knows.
pub fn bring_slice_forward(target: &'static Cpu, deadline: u64) {
    if target.slice_end.fetch_min(deadline, Relaxed) <= deadline {
        return;
    }
    if target.index == cpu::this().index {
        arm(deadline);
    } else {
        wake::interrupt(target, Work::TIMER);
    }
}

/// A deadline of `vcpu` has changed: its CPU must know.
pub fn changed(vcpu: &'static Vcpu, deadline: u64) {
    let processor = vcpu.processor.load(Relaxed) as usize;
    match cpu::by_index(processor) {
        Some(other) if other.index != cpu::this().index => wake::interrupt(other, Work::TIMER),
        _ => arm(deadline),
    }
}

/// Handles everything that is due on this CPU and programs the next deadline.
pub fn expire() {
    let this = cpu::this();
    if !this.is_online() {
        return;
    }
    let now = clock::now();
    let mut next = NEVER;
    if this.slice_end.load(Relaxed) <= now {
        this.slice_end.store(NEVER, Relaxed);
        this.raise(Work::SCHEDULE);
    } else {
        next = this.slice_end.load(Relaxed);
    }
    next = next.min(device::end_holding_back(now)).min(watchdog::beat(now));
    for domain in domain::all() {
        next = next.min(expire_watchdogs(domain, now));
    }
    for vcpu in domain::all().flat_map(|domain| domain.vcpus()) {
        if vcpu.processor.load(Relaxed) as usize == this.index {
            next = next.min(expire_vcpu(vcpu, now));
        }
    }
    this.next_deadline.store(next, Relaxed);
    if next != NEVER {
        program(next);
    }
}

/// Stops a domain whose watchdog was not wound up in time; the next deadline.
fn expire_watchdogs(domain: &'static Domain, now: u64) -> u64 {
    let due = domain.watchdog_due.load(Relaxed);
    if due > now {
        return due;
    }
    let mut control = domain.control.lock();
    let expired = control.watchdogs.iter().flatten().any(|&deadline| deadline <= now);
    for slot in control.watchdogs.iter_mut().filter(|slot| slot.is_some_and(|deadline| deadline <= now)) {
        *slot = None;
    }
    let next = control.watchdogs.iter().flatten().copied().min().unwrap_or(NEVER);
    domain.watchdog_due.store(next, Relaxed);
    drop(control);
    if expired {
        log::error!("Watchdog timer fired for domain {}", domain.id);
        domain::shut_down(domain, ShutdownReason::WATCHDOG);
    }
    next
}

/// Fires what is due of one vCPU; the next deadline.
fn expire_vcpu(vcpu: &'static Vcpu, now: u64) -> u64 {
    let mut time = vcpu.time.lock();
    let mut ticks = false;
    let mut polled = false;
    if time.singleshot.is_some_and(|deadline| deadline <= now) {
        time.singleshot = None;
        ticks = true;
    }
    // The tick of a vCPU that does not run stands still: it is made up for when the vCPU runs again.
    if let Some((period, tick)) = time.periodic
        && time.state == Runstate::RUNNING
        && tick <= now
    {
        time.periodic = Some((period, now + period - (now - tick) % period));
        ticks = true;
    }
    if time.poll.is_some_and(|deadline| deadline <= now) {
        time.poll = None;
        polled = true;
    }
    let running = time.state == Runstate::RUNNING;
    let periodic = time.periodic.filter(|_| running).map(|(_, tick)| tick);
    let next = [time.singleshot, time.poll, periodic].into_iter().flatten().min().unwrap_or(NEVER);
    drop(time);
    if ticks {
        vcpu.domain.ports.raise_virq(vcpu.id, Virq::TIMER).kick();
    }
    if polled {
        wake::release(vcpu, RunFlags::POLLING);
    }
    next
}
