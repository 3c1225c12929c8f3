//! One CPU's run queue: which entities belong to it, and in what state each is.
//!
//! Invariants: an entity is a member of one queue or of none; a member is in at most one heap, as its state says; the
//! published load is the number and weight of the members that run or wait. The caller holds the queue's lock.

use crate::board::{Board, Load};
use crate::cap::CapPool;
use crate::entity::{Affinity, Entity, EntityId, State, Weight};
use crate::heap::Heap;
use crate::wake::Preempt;
use alloc::boxed::Box;
use alloc::collections::TryReserveError;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A run queue.
#[derive(Debug)]
pub struct Queue {
    pub(crate) cpu: u32,
    pub(crate) board: Arc<Board>,
    /// By entity number.
    pub(crate) members: Vec<Option<Box<Entity>>>,
    /// Those that wait for the CPU, by virtual time.
    pub(crate) waiting: Heap,
    /// Those that wait for their cap's next period, by when it starts.
    pub(crate) throttled: Heap,
    pub(crate) current: Option<EntityId>,
    /// Who had the CPU before, until the caller has saved its registers; it cannot move to another CPU before that.
    pub(crate) departing: Option<EntityId>,
    /// Until when `current` has been charged.
    pub(crate) charged_until: u64,
    /// When `current` got the CPU, or its present slice of it.
    pub(crate) slice_start: u64,
    pub(crate) has_yielded: bool,
    /// No waiting entity's virtual time is far behind this, and it never goes back.
    pub(crate) least_virtual_time: u64,
    pub(crate) load: Load,
    pub(crate) next_balance: u64,
    /// Who has just got the CPU keeps it for so long.
    pub(crate) rate_limit_ns: u64,
    /// Nanoseconds for which somebody had the CPU, up to `charged_until`.
    pub(crate) busy_ns: u64,
    /// The CPU goes out of service: nobody may run here.
    pub(crate) is_closed: bool,
}

/// What stopping an entity comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Stop {
    /// It was not on the CPU.
    Done,
    /// It is on the CPU, which is to call [`Queue::pick_next`].
    Reschedule,
    /// It is no member of this queue; it may have moved.
    Absent,
}

/// What a change of affinity comes to.
#[derive(Debug)]
#[must_use]
pub enum AffinityChange {
    /// It may stay.
    Done,
    /// It has to be attached to the queue of a CPU that it may use.
    Move(Box<Entity>),
    /// It is on this CPU, which is to call [`Queue::pick_next`]; [`Queue::switched`] then hands it out.
    Reschedule,
    /// It is no member of this queue; it may have moved.
    Absent,
}

/// How a member of a queue stands; printed for people who debug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    state: State,
    is_current: bool,
    is_departing: bool,
}

impl Queue {
    /// The queue of `cpu`, without members.
    pub fn new(cpu: u32, board: Arc<Board>) -> Self {
        board.add_idle(cpu);
        Self {
            cpu,
            board,
            members: Vec::new(),
            waiting: Heap::default(),
            throttled: Heap::default(),
            current: None,
            departing: None,
            charged_until: 0,
            slice_start: 0,
            has_yielded: false,
            least_virtual_time: 0,
            load: Load::default(),
            next_balance: 0,
            rate_limit_ns: crate::limits::RATE_LIMIT_NS,
            busy_ns: 0,
            is_closed: false,
        }
    }

    /// Makes room for entities with numbers below `capacity`; to be called for every queue before one is created,
    /// once: room is not given back.
    ///
    /// # Errors
    /// If the heap has no room; the queue is then as it was.
    pub fn reserve(&mut self, capacity: u32) -> Result<(), TryReserveError> {
        let capacity = capacity as usize;
        self.waiting.reserve(capacity)?;
        self.throttled.reserve(capacity)?;
        self.members.try_reserve(capacity.saturating_sub(self.members.len()))?;
        if self.members.len() < capacity {
            self.members.resize_with(capacity, || None);
        }
        Ok(())
    }

    /// The CPU that this queue is for.
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// Who has the CPU.
    pub fn current(&self) -> Option<EntityId> {
        self.current
    }

    /// What there is to do.
    pub fn load(&self) -> Load {
        self.load
    }

    /// Whether `id` is a member.
    pub fn has(&self, id: EntityId) -> bool {
        self.member(id).is_some()
    }

    /// Lets nobody run here any more: the next decision is to idle, whoever had the CPU departs, and
    /// [`Queue::detach_any`] gives up all the others. The board is told first, so that nobody is placed here.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// Lets entities run here again.
    pub fn open(&mut self) {
        self.is_closed = false;
    }

