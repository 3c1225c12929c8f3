//! An entity becomes runnable, stops being so, or lets others go first.

use crate::entity::{Entity, EntityId, State, is_before};
use crate::limits::WAKE_MARGIN_NS;
use crate::queue::{Queue, Stop};
use alloc::boxed::Box;

/// Whether a newly waiting entity takes the CPU from its holder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Preempt {
    /// No; but if the CPU had no competition before, its next decision is due by then.
    By(u64),
    /// Yes: the CPU is to call [`Queue::pick_next`] as soon as it can.
    Now,
    /// No, and nothing changes for the CPU.
    No,
}

/// What waking an entity comes to.
#[derive(Debug)]
#[must_use]
pub enum Wake {
    /// It was runnable already.
    Nothing,
    /// It waits in this queue.
    Here(Preempt),
    /// It should run on another CPU: to be attached to that one's queue.
    Move {
        /// The entity, which belongs to no queue now.
        entity: Box<Entity>,
        /// The CPU.
        to: u32,
    },
    /// It is no member of this queue: it has moved, or is being moved and is then runnable already.
    Absent,
}

impl Queue {
    /// Makes a blocked member runnable, here or on a CPU that suits it better.
    pub fn wake(&mut self, id: EntityId, now: u64) -> Wake {
        let (is_current, is_departing) = (self.current == Some(id), self.departing == Some(id));
        let cpu = self.cpu;
        let Some(entity) = self.members.get_mut(id.index()).and_then(Option::as_deref_mut) else {
            return Wake::Absent;
        };
        if entity.state != State::Blocked {
            return Wake::Nothing;
        }
        if is_current {
            // Stopped and woken before the CPU got round to giving it up.
            entity.state = State::Running;
            self.count_in(id);
            return Wake::Nothing;
        }
        let to = if is_departing { cpu } else { self.board.place(entity.affinity, entity.weight, cpu) };
        entity.state = State::Ready;
        if to != cpu
            && let Some(entity) = self.detach(id)
        {
            return Wake::Move { entity, to };
        }
        Wake::Here(self.make_waiting(id, now))
    }

    /// Makes a member not runnable, whatever it was.
    pub fn stop(&mut self, id: EntityId, now: u64) -> Stop {
        let Some(state) = self.member(id).map(|entity| entity.state) else {
            return Stop::Absent;
        };
        if state == State::Running {
            self.charge(now);
            self.count_out(id);
        }
        self.leave_heap(id, state);
        if let Some(entity) = self.member_mut(id) {
            entity.state = State::Blocked;
        }
        self.return_budget(id, now);
        if self.current == Some(id) { Stop::Reschedule } else { Stop::Done }
    }

    /// The holder of the CPU lets the next one go first, if there is one; the caller then calls [`Queue::pick_next`].
    pub fn yield_current(&mut self) {
        self.has_yielded = true;
    }

    /// Puts a member that is ready into the heap of waiting ones.
    pub(crate) fn make_waiting(&mut self, id: EntityId, now: u64) -> Preempt {
        self.charge(now);
        let least = self.least_virtual_time;
        let Some(entity) = self.member_mut(id) else {
            return Preempt::No;
        };
        entity.virtual_time = entity.near(entity.virtual_time, least);
        entity.state = State::Waiting;
        let key = entity.virtual_time;
        self.waiting.insert(id, key);
        self.count_in(id);
        self.preemption(id, now)
    }

    fn preemption(&self, id: EntityId, now: u64) -> Preempt {
        let holder = self.current.and_then(|current| self.member(current));
        let (Some(holder), Some(entity)) = (holder, self.member(id)) else {
            return Preempt::Now;
        };
        if holder.state != State::Running {
            return Preempt::Now;
        }
        let earliest = match self.leads(entity, holder) {
            true => self.slice_start.saturating_add(self.rate_limit_ns),
            false => self.slice_end(),
        };
        if now >= earliest { Preempt::Now } else { Preempt::By(earliest) }
    }

    /// Whether `entity` is so far behind `holder` that it need not wait for the end of the slice.
    pub(crate) fn leads(&self, entity: &Entity, holder: &Entity) -> bool {
        is_before(entity.virtual_time.wrapping_add(entity.virtual_span(WAKE_MARGIN_NS)), holder.virtual_time)
    }
}
