//! A machine in simulated time: CPUs that follow their queues' decisions, and vCPUs that compute and sleep.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops there")]
#![allow(dead_code, reason = "every test file uses a part of it")]

use scheduler::*;
use std::sync::Arc;

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000_000_000;

/// What a vCPU does, over and over.
#[derive(Clone, Copy, Debug)]
pub enum Behaviour {
    /// Never stops.
    Spin,
    /// Computes so long, then sleeps so long.
    Cycle { run: u64, sleep: u64 },
    /// Computes so long, then yields.
    Yield { run: u64 },
}

pub struct Vcpu {
    pub behaviour: Behaviour,
    /// Running time at which the present burst is over.
    burst_end: u64,
    wakes_at: Option<u64>,
    woken_at: Option<u64>,
    pub cpu: u32,
    pub latencies: Vec<u64>,
    pub last_ran: u64,
    pub longest_wait: u64,
    pub moves: u64,
}

pub struct Machine {
    pub now: u64,
    pub board: Arc<Board>,
    pub queues: Vec<Queue>,
    due: Vec<Option<u64>>,
    pub vcpus: Vec<Vcpu>,
    pub decisions: u64,
}

impl Machine {
    pub fn new(cpus: u32, capacity: u32) -> Self {
        let board = Board::new();
        let queues = (0..cpus).map(|cpu| {
            board.set_online(cpu);
            let mut queue = Queue::new(cpu, board.clone());
            queue.reserve(capacity).unwrap();
            queue
        });
        let queues: Vec<_> = queues.collect();
        // Not zero: nothing may depend on where time starts.
        Self { now: 77 * SECOND, due: vec![None; queues.len()], queues, board, vcpus: vec![], decisions: 0 }
    }

    pub fn add(&mut self, behaviour: Behaviour, weight: u16) -> EntityId {
        self.add_with(behaviour, weight, Affinity::ANY, None)
    }

    pub fn add_with(
        &mut self,
        behaviour: Behaviour,
        weight: u16,
        affinity: Affinity,
        cap: Option<Arc<CapPool>>,
    ) -> EntityId {
        let id = EntityId(self.vcpus.len() as u32);
        let cpu = affinity.hard.trailing_zeros().min(self.queues.len() as u32 - 1);
        let entity = Entity::new(id, Weight::new(weight).unwrap(), affinity, cap);
        let _ = self.queues[cpu as usize].attach(entity, self.now).unwrap();
        let burst_end = match behaviour {
            Behaviour::Spin => u64::MAX,
            Behaviour::Cycle { run, .. } | Behaviour::Yield { run } => run,
        };
        self.vcpus.push(Vcpu {
            behaviour,
            burst_end,
            wakes_at: None,
            woken_at: None,
            cpu,
            latencies: vec![],
            last_ran: self.now,
            longest_wait: 0,
            moves: 0,
        });
        self.wake(id);
        id
    }

    pub fn wake(&mut self, id: EntityId) {
        let vcpu = &mut self.vcpus[id.0 as usize];
        vcpu.wakes_at = None;
        vcpu.woken_at = Some(self.now);
        vcpu.last_ran = self.now;
        let cpu = vcpu.cpu;
        match self.queues[cpu as usize].wake(id, self.now) {
            Wake::Nothing => {}
            Wake::Here(preempt) => self.preempt(cpu, preempt),
            Wake::Move { entity, to } => self.attach(entity, to),
            Wake::Absent => panic!("the simulation knows where everyone is"),
        }
    }

    pub fn attach(&mut self, entity: Box<Entity>, to: u32) {
        let vcpu = &mut self.vcpus[entity.id().0 as usize];
        assert!(entity.affinity().allows(to), "{:?} on {to}", entity.affinity());
        vcpu.moves += u64::from(vcpu.cpu != to);
        vcpu.cpu = to;
        let preempt = self.queues[to as usize].attach(entity, self.now).unwrap();
        self.preempt(to, preempt);
    }

    fn preempt(&mut self, cpu: u32, preempt: Preempt) {
        let due = &mut self.due[cpu as usize];
        match preempt {
            Preempt::Now => *due = Some(self.now),
            Preempt::By(when) => *due = Some(due.map_or(when, |due| due.min(when))),
            Preempt::No => {}
        }
    }

