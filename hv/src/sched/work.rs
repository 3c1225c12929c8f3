//! What a CPU does between guests: expired timers, console input, choosing who runs.
//!
//! Context: the gate or the idle loop; no lock held, no boundary.

use core::sync::atomic::Ordering::{AcqRel, Relaxed, Release};

use abi::vcpu::Runstate;
use scheduler::EntityId;

use super::{entities, idle, queue, switch, timers};
use crate::{
    console::{debug_keys, keys},
    cpu::{self, Cpu, Work, block, hotplug, rendezvous},
    domain::{self, PendingWork, RunFlags, Vcpu},
    time::clock,
};

/// Does everything that waits, then returns with a runnable vCPU resident and running, unless more work came up. A frame
/// of its own, by which the unwinder knows it.
#[inline(never)]
pub fn run() {
    let cpu = cpu::this();
    let work = cpu.work.swap(0, AcqRel);
    if work & Work::PASS.0 != 0 {
        domain::passed();
    }
    if work & Work::TIMER.0 != 0 {
        timers::expire();
    }
    if work & Work::CONSOLE.0 != 0 {
        keys::handle();
    }
    if work & Work::REGISTERS.0 != 0 {
        debug_keys::own_registers();
    }
    if work & Work::SERVICE.0 != 0 {
        hotplug::change_own();
    }
    if work & Work::RENDEZVOUS.0 != 0 {
        rendezvous::take_part();
    }
    let must_choose = Work::SCHEDULE.0 | Work::YIELD.0;
    if work & must_choose != 0 || block::this_info().current().is_none_or(|vcpu| !vcpu.has_cpu()) {
        schedule(cpu, Work(work));
    }
}

/// Chooses the next vCPU and makes it resident; idles while there is none.
fn schedule(cpu: &'static Cpu, work: Work) {
    let info = block::this_info();
    let resident = info.current();
    let now = clock::now();
    let mut queue = cpu.queue.lock();
    if let Some(vcpu) = resident
        && vcpu.running.load(Relaxed)
        && !vcpu.is_runnable()
    {
        let _ = queue.stop(vcpu.entity, now);
    }
    if work.0 & Work::YIELD.0 != 0 {
        queue.yield_current();
    }
    let decision = queue.pick_next_of(now, may_run);
    timers::set_slice(cpu, decision.until);
    let next = decision.entity.and_then(entities::vcpu);
    let goes = resident.filter(|vcpu| !next.is_some_and(|next| core::ptr::eq(next, *vcpu)));
    if let Some(vcpu) = goes {
        vcpu.running.store(false, Release);
    }
    if let Some(next) = next {
        next.running.store(true, Release);
    }
    // It stays resident if nobody comes, unless it may not run here, or nowhere, any more.
    let goes = goes.filter(|vcpu| next.is_some() || queue.must_depart() || vcpu.is_held());
    if let Some(vcpu) = goes {
        switch::store(vcpu);
    }
    let migration = queue.rebalance(now);
    drop(queue);
    settle(resident, next, now);
    if let Some(vcpu) = goes {
        if next.is_none() {
            switch::unload(vcpu);
        }
        release_departed(cpu);
    }
    if let Some(migration) = migration {
        queue::hand_over(migration.entity, migration.to);
    }
    if let Some(until) = decision.until {
        timers::arm(until);
    }
    if next.is_none() && !(cpu.is_online() && steal(cpu)) {
        idle::wait();
    }
}

/// Whether a vCPU that the queue thinks runnable is: its flags come first, the queue hears of them later.
fn may_run(entity: EntityId) -> bool {
    entities::vcpu(entity).is_some_and(Vcpu::is_runnable)
}

/// Nothing on this CPU is the former vCPU's any more, so it may move: now, if it may not stay.
fn release_departed(cpu: &'static Cpu) {
    let leaving = cpu.queue.lock().switched();
    if let Some(entity) = leaving {
        queue::rehome(entity, cpu);
    }
}

/// Books who runs and who does not, and loads the one who comes.
fn settle(resident: Option<&'static Vcpu>, next: Option<&'static Vcpu>, now: u64) {
    let same = matches!((resident, next), (Some(old), Some(new)) if core::ptr::eq(old, new));
    if !same && let Some(old) = resident {
        leave(old, now);
    }
    if let Some(next) = next {
        let mut time = next.time.lock();
        let starts = time.state != Runstate::RUNNING;
        let is_mirrored = time.runstate_area.is_some();
        if starts {
            time.enter(Runstate::RUNNING, now);
        }
        // It may have come from another CPU, and its tick has stood still meanwhile.
        let deadline = if starts { time.watch(cpu::this().index as u32) } else { None };
        drop(time);
        if let Some(deadline) = deadline {
            timers::watch(cpu::this(), next, deadline);
        }
        if starts && is_mirrored {
            next.note(PendingWork::AREAS);
        }
        if !same {
            switch::load(resident, next);
        }
    }
}

/// An idle CPU takes somebody who waits elsewhere; true when it got one.
fn steal(cpu: &'static Cpu) -> bool {
    let own = 1 << cpu.index;
    let Some(victim) = queue::board().busiest(own).and_then(|index| cpu::by_index(index as usize)) else {
        return false;
    };
    let stolen = victim.queue.lock().steal(cpu.index as u32);
    match stolen {
        Some(entity) => {
            queue::hand_over(entity, cpu.index as u32);
            true
        }
        None => false,
    }
}

/// Books the state a vCPU is in after it stopped running.
fn leave(vcpu: &'static Vcpu, now: u64) {
    let flags = vcpu.run_flags().0;
    let state = if flags == 0 {
        Runstate::RUNNABLE
    } else if flags & !(RunFlags::BLOCKED.0 | RunFlags::POLLING.0) != 0 {
        Runstate::OFFLINE
    } else {
        Runstate::BLOCKED
    };
    let mut time = vcpu.time.lock();
    if time.state != state {
        time.enter(state, now);
    }
}
