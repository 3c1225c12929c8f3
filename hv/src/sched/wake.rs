//! Making vCPUs run again, and interrupting those that run elsewhere.
//!
//! Whether a vCPU may run stands in its `run_flags`; its CPU's queue follows. A vCPU that is about to sleep sets its flag
//! first and looks for events then; whoever wakes it clears the flag first and tells the queue then. Either the sleeper
//! sees the event, or its CPU sees the flag cleared when it lets go, or the queue hears of the wake-up after the stop.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use abi::vcpu::Runstate;
use scheduler::{AffinityChange, Wake};

use super::queue;
use crate::{
    cpu::{self, Cpu, Work},
    domain::{RunFlags, Vcpu},
    interrupt::{flush, local_apic, vector::Vector},
    time::clock,
};

/// An event has come for the vCPU: wake it, or make it look.
#[inline(never)]
pub fn event(vcpu: &'static Vcpu) {
    const SLEEPING: RunFlags = RunFlags(RunFlags::BLOCKED.0 | RunFlags::POLLING.0);
    if vcpu.run_flags().0 & SLEEPING.0 != 0 {
        release(vcpu, SLEEPING);
    } else if vcpu.running.load(Acquire) {
        look(vcpu);
    }
}

/// Makes the CPU that runs the vCPU go through the gate.
fn look(vcpu: &Vcpu) {
    let index = vcpu.processor.load(Relaxed) as usize;
    if index != cpu::this().index
        && let Some(other) = cpu::by_index(index)
    {
        interrupt(other, Work::VCPU);
    }
}

/// Raises work for a CPU and interrupts it if it is another one.
#[inline]
pub fn interrupt(other: &Cpu, work: Work) {
    if other.raise(work) && other.index != cpu::this().index {
        local_apic::send(other.apic_id, Vector::WORK);
    }
}

/// Clears reasons not to run; queues the vCPU if none is left.
pub fn release(vcpu: &'static Vcpu, flags: RunFlags) {
    let before = vcpu.release(flags);
    if before.0 & flags.0 != 0 && before.0 & !flags.0 == 0 {
        runnable(vcpu);
    }
}

/// Sets reasons not to run; a CPU that runs the vCPU is made to stop soon, a queue forgets it at its next decision.
pub fn stop(vcpu: &'static Vcpu, flags: RunFlags) {
    vcpu.stop(flags);
    let index = vcpu.processor.load(Acquire) as usize;
    let Some(other) = cpu::by_index(index) else { return };
    {
        let mut queue = other.queue.lock();
        // Under the queue's lock, because whoever clears the last flag tells the queue after that.
        if !vcpu.is_runnable() {
            // Absent means in flight: whoever attaches it makes the CPU decide, and the decision looks at the flags.
            let _ = queue.stop(vcpu.entity, clock::now());
        }
    }
    interrupt(other, Work::SCHEDULE);
}

/// Flags were set or cleared: tells the queues what they come to.
pub fn flags_changed(vcpu: &'static Vcpu) {
    if vcpu.is_runnable() { runnable(vcpu) } else { stop(vcpu, RunFlags(0)) }
}

/// Tells the queues that a vCPU may run again.
fn runnable(vcpu: &'static Vcpu) {
    loop {
        let index = vcpu.processor.load(Acquire);
        let Some(target) = cpu::by_index(index as usize) else { return };
        let outcome = target.queue.lock().wake(vcpu.entity, clock::now());
        match outcome {
            Wake::Nothing => return,
            Wake::Here(preempt) => {
                waits(vcpu);
                return queue::obey(target, preempt);
            }
            Wake::Move { entity, to } => {
                waits(vcpu);
                return queue::hand_over(entity, to);
            }
            // It has moved since, or is in flight and runnable already.
            Wake::Absent if vcpu.processor.load(Acquire) == index => return,
            Wake::Absent => {}
        }
    }
}

/// Books that a vCPU waits for a CPU, unless one has taken it already.
fn waits(vcpu: &Vcpu) {
    let mut time = vcpu.time.lock();
    if matches!(time.state, Runstate::BLOCKED | Runstate::OFFLINE) && !vcpu.running.load(Acquire) {
        time.enter(Runstate::RUNNABLE, clock::now());
    }
}

/// Changes where the scheduler lets a vCPU run. One that is between two queues is waited for; it arrives soon.
pub fn confine(vcpu: &'static Vcpu, affinity: scheduler::Affinity) {
    loop {
        let index = vcpu.processor.load(Acquire);
        let Some(current) = cpu::by_index(index as usize) else { return };
        let change = current.queue.lock().set_affinity(vcpu.entity, affinity);
        match change {
            AffinityChange::Move(entity) => {
                let target = queue::board().place(entity.affinity(), entity.weight(), index);
                return queue::hand_over(entity, target);
            }
            AffinityChange::Reschedule => return interrupt(current, Work::SCHEDULE),
            AffinityChange::Done => return,
            AffinityChange::Absent if vcpu.is_evicted() => return,
            AffinityChange::Absent => {
                flush::answer();
                core::hint::spin_loop();
            }
        }
    }
}