    /// One CPU decides, as the hypervisor does it.
    pub fn reschedule(&mut self, cpu: u32) {
        self.decisions += 1;
        let before = self.queues[cpu as usize].current();
        let mut decision = self.queues[cpu as usize].pick_next(self.now);
        if let Some(evicted) = self.queues[cpu as usize].switched() {
            let to = self.board.place(evicted.affinity(), evicted.weight(), cpu);
            self.attach(evicted, to);
        }
        let mut tried = 1 << cpu;
        while decision.entity.is_none() {
            let Some(victim) = self.board.busiest(tried) else { break };
            tried |= 1 << victim;
            if let Some(entity) = self.queues[victim as usize].steal(cpu) {
                self.attach(entity, cpu);
                decision = self.queues[cpu as usize].pick_next(self.now);
                assert!(self.queues[cpu as usize].switched().is_none());
            }
        }
        if let Some(Migration { entity, to }) = self.queues[cpu as usize].rebalance(self.now) {
            self.attach(entity, to);
        }
        if let Some(until) = decision.until {
            assert!(until > self.now, "a decision that is over at once");
            assert!(decision.entity.is_none() || until <= self.now + limits::LONGEST_SLICE_NS, "at most 10 ms");
        }
        self.due[cpu as usize] = decision.until;
        if let Some(id) = decision.entity {
            let vcpu = &mut self.vcpus[id.0 as usize];
            assert_eq!(vcpu.cpu, cpu);
            if let Some(woken_at) = vcpu.woken_at.take() {
                vcpu.latencies.push(self.now - woken_at);
            }
            if before != Some(id) {
                vcpu.longest_wait = vcpu.longest_wait.max(self.now - vcpu.last_ran);
            }
        }
        if let Some(before) = before {
            self.vcpus[before.0 as usize].last_ran = self.now;
        }
    }

    /// Running time of a vCPU so far.
    pub fn ran(&self, id: EntityId) -> u64 {
        let cpu = self.vcpus[id.0 as usize].cpu;
        self.queues[cpu as usize].running_time(id, self.now).unwrap()
    }

    /// Lets everything happen that happens until `end`.
    pub fn run_until(&mut self, end: u64) {
        loop {
            let burst = |cpu: &u32| {
                let id = self.queues[*cpu as usize].current()?;
                let left = self.vcpus[id.0 as usize].burst_end.saturating_sub(self.ran(id));
                Some(self.now.saturating_add(left))
            };
            let cpus = 0..self.queues.len() as u32;
            let events = cpus.clone().filter_map(|cpu| burst(&cpu)).chain(self.due.iter().flatten().copied());
            let next = events.chain(self.vcpus.iter().filter_map(|vcpu| vcpu.wakes_at)).min();
            match next {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => {
                    self.now = end;
                    return;
                }
            }
            for cpu in cpus {
                self.finish_burst(cpu);
                if self.due[cpu as usize].is_some_and(|due| due <= self.now) {
                    self.reschedule(cpu);
                }
            }
            let due = |vcpu: &Vcpu| vcpu.wakes_at.is_some_and(|when| when <= self.now);
            let sleepers: Vec<_> = (0..self.vcpus.len()).filter(|&index| due(&self.vcpus[index])).collect();
            for index in sleepers {
                self.wake(EntityId(index as u32));
            }
        }
    }

    fn finish_burst(&mut self, cpu: u32) {
        let Some(id) = self.queues[cpu as usize].current() else { return };
        let ran = self.ran(id);
        let vcpu = &mut self.vcpus[id.0 as usize];
        if ran < vcpu.burst_end {
            return;
        }
        match vcpu.behaviour {
            Behaviour::Spin => {}
            Behaviour::Cycle { run, sleep } => {
                vcpu.burst_end = ran + run;
                vcpu.wakes_at = Some(self.now + sleep);
                assert_eq!(self.queues[cpu as usize].stop(id, self.now), Stop::Reschedule);
                self.reschedule(cpu);
            }
            Behaviour::Yield { run } => {
                vcpu.burst_end = ran + run;
                self.queues[cpu as usize].yield_current();
                self.reschedule(cpu);
            }
        }
    }

    /// Runs for so long and gives each vCPU's share of one CPU in that time.
    pub fn shares(&mut self, time: u64) -> Vec<f64> {
        let ids = (0..self.vcpus.len() as u32).map(EntityId);
        let before: Vec<_> = ids.clone().map(|id| self.ran(id)).collect();
        self.run_until(self.now + time);
        ids.zip(before).map(|(id, before)| (self.ran(id) - before) as f64 / time as f64).collect()
    }
}

/// Whether `value` is within `tolerance` (a part of it) of `expected`.
pub fn close(value: f64, expected: f64, tolerance: f64) -> bool {
    (value - expected).abs() <= expected * tolerance
}
