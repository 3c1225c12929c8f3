//! What happens at a given time: slices, vCPUs' timers, watchdogs.
//!
//! A vCPU's timers are looked after by the CPU on which they were set last, wherever the vCPU is: `watched`, under the
//! vCPU's own lock, says which and by when. That CPU's [`Deadlines`] has the vCPU with that deadline or an
//! earlier one; what it has of vCPUs that others look after by now is dropped when it comes up. So a timer interrupt costs
//! what is due on its CPU, however many domains there are. Watchdogs are the boot CPU's.
//!
//! The local APIC is programmed for the earliest deadline known. Setting a later one leaves it alone: it then fires early
//! once, and finds the right moment. Locks: [`Level::Timers`] of a vCPU, of a CPU's deadlines; one at a time.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use abi::{Errno, Result, Virq, sched::ShutdownReason, vcpu::Runstate};
use locks::{Level, Lock};
use scheduler::Deadlines;

use super::{entities, wake};
use crate::{
    cpu::{self, Cpu, Work},
    domain::{self, Domain, Kicked, RunFlags, Vcpu},
    interrupt::{device, local_apic},
    time::{
        clock,
        vcpu_time::{Inner, Watch},
        watchdog,
    },
};

/// "No deadline".
const NEVER: u64 = u64::MAX;
/// The CPU that looks after watchdogs; it never goes out of service.
const BOOT_CPU: usize = 0;
/// The first deadline of any domain's watchdogs, or earlier.
static WATCHDOG_DUE: AtomicU64 = AtomicU64::new(NEVER);

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

/// Remembers when this CPU's current vCPU must give way. Under the queue's lock: who has something earlier to say read the
/// queue after that, and says it afterwards ([`bring_slice_forward`]).
pub fn set_slice(this: &Cpu, end: Option<u64>) {
    this.slice_end.store(end.unwrap_or(NEVER), Relaxed);
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

/// The deadlines of a new CPU, with room for every vCPU that there can be: it stays as it is, whatever domains come and go.
/// Errors: `ENOMEM`.
pub fn create() -> Result<Lock<Deadlines>> {
    let deadlines = Deadlines::with_room(entities::CAPACITY).map_err(|_| Errno::ENOMEM)?;
    Ok(Lock::new(Level::Timers, deadlines))
}

/// Changes the timers of `vcpu`; this CPU looks after them from now on.
#[inline]
pub fn change(vcpu: &'static Vcpu, how: impl FnOnce(&mut Inner)) {
    let this = cpu::this();
    let deadline = {
        let mut time = vcpu.time.lock();
        how(&mut time);
        time.watch(this.index as u32)
    };
    if let Some(deadline) = deadline {
        watch(this, vcpu, deadline);
    }
}

/// Tells a CPU by when to look at the timers of a vCPU, as [`crate::time::vcpu_time::Inner::watch`] said.
pub fn watch(target: &'static Cpu, vcpu: &'static Vcpu, deadline: u64) {
    if target.deadlines.lock().bring_forward(vcpu.entity, deadline) {
        if target.index == cpu::this().index {
            arm(deadline);
        } else {
            wake::interrupt(target, Work::TIMER);
        }
    }
}

/// A watchdog is to be looked at by `deadline`.
pub fn watchdog_set(deadline: u64) {
    WATCHDOG_DUE.fetch_min(deadline, AcqRel);
    if cpu::this().index == BOOT_CPU {
        arm(deadline);
    } else {
        look_on_boot_cpu();
    }
}

/// Has the boot CPU look at what is due on any CPU (watchdogs, interrupts that are held back).
fn look_on_boot_cpu() {
    if let Some(boot) = cpu::by_index(BOOT_CPU) {
        wake::interrupt(boot, Work::TIMER);
    }
}

/// Handles everything that is due on this CPU and programs the next deadline.
pub fn expire() {
    let this = cpu::this();
    if !this.is_online() {
        // An interrupt that was on its way when this CPU went out of service may have armed something here.
        return look_on_boot_cpu();
    }
    let now = clock::now();
    // Whatever is armed from here on, by what expires, counts at the end.
    this.next_deadline.store(NEVER, Relaxed);
    if this.slice_end.load(Relaxed) <= now {
        this.slice_end.store(NEVER, Relaxed);
        this.raise(Work::SCHEDULE);
    }
    let mut next = device::end_holding_back(now).min(watchdog::beat(now));
    if this.index == BOOT_CPU {
        next = next.min(expire_watchdogs(now));
    }
    loop {
        let due = this.deadlines.lock().take_due(now);
        let Some(vcpu) = due.map(entities::vcpu) else { break };
        if let Some(vcpu) = vcpu {
            expire_vcpu(this, vcpu, now);
        }
    }
    next = next.min(this.deadlines.lock().first().unwrap_or(NEVER));
    next = next.min(this.slice_end.load(Relaxed)).min(this.next_deadline.load(Relaxed));
    this.next_deadline.store(next, Relaxed);
    if next != NEVER {
        program(next);
    }
}

/// Stops the domains whose watchdogs were not wound up in time; the next deadline. Looks at all domains when one is due.
fn expire_watchdogs(now: u64) -> u64 {
    if WATCHDOG_DUE.load(Acquire) <= now {
        // Who has set one before is seen below, and who sets one after lowers it again.
        WATCHDOG_DUE.swap(NEVER, AcqRel);
        for domain in domain::all() {
            WATCHDOG_DUE.fetch_min(expire_watchdogs_of(domain, now), AcqRel);
        }
    }
    WATCHDOG_DUE.load(Acquire)
}

/// Stops a domain whose watchdog was not wound up in time; its next deadline.
fn expire_watchdogs_of(domain: &'static Domain, now: u64) -> u64 {
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

/// Fires what is due of one vCPU, if its timers still are this CPU's, and sees to what comes next.
fn expire_vcpu(this: &'static Cpu, vcpu: &'static Vcpu, now: u64) {
    let mut time = vcpu.time.lock();
    if time.watched.cpu as usize != this.index {
        return;
    }
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
    time.watched = Watch::NONE;
    let next = time.watch(this.index as u32);
    drop(time);
    if let Some(next) = next {
        // Not due yet, so the loop of `expire` ends.
        this.deadlines.lock().bring_forward(vcpu.entity, next);
    }
    if ticks {
        vcpu.domain.ports.raise_virq(vcpu.id, Virq::TIMER).kick();
    }
    if polled {
        wake::release(vcpu, RunFlags::POLLING);
    }
}

/// Has another CPU look after all timers that are this CPU's, and the boot CPU after what this one has armed beside them.
/// Context: this CPU goes out of service.
pub fn give_away(target: &'static Cpu) {
    let this = cpu::this();
    look_on_boot_cpu();
    loop {
        let taken = this.deadlines.lock().take_any();
        let Some((id, deadline)) = taken else { return };
        let Some(vcpu) = entities::vcpu(id) else { continue };
        {
            let mut time = vcpu.time.lock();
            if time.watched.cpu as usize != this.index {
                continue;
            }
            time.watched.cpu = target.index as u32;
        }
        watch(target, vcpu, deadline);
    }
}
