//! The next deadline of each entity whose timers one CPU looks after.
//!
//! A deadline in here may be earlier than the entity's next one, never later: whoever takes it out looks at the timers
//! themselves and puts the entity back with what is next. So timers that are set to later moments, stopped, or moved to
//! another CPU cost nothing here. Nothing is allocated but by [`Deadlines::with_room`]: room that grew with the entities would
//! outlive them, in the midst of memory that others have given back.

use crate::entity::{EntityId, is_before};
use crate::heap::Heap;
use alloc::collections::TryReserveError;

/// Entities by their next deadline, nanoseconds.
#[derive(Debug)]
pub struct Deadlines {
    heap: Heap,
}

impl Deadlines {
    /// None yet, with room for entities with numbers below `capacity`.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn with_room(capacity: u32) -> Result<Self, TryReserveError> {
        let mut heap = Heap::default();
        heap.reserve(capacity as usize)?;
        Ok(Self { heap })
    }

    /// Sees to it that `id` is taken out by `deadline`; whether that is now the first of all deadlines.
    pub fn bring_forward(&mut self, id: EntityId, deadline: u64) -> bool {
        match self.heap.key(id) {
            Some(known) if !is_before(deadline, known) => return false,
            Some(_) => _ = self.heap.remove(id),
            None => {}
        }
        self.heap.insert(id, deadline);
        self.heap.first().is_some_and(|(_, first)| first == id)
    }

    /// Takes out an entity whose deadline is not after `now`.
    pub fn take_due(&mut self, now: u64) -> Option<EntityId> {
        let (deadline, _) = self.heap.first()?;
        if is_before(now, deadline) { None } else { self.heap.pop() }
    }

    /// Takes out any entity, with its deadline: to move all of them to another CPU.
    pub fn take_any(&mut self) -> Option<(EntityId, u64)> {
        let (deadline, id) = self.heap.first()?;
        self.heap.pop();
        Some((id, deadline))
    }

    /// The first deadline.
    pub fn first(&self) -> Option<u64> {
        self.heap.first().map(|(deadline, _)| deadline)
    }
}
