//! Frames, maps and resources of the fake host: enough of a model that lost or doubled frames show.

use std::collections::{BTreeMap, BTreeSet};

use abi::memory::E820Entry;
use abi::{Errno, Mfn, Pfn, Result};
use hypercalls::authority::Target;
use hypercalls::op::memory::{
    ExchangeHost, MemoryHost, MemoryMapHost, Placement, ReservationHost, Resource, ResourceHost,
};

use super::Fake;

/// All frames of the fake machine by owner, and the step of an exchange.
pub struct Frames {
    pub free: BTreeSet<u64>,
    pub owned: BTreeMap<u64, u16>,
    pub places: BTreeMap<u64, u64>,
    pub maximum: u64,
    /// Frames that cannot be taken, as if something still used them.
    pub stuck: BTreeSet<u64>,
    pub taken: Vec<u64>,
    pub set_aside: Vec<(u64, u32)>,
    pub announce: Vec<u64>,
    pub max_order: u32,
    pub last_placement: Placement,
}

/// Frames the fake machine has.
pub const FRAMES: u64 = 4096;

impl Frames {
    pub fn new() -> Self {
        Self {
            free: (1024..FRAMES).collect(),
            owned: (0..1024).map(|frame| (frame, 0)).collect(),
            places: (0..1024).map(|frame| (frame, frame)).collect(),
            maximum: 2048,
            stuck: BTreeSet::new(),
            taken: Vec::new(),
            set_aside: Vec::new(),
            announce: Vec::new(),
            max_order: 9,
            last_placement: Placement::default(),
        }
    }

    fn grab(&mut self, order: u32) -> Option<u64> {
        let size = 1u64 << order;
        // What was just freed comes last, so that tests can tell it from what is new.
        let mut starts = (1024..FRAMES).chain(0..1024).filter(|at| at.is_multiple_of(size));
        let first = starts.find(|at| (*at..at + size).all(|frame| self.free.contains(&frame)))?;
        for frame in first..first + size {
            self.free.remove(&frame);
        }
        Some(first)
    }

    fn release(&mut self, frame: u64) {
        self.owned.remove(&frame);
        self.places.remove(&frame);
        assert!(self.free.insert(frame), "frame {frame} freed twice");
    }

    /// Frames of a domain.
    pub fn count(&self, domain: u16) -> usize {
        self.owned.values().filter(|owner| **owner == domain).count()
    }

    /// Nothing is in between and every frame is somewhere.
    #[track_caller]
    pub fn audit(&self) {
        assert!(self.taken.is_empty() && self.set_aside.is_empty() && self.announce.is_empty());
        assert_eq!(self.free.len() + self.owned.len(), FRAMES as usize);
    }
}

impl ReservationHost for Fake {
    fn page_limit(&self) -> u64 {
        0x14_0000
    }
    fn max_extent_order(&self) -> u32 {
        self.frames.max_order
    }
    fn extent_allocate(&mut self, target: Target, order: u32, placement: Placement) -> Result<Mfn> {
        self.frames.last_placement = placement;
        if self.frames.count(target.id().0) as u64 + (1 << order) > self.frames.maximum {
            return Err(Errno::ENOMEM);
        }
        let first = self.frames.grab(order).ok_or(Errno::ENOMEM)?;
        for frame in first..first + (1 << order) {
            self.frames.owned.insert(frame, target.id().0);
        }
        Ok(Mfn(first))
    }
    fn extent_withdraw(&mut self, _target: Target, first: Mfn, order: u32) {
        for frame in first.0..first.0 + (1 << order) {
            self.frames.release(frame);
        }
    }
    fn extent_place(&mut self, _target: Target, first: Mfn, at: Pfn, order: u32) {
        for index in 0..1u64 << order {
            self.frames.places.insert(first.0 + index, at.0.wrapping_add(index));
        }
    }
    fn frame_release(&mut self, target: Target, frame: Mfn) -> Result<()> {
        if self.frames.owned.get(&frame.0) != Some(&target.id().0) {
            return Err(Errno::EINVAL);
        }
        self.frames.release(frame.0);
        Ok(())
    }
}

impl ExchangeHost for Fake {
    fn exchange_take(&mut self, target: Target, frame: Mfn) -> Result<()> {
        if self.frames.owned.get(&frame.0) != Some(&target.id().0) || self.frames.stuck.contains(&frame.0) {
            return Err(Errno::EINVAL);
        }
        self.frames.owned.remove(&frame.0);
        self.frames.taken.push(frame.0);
        Ok(())
    }
    fn exchange_allocate(&mut self, _target: Target, order: u32, placement: Placement) -> Result<()> {
        self.frames.last_placement = placement;
        let first = self.frames.grab(order).ok_or(Errno::ENOMEM)?;
        self.frames.set_aside.push((first, order));
        Ok(())
    }
    fn exchange_commit(&mut self, target: Target) -> Result<()> {
        for frame in std::mem::take(&mut self.frames.taken) {
            self.frames.release(frame);
        }
        for (first, order) in std::mem::take(&mut self.frames.set_aside) {
            for frame in first..first + (1 << order) {
                self.frames.owned.insert(frame, target.id().0);
            }
            self.frames.announce.push(first);
        }
        Ok(())
    }
    fn exchange_next(&mut self) -> Option<Mfn> {
        (!self.frames.announce.is_empty()).then(|| Mfn(self.frames.announce.remove(0)))
    }
    fn exchange_roll_back(&mut self, target: Target) {
        for frame in std::mem::take(&mut self.frames.taken) {
            self.frames.owned.insert(frame, target.id().0);
        }
        for (first, order) in std::mem::take(&mut self.frames.set_aside) {
            self.frames.free.extend(first..first + (1 << order));
        }
    }
}

impl MemoryMapHost for Fake {
    fn machine_to_physical_piece(&self, index: u64) -> Option<Mfn> {
        (index != 3).then_some(Mfn(0x1000 + index * 0x200))
    }
    fn machine_map_entry(&self, index: u32) -> Option<E820Entry> {
        self.machine_map.get(index as usize).copied()
    }
    fn domain_map_entry(&self, index: u32) -> Option<E820Entry> {
        self.domain_map.get(index as usize).copied()
    }
    fn set_domain_map(&mut self, target: Target, map: Vec<E820Entry>) -> Result<()> {
        self.attempt("memory map of", (target.id().0, map.len()))?;
        if target.is_caller() {
            self.domain_map = map;
        }
        Ok(())
    }
}

impl ResourceHost for Fake {
    fn resource_size(&self, _target: Target, resource: Resource) -> Option<u32> {
        (resource == Resource::GrantShared).then_some(64)
    }
    fn resource_frame(&mut self, _target: Target, _resource: Resource, index: u32) -> Result<Mfn> {
        Ok(Mfn(0x9000 + u64::from(index)))
    }
}

impl MemoryHost for Fake {
    fn current_pages(&self, target: Target) -> Result<u64> {
        Ok(self.frames.count(target.id().0) as u64)
    }
    fn maximum_pages(&self, _target: Target) -> Result<u64> {
        Ok(self.frames.maximum)
    }
    fn shared_max_pfn(&self, _target: Target) -> Result<u64> {
        Ok(0)
    }
    fn claim_pages(&mut self, target: Target, pages: u64) -> Result<()> {
        self.attempt("claim", (target.id().0, pages))
    }
}
