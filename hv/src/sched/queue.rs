//! A CPU's run queue: the pure `scheduler::Queue` behind this CPU's lock, and the one board all queues share.
//!
//! Lock: [`Level::RunQueue`]; at most one queue's at a time. An entity in flight between two queues is a value in the
//! mover's hands.

use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::{
    Ordering::{Relaxed, Release, SeqCst},
    fence,
};

use abi::{Errno, Result};
use locks::{Level, Lock};
use scheduler::{Affinity, Board, Entity, Preempt, Queue};
use spin::Once;

use super::{entities, pools, timers, wake};
use crate::{
    cpu::{self, Cpu, Work},
    domain::Vcpu,
    time::clock,
};

static BOARD: Once<Arc<Board>> = Once::new();

/// What CPUs know of one another's load.
pub fn board() -> &'static Arc<Board> {
    BOARD.call_once(Board::new)
}

/// The queue of a new CPU. Errors: `ENOMEM`.
pub fn create(index: usize) -> Result<Lock<Queue>> {
    let mut queue = Queue::new(index as u32, Arc::clone(board()));
    queue.reserve(entities::CAPACITY).map_err(|_| Errno::ENOMEM)?;
    Ok(Lock::new(Level::RunQueue, queue))
}

/// Takes a new vCPU in, blocked, on the CPU its `processor` names if it may run there. Errors: `ENOSPC`, `ENOMEM`.
pub fn add(vcpu: &'static Vcpu) -> Result<()> {
    entities::publish(vcpu);
    pools::admit(vcpu, |affinity| attach(vcpu, affinity))
}

/// Puts a new vCPU into a queue. `affinity` allows a CPU in service.
fn attach(vcpu: &'static Vcpu, affinity: Affinity) -> Result<()> {
    let entity = Entity::new(vcpu.entity, vcpu.domain.share.weight(), affinity, vcpu.domain.share.pool());
    loop {
        let index = vcpu.processor.load(Relaxed);
        let target = cpu::by_index(index as usize).ok_or(Errno::EINVAL)?;
        let mut queue = target.queue.lock();
        if queue.is_closed() || !affinity.allows(index) {
            drop(queue);
            vcpu.processor.store(board().place(entity.affinity(), entity.weight(), 0), Release);
            continue;
        }
        return queue.attach(entity, clock::now()).map(|_| ()).map_err(|_| Errno::ENOSPC);
    }
}

/// Takes a vCPU that has never run out for good.
pub fn remove(vcpu: &'static Vcpu) {
    if let Some(target) = cpu::by_index(vcpu.processor.load(Relaxed) as usize) {
        let entity = target.queue.lock().detach(vcpu.entity);
        drop(entity);
    }
}

/// Moves an entity that belongs to no queue to a CPU's, and makes that CPU look if it should. A CPU that went out of
/// service meanwhile is replaced by another.
pub fn hand_over(entity: Box<Entity>, to: u32) {
    let Some(vcpu) = entities::vcpu(entity.id()) else { return };
    let mut to = to;
    loop {
        let Some(target) = cpu::by_index(to as usize) else { return };
        let mut queue = target.queue.lock();
        if queue.is_closed() {
            drop(queue);
            to = board().place(entity.affinity(), entity.weight(), 0);
            continue;
        }
        vcpu.processor.store(to, Release);
        let sleeps = !entity.is_ready();
        let attached = queue.attach(entity, clock::now());
        drop(queue);
        if let Ok(preempt) = attached {
            obey(target, preempt);
        }
        if sleeps {
            look_for_missed_wake(vcpu);
        }
        return;
    }
}

/// A blocked one has moved, and whoever woke it on the way found it in no queue.
fn look_for_missed_wake(vcpu: &'static Vcpu) {
    // Orders the new CPU, stored above, before the look at the flags; a waker clears them before it looks for the CPU.
    fence(SeqCst);
    if vcpu.is_runnable() {
        wake::flags_changed(vcpu);
    }
}

/// Moves an entity away from a CPU that it may not, or cannot, run on any more. When all CPUs that it may use are out of
/// service it may use any, as on Xen.
pub fn rehome(mut entity: Box<Entity>, from: &Cpu) {
    if entity.affinity().hard & board().online() == 0
        && let Some(vcpu) = entities::vcpu(entity.id())
    {
        log::info!("Breaking affinity for {vcpu:?}");
        entity.set_affinity(Affinity::ANY);
        vcpu.affinity.store(u64::MAX, Relaxed);
    }
    let to = board().place(entity.affinity(), entity.weight(), from.index as u32);
    hand_over(entity, to);
}

/// Carries out what a wake-up means for a CPU.
#[inline]
pub fn obey(target: &'static Cpu, preempt: Preempt) {
    match preempt {
        Preempt::Now => wake::interrupt(target, Work::SCHEDULE),
        Preempt::By(deadline) => timers::bring_slice_forward(target, deadline),
        Preempt::No => {}
    }
}
