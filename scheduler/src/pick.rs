//! The decision: who has the CPU from now on, and until when at most without another decision.

use crate::cap::next_period;
use crate::entity::{Entity, EntityId, State, is_before, later};
use crate::limits::{CAP_CHUNK_NS, LONGEST_SLICE_NS, ROUND_NS, SHORTEST_SLICE_NS};
use crate::queue::Queue;
use alloc::boxed::Box;

/// Who runs, and until when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Decision {
    /// `None` to idle.
    pub entity: Option<EntityId>,
    /// When to decide again if nothing happens before; `None` for never: no timer is needed.
    pub until: Option<u64>,
}

impl Queue {
    /// Decides. The caller then switches to the entity, and calls [`Queue::switched`] when the registers of the one
    /// before are saved.
    pub fn pick_next(&mut self, now: u64) -> Decision {
        self.pick_next_of(now, |_| true)
    }

    /// The same, passing over those of whom `may_run` says no: they are blocked from then on, until they are woken.
    pub fn pick_next_of(&mut self, now: u64, may_run: impl Fn(EntityId) -> bool) -> Decision {
        self.charge(now);
        self.release_throttled(now);
        if !self.continues(now) {
            let previous = self.current.take();
            if let Some(previous) = previous {
                self.put_back(previous, now);
            }
            self.current = self.take_first(now, may_run);
            self.slice_start = now;
            self.charged_until = now;
            // One who stayed when nobody came still has registers to save when somebody comes.
            self.departing = previous.or(self.departing).filter(|id| self.current != Some(*id));
        }
        self.has_yielded = false;
        Decision { entity: self.current, until: self.due(now) }
    }

    /// The registers of the entity that had the CPU before are saved, and it may move. If it may not run on this CPU
    /// any more it is handed out, to be attached elsewhere.
    #[must_use]
    pub fn switched(&mut self) -> Option<Box<Entity>> {
        let departed = self.departing.take()?;
        let entity = self.member(departed)?;
        if self.may_run(entity) || self.current == Some(departed) {
            return None;
        }
        self.detach(departed)
    }

    /// Whether the entity that had the CPU before may not run on it any more: its registers are to be saved and
    /// [`Queue::switched`] called even if nobody takes its place.
    #[must_use]
    pub fn must_depart(&self) -> bool {
        let departing = self.departing.filter(|id| self.current != Some(*id));
        departing.and_then(|id| self.member(id)).is_some_and(|entity| !self.may_run(entity))
    }

    /// Accounts the running time up to `now` to the holder of the CPU.
    pub fn charge(&mut self, now: u64) {
        let since = self.charged_until;
        self.charged_until = now.max(since);
        let Some(entity) = self.current.and_then(|id| self.members.get_mut(id.index())?.as_deref_mut()) else {
            return;
        };
        let delta = now.saturating_sub(since);
        if entity.state != State::Running || delta == 0 {
            return;
        }
        entity.running_ns += delta;
        self.busy_ns += delta;
        entity.virtual_time = entity.virtual_time.wrapping_add(entity.virtual_span(delta));
        if entity.cap.is_some() {
            entity.budget_ns = entity.budget_ns.saturating_sub(i64::try_from(delta).unwrap_or(i64::MAX));
        }
        let least = match self.waiting.first() {
            Some((first, _)) if is_before(first, entity.virtual_time) => first,
            _ => entity.virtual_time,
        };
        self.least_virtual_time = later(self.least_virtual_time, least);
    }

    /// Whether the holder keeps the CPU.
    fn continues(&mut self, now: u64) -> bool {
        let Some(id) = self.current else {
            return false;
        };
        let may_stay = |entity: &Entity| entity.state == State::Running && self.may_run(entity);
        if !self.member(id).is_some_and(may_stay) || !self.has_budget(id, now) {
            return false;
        }
        let (Some(holder), Some((_, first))) = (self.member(id), self.waiting.first()) else {
            self.slice_start = now;
            return true;
        };
        let Some(first) = self.member(first) else {
            return true;
        };
        if self.has_yielded {
            return false;
        }
        if now >= self.slice_end() {
            let stays_first = is_before(holder.virtual_time, first.virtual_time);
            if stays_first {
                self.slice_start = now;
            }
            return stays_first;
        }
        now < self.slice_start.saturating_add(self.rate_limit_ns) || !self.leads(first, holder)
    }

