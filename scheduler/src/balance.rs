//! Moving entities between CPUs: an idle CPU takes one, a crowded CPU gives one away.

use crate::entity::{Entity, EntityId, bit};
use crate::limits::{BALANCE_NS, MOST_CANDIDATES};
use crate::queue::Queue;
use alloc::boxed::Box;

/// An entity to be attached to another CPU's queue.
#[derive(Debug)]
#[must_use]
pub struct Migration {
    /// The entity, which belongs to no queue now.
    pub entity: Box<Entity>,
    /// The CPU.
    pub to: u32,
}

impl Queue {
    /// Hands out a waiting entity for `cpu`, which has nothing to do: one that prefers that CPU, else one that may use
    /// it. The caller has found this queue by [`crate::Board::busiest`] and holds its lock.
    pub fn steal(&mut self, cpu: u32) -> Option<Box<Entity>> {
        let wanted = self.candidates(bit(cpu)).max_by_key(|entity| entity.affinity.soft & bit(cpu) != 0);
        let id = wanted?.id;
        self.detach(id)
    }

    /// Hands out a waiting entity if another CPU has less to do than this one will have without it. To be called after
    /// every decision; looks only now and then. When moving only exchanges the roles of the two CPUs it is done all the
    /// same, so that entities take turns on the crowded one.
    pub fn rebalance(&mut self, now: u64) -> Option<Migration> {
        if now < self.next_balance || self.waiting.is_empty() {
            return None;
        }
        self.next_balance = now.saturating_add(BALANCE_NS);
        let own = self.load.weight;
        let moves = self.candidates(u64::MAX).filter_map(|entity| {
            let to = self.board.lightest(entity.affinity.hard & !bit(self.cpu))?;
            let difference = own.checked_sub(self.board.load(to).weight)?;
            let after = difference.abs_diff(2 * u32::from(entity.weight.get()));
            (difference != 0 && after <= difference).then_some((after, entity.id, to))
        });
        let (_, id, to) = moves.min_by_key(|&(after, ..)| after)?;
        let entity = self.detach(id)?;
        Some(Migration { entity, to })
    }

    /// Some of the waiting entities that may move to one of `cpus`.
    fn candidates(&self, cpus: u64) -> impl Iterator<Item = &Entity> {
        let may_move = |id: &EntityId| self.departing != Some(*id);
        let members = self.waiting.ids().take(MOST_CANDIDATES).filter(may_move).filter_map(|id| self.member(id));
        members.filter(move |entity| entity.affinity.hard & cpus != 0)
    }
}
