//! A domain's share of the CPUs: the weight of its vCPUs, and what they together may use.

use alloc::sync::Arc;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Acquire},
};

use scheduler::{CapPool, EntityId, Queue, Weight};
use spin::Once;

use crate::{
    cpu,
    domain::{Domain, Vcpu},
    time::clock,
};

/// Weight and cap, and where the cap's budget is kept once there was one.
pub struct Share {
    /// Weight below, cap above.
    word: AtomicU32,
    pool: Once<Arc<CapPool>>,
}

impl Share {
    /// What a domain has unless told otherwise.
    pub fn new() -> Self {
        Self { word: AtomicU32::new(u32::from(Weight::DEFAULT.get())), pool: Once::new() }
    }

    /// The weight of its vCPUs.
    pub fn weight(&self) -> Weight {
        Weight::new(self.word.load(Acquire) as u16).unwrap_or(Weight::DEFAULT)
    }

    /// Its budget, if it ever had a cap.
    pub fn pool(&self) -> Option<Arc<CapPool>> {
        self.pool.get().map(Arc::clone)
    }
}

/// Weight and cap of a domain.
pub fn get(domain: &Domain) -> (u16, u16) {
    let word = domain.share.word.load(Acquire);
    (word as u16, (word >> 16) as u16)
}

/// Changes both; weight 0 means the default.
pub fn set(domain: &'static Domain, weight: u16, cap: u16) {
    domain.share.word.swap(u32::from(weight) | u32::from(cap) << 16, AcqRel);
    let now = clock::now();
    if cap != 0 || domain.share.pool.is_completed() {
        domain.share.pool.call_once(|| CapPool::new(u32::from(cap), now)).set_percent(u32::from(cap));
    }
    let (weight, pool) = (domain.share.weight(), domain.share.pool());
    for vcpu in domain.vcpus() {
        in_queue(vcpu, |queue, entity| {
            queue.set_weight(entity, weight, now);
            queue.set_cap(entity, pool.clone(), now);
        });
    }
}

/// Does something with the queue that a vCPU is in; one that is between two queues arrives soon.
fn in_queue(vcpu: &Vcpu, mut work: impl FnMut(&mut Queue, EntityId)) {
    const ATTEMPTS: u32 = 1000;
    for _ in 0..ATTEMPTS {
        let Some(processor) = cpu::by_index(vcpu.processor.load(Acquire) as usize) else { return };
        let mut queue = processor.queue.lock();
        if queue.has(vcpu.entity) {
            return work(&mut queue, vcpu.entity);
        }
        drop(queue);
        crate::interrupt::flush::answer();
        core::hint::spin_loop();
    }
}