    /// Puts the former holder where its state says.
    fn put_back(&mut self, id: EntityId, now: u64) {
        if self.member(id).is_none_or(|entity| entity.state != State::Running) {
            return;
        }
        // Who yields goes behind the next one, but no further.
        let behind = self.waiting.first().filter(|_| self.has_yielded).map(|(key, _)| key);
        let has_budget = self.has_budget(id, now);
        let is_allowed = self.member(id).is_some_and(|entity| self.may_run(entity));
        let Some(entity) = self.member_mut(id) else {
            return;
        };
        entity.virtual_time = later(entity.virtual_time, behind.unwrap_or(entity.virtual_time));
        let key = entity.virtual_time;
        if !has_budget {
            self.throttle(id, now);
        } else if is_allowed {
            entity.state = State::Waiting;
            self.waiting.insert(id, key);
        } else {
            entity.state = State::Ready;
            self.count_out(id);
        }
    }

    /// Takes the first waiting entity that its cap allows to run.
    fn take_first(&mut self, now: u64, may_run: impl Fn(EntityId) -> bool) -> Option<EntityId> {
        if self.is_closed {
            return None;
        }
        loop {
            let id = self.waiting.pop()?;
            if !may_run(id) {
                self.count_out(id);
                self.return_budget(id, now);
                if let Some(entity) = self.member_mut(id) {
                    entity.state = State::Blocked;
                }
                continue;
            }
            if self.has_budget(id, now) {
                let entity = self.member_mut(id)?;
                entity.state = State::Running;
                return Some(id);
            }
            self.throttle(id, now);
        }
    }

    /// Whether a member may run, after taking some budget from its pool if it has none in hand.
    fn has_budget(&mut self, id: EntityId, now: u64) -> bool {
        let Some(entity) = self.member_mut(id) else {
            return false;
        };
        let Some(pool) = &entity.cap else {
            return true;
        };
        if entity.budget_ns <= 0 {
            let wanted = CAP_CHUNK_NS.saturating_add(entity.budget_ns.unsigned_abs());
            let taken = pool.take(now, wanted);
            entity.budget_ns = entity.budget_ns.saturating_add(i64::try_from(taken).unwrap_or(i64::MAX));
        }
        entity.budget_ns > 0
    }

    /// A running or just popped member waits for the next period of its cap.
    fn throttle(&mut self, id: EntityId, now: u64) {
        self.count_out(id);
        if let Some(entity) = self.member_mut(id) {
            entity.state = State::Throttled;
        }
        self.throttled.insert(id, next_period(now));
    }

    fn release_throttled(&mut self, now: u64) {
        while let Some((when, id)) = self.throttled.first() {
            if is_before(now, when) {
                return;
            }
            self.throttled.pop();
            if let Some(entity) = self.member_mut(id) {
                entity.state = State::Ready;
            }
            // The decision is being made right now, so there is nobody to preempt.
            let _ = self.make_waiting(id, now);
        }
    }

    /// Gives the unused budget of an entity that stops back to its pool.
    pub(crate) fn return_budget(&mut self, id: EntityId, now: u64) {
        if let Some(entity) = self.member_mut(id)
            && let (Some(pool), 1..) = (&entity.cap, entity.budget_ns)
        {
            pool.give_back(now, entity.budget_ns.unsigned_abs());
            entity.budget_ns = 0;
        }
    }

    /// When the present slice ends if others wait.
    pub(crate) fn slice_end(&self) -> u64 {
        let runnable = self.waiting.len() as u64 + 1;
        let slice = (ROUND_NS / runnable).clamp(SHORTEST_SLICE_NS, LONGEST_SLICE_NS);
        self.slice_start.saturating_add(slice.max(self.rate_limit_ns))
    }

    /// When the next decision is due.
    fn due(&self, now: u64) -> Option<u64> {
        let release = self.throttled.first().map(|(when, _)| when);
        let holder = self.current.and_then(|id| self.member(id));
        let Some(holder) = holder else {
            return release;
        };
        let slice = self.waiting.first().and_then(|(_, id)| self.member(id)).map(|first| {
            let is_due = self.leads(first, holder);
            if is_due {
                self.slice_start.saturating_add(self.rate_limit_ns).min(self.slice_end())
            } else {
                self.slice_end()
            }
        });
        let budget = holder.cap.as_ref().filter(|pool| pool.percent() != 0);
        let budget = budget.map(|_| now.saturating_add(holder.budget_ns.unsigned_abs()));
        [release, slice, budget].into_iter().flatten().min()
    }
}
