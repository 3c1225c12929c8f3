//! A binary heap of entities that also knows where each is, so that any can be taken out in logarithmic time.
//!
//! Keys wrap around and are compared by their distance; entities with equal keys leave in the order they came.

use crate::entity::{EntityId, is_before};
use alloc::collections::TryReserveError;
use alloc::vec::Vec;

#[derive(Clone, Copy, Debug)]
struct Item {
    key: u64,
    /// Order of arrival.
    ticket: u64,
    id: EntityId,
}

impl Item {
    fn goes_before(&self, other: &Self) -> bool {
        if self.key == other.key { is_before(self.ticket, other.ticket) } else { is_before(self.key, other.key) }
    }
}

const ABSENT: u32 = u32::MAX;

/// The heap. Inserting needs room, which only [`Heap::reserve`] makes.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    items: Vec<Item>,
    /// For every entity, where in `items` it is.
    positions: Vec<u32>,
    next_ticket: u64,
}

impl Heap {
    /// Makes room for all entities with numbers below `capacity`.
    pub(crate) fn reserve(&mut self, capacity: usize) -> Result<(), TryReserveError> {
        self.items.try_reserve(capacity.saturating_sub(self.items.len()))?;
        self.positions.try_reserve(capacity.saturating_sub(self.positions.len()))?;
        if self.positions.len() < capacity {
            self.positions.resize(capacity, ABSENT);
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// The first entity and its key.
    pub(crate) fn first(&self) -> Option<(u64, EntityId)> {
        self.items.first().map(|item| (item.key, item.id))
    }

    /// Entities in no particular order, but the first of them is first.
    pub(crate) fn ids(&self) -> impl Iterator<Item = EntityId> + '_ {
        self.items.iter().map(|item| item.id)
    }

    /// The key of an entity that is in.
    pub(crate) fn key(&self, id: EntityId) -> Option<u64> {
        let position = *self.positions.get(id.index())?;
        self.items.get(position as usize).map(|item| item.key)
    }

    /// Puts `id` in. It must not be in already, and its number must be below the capacity; otherwise nothing happens.
    pub(crate) fn insert(&mut self, id: EntityId, key: u64) {
        let last = self.items.len();
        match self.positions.get_mut(id.index()) {
            Some(position) if *position == ABSENT => *position = last as u32,
            _ => return,
        }
        let ticket = self.next_ticket;
        self.next_ticket = ticket.wrapping_add(1);
        self.items.push(Item { key, ticket, id });
        self.rise(last);
    }

    /// Takes the first entity out.
    pub(crate) fn pop(&mut self) -> Option<EntityId> {
        let id = self.items.first()?.id;
        self.remove(id);
        Some(id)
    }

    /// Takes `id` out; whether it was in.
    pub(crate) fn remove(&mut self, id: EntityId) -> bool {
        let Some(position) = self.positions.get_mut(id.index()) else {
            return false;
        };
        let at = core::mem::replace(position, ABSENT) as usize;
        if at >= self.items.len() {
            return false;
        }
        self.items.swap_remove(at);
        if let Some(moved) = self.items.get(at).map(|item| item.id) {
            self.note(moved, at);
            self.rise(at);
            self.sink(at);
        }
        true
    }

    fn note(&mut self, id: EntityId, at: usize) {
        if let Some(position) = self.positions.get_mut(id.index()) {
            *position = at as u32;
        }
    }

    /// Exchanges two items if the one at `child` goes before the one at `parent`.
    fn exchange(&mut self, parent: usize, child: usize) -> bool {
        let (Some(&upper), Some(&lower)) = (self.items.get(parent), self.items.get(child)) else {
            return false;
        };
        if !lower.goes_before(&upper) {
            return false;
        }
        self.items.swap(parent, child);
        self.note(lower.id, parent);
        self.note(upper.id, child);
        true
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 && self.exchange((at - 1) / 2, at) {
            at = (at - 1) / 2;
        }
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let child = match (self.items.get(left), self.items.get(right)) {
                (Some(first), Some(second)) if second.goes_before(first) => right,
                _ => left,
            };
            if !self.exchange(at, child) {
                return;
            }
            at = child;
        }
    }
}
