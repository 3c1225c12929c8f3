//! A CPU's run queue: the pure `scheduler::Queue` behind this CPU's lock, and the one board all queues share.
//!
//! Lock: [`Level::RunQueue`]; at most one queue's at a time. An entity in flight between two queues is a value in the
//! mover's hands.

use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::Ordering::{Relaxed, Release};

use abi::{Errno, Result};
use locks::{Level, Lock};
use scheduler::{Affinity, Board, Entity, Preempt, Queue};
use spin::Once;

use super::{entities, timers, wake};
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

/// Takes a new vCPU in, blocked, on the CPU its `processor` names. Errors: `ENOSPC`.
pub fn add(vcpu: &'static Vcpu) -> Result<()> {
    entities::publish(vcpu);
    let entity = Entity::new(vcpu.entity, vcpu.domain.share.weight(), Affinity::ANY, vcpu.domain.share.pool());
    let target = cpu::by_index(vcpu.processor.load(Relaxed) as usize).ok_or(Errno::EINVAL)?;
    match target.queue.lock().attach(entity, clock::now()) {
        Ok(_) => Ok(()),
        Err(_) => Err(Errno::ENOSPC),
    }
}

/// Takes a vCPU that has never run out for good.
pub fn remove(vcpu: &'static Vcpu) {
    if let Some(target) = cpu::by_index(vcpu.processor.load(Relaxed) as usize) {
        let entity = target.queue.lock().detach(vcpu.entity);
        drop(entity);
    }
}

/// Moves an entity that belongs to no queue to a CPU's, and makes that CPU look if it should.
pub fn hand_over(entity: Box<Entity>, to: u32) {
    let Some(vcpu) = entities::vcpu(entity.id()) else { return };
    let Some(target) = cpu::by_index(to as usize) else { return };
    vcpu.processor.store(to, Release);
    let attached = target.queue.lock().attach(entity, clock::now());
    if let Ok(preempt) = attached {
        obey(target, preempt);
    }
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