    /// Whether nobody may run here, so that nobody is to be attached.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.members.iter().all(Option::is_none)
    }

    /// Whether an entity may run here.
    pub(crate) fn may_run(&self, entity: &Entity) -> bool {
        !self.is_closed && entity.affinity.allows(self.cpu)
    }

    /// Takes an entity in: blocked if it is new, waiting if it was runnable where it came from.
    ///
    /// # Errors
    /// Hands the entity back if its number is not below the reserved capacity or is taken.
    pub fn attach(&mut self, mut entity: Box<Entity>, now: u64) -> Result<Preempt, Box<Entity>> {
        let id = entity.id;
        let Some(slot) = self.members.get_mut(id.index()).filter(|slot| slot.is_none()) else {
            return Err(entity);
        };
        // It keeps its lead or lag over its old queue.
        let virtual_time = self.least_virtual_time.wrapping_add(entity.virtual_time);
        entity.virtual_time = entity.near(virtual_time, self.least_virtual_time);
        let is_ready = entity.state == State::Ready;
        *slot = Some(entity);
        Ok(if is_ready { self.make_waiting(id, now) } else { Preempt::No })
    }

    /// Takes an entity out, to attach it to another queue or to drop it. `None` if it is no member, has the CPU, or had
    /// it last and [`Queue::switched`] has not been called.
    pub fn detach(&mut self, id: EntityId) -> Option<Box<Entity>> {
        if self.current == Some(id) || self.departing == Some(id) {
            return None;
        }
        let state = self.member(id)?.state;
        self.leave_heap(id, state);
        let mut entity = self.members.get_mut(id.index())?.take()?;
        if state != State::Blocked {
            entity.state = State::Ready;
        }
        entity.virtual_time = entity.virtual_time.wrapping_sub(self.least_virtual_time);
        Some(entity)
    }

    /// Any member that can be detached: called until it gives `None`, this empties the queue of a CPU that goes off
    /// line, after the CPU has been given up by [`Queue::stop`] and [`Queue::pick_next`].
    pub fn detach_any(&mut self) -> Option<Box<Entity>> {
        let ids = self.members.iter().flatten().map(|entity| entity.id);
        let id = ids.into_iter().find(|&id| self.current != Some(id) && self.departing != Some(id))?;
        self.detach(id)
    }

    /// What the queue thinks of a member; `None` if it is none.
    #[must_use]
    pub fn describe(&self, id: EntityId) -> Option<Standing> {
        let state = self.member(id)?.state;
        Some(Standing { state, is_current: self.current == Some(id), is_departing: self.departing == Some(id) })
    }

    /// Running time of a member in nanoseconds, up to `now` if it has the CPU.
    pub fn running_time(&self, id: EntityId, now: u64) -> Option<u64> {
        let since = if self.current == Some(id) { now.saturating_sub(self.charged_until) } else { 0 };
        Some(self.member(id)?.running_ns + since)
    }

    /// Changes how long who has just got the CPU keeps it; from the next decision on.
    pub fn set_rate_limit(&mut self, nanoseconds: u64) {
        self.rate_limit_ns = nanoseconds;
    }

    /// Nanoseconds up to `now` for which somebody had the CPU.
    pub fn busy_time(&mut self, now: u64) -> u64 {
        self.charge(now);
        self.busy_ns
    }

    /// Changes a member's weight; what it has run so far keeps the old one, but it waits for that no longer than a round
    /// at the new one: a second at weight 1 would be four minutes at the default.
    pub fn set_weight(&mut self, id: EntityId, weight: Weight, now: u64) {
        self.charge(now);
        let least = self.least_virtual_time;
        let Some(entity) = self.member_mut(id) else {
            return;
        };
        let old = entity.weight;
        entity.set_weight(weight);
        entity.virtual_time = entity.near(entity.virtual_time, least);
        let (state, key) = (entity.state, entity.virtual_time);
        if state == State::Waiting {
            self.waiting.remove(id);
            self.waiting.insert(id, key);
        }
        if matches!(state, State::Waiting | State::Running) {
            let load = Load { weight: self.load.weight - u32::from(old.get()) + u32::from(weight.get()), ..self.load };
            self.set_load(load);
        }
    }

    /// Changes or lifts a member's cap. What it has in hand of the old one is kept to use up.
    pub fn set_cap(&mut self, id: EntityId, cap: Option<Arc<CapPool>>, now: u64) {
        self.charge(now);
        let Some(entity) = self.member_mut(id) else {
            return;
        };
        entity.cap = cap;
        entity.budget_ns = entity.budget_ns.min(0);
        if entity.state == State::Throttled && entity.cap.is_none() {
            // Released at the next decision: the caller's, or the end of the period.
            self.throttled.remove(id);
            self.throttled.insert(id, now);
        }
    }

    /// Changes where a member may run.
    pub fn set_affinity(&mut self, id: EntityId, affinity: Affinity) -> AffinityChange {
        let (cpu, current, departing) = (self.cpu, self.current, self.departing);
        let Some(entity) = self.member_mut(id) else {
            return AffinityChange::Absent;
        };
        entity.affinity = affinity;
        if affinity.allows(cpu) || departing == Some(id) {
            return AffinityChange::Done;
        }
        if current == Some(id) {
            return AffinityChange::Reschedule;
        }
        self.detach(id).map_or(AffinityChange::Absent, AffinityChange::Move)
    }

    #[inline]
    pub(crate) fn member(&self, id: EntityId) -> Option<&Entity> {
        self.members.get(id.index())?.as_deref()
    }

    #[inline]
    pub(crate) fn member_mut(&mut self, id: EntityId) -> Option<&mut Entity> {
        self.members.get_mut(id.index())?.as_deref_mut()
    }

    /// Takes an entity out of the heap that its state says; loads follow.
    pub(crate) fn leave_heap(&mut self, id: EntityId, state: State) {
        match state {
            State::Waiting => {
                self.waiting.remove(id);
                self.count_out(id);
            }
            State::Throttled => _ = self.throttled.remove(id),
            State::Blocked | State::Ready | State::Running => {}
        }
    }

    /// Counts a member as runnable.
    pub(crate) fn count_in(&mut self, id: EntityId) {
        let weight = self.member(id).map_or(0, |entity| u32::from(entity.weight.get()));
        self.set_load(Load { runnable: self.load.runnable + 1, weight: self.load.weight + weight });
    }

    /// Counts a member as not runnable.
    pub(crate) fn count_out(&mut self, id: EntityId) {
        let weight = self.member(id).map_or(0, |entity| u32::from(entity.weight.get()));
        let Load { runnable, weight: sum } = self.load;
        self.set_load(Load { runnable: runnable.saturating_sub(1), weight: sum.saturating_sub(weight) });
    }

    fn set_load(&mut self, load: Load) {
        self.board.publish(self.cpu, self.load, load);
        self.load = load;
    }
}
