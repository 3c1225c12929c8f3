//! An array that only grows, read without a lock.
//!
//! Two levels, so that a large limit costs little until it is used: groups of 64 slots are allocated when the first of
//! their slots is filled. Elements never move and never go away before the array does. Writers are serialised by the
//! owner's growth lock.

use alloc::vec::Vec;

use spin::Once;

use crate::host::OutOfMemory;

const GROUP: usize = 64;

/// Up to a fixed number of elements, filled one by one.
pub(crate) struct Growing<T> {
    groups: Vec<Once<Vec<Once<T>>>>,
}

/// `count` elements made by `make`, or `OutOfMemory`; never aborts.
pub(crate) fn try_collect<T>(count: usize, make: impl FnMut(usize) -> T) -> Result<Vec<T>, OutOfMemory> {
    let mut list = Vec::new();
    list.try_reserve_exact(count).map_err(|_| OutOfMemory)?;
    list.extend((0..count).map(make));
    Ok(list)
}

impl<T> Growing<T> {
    /// An empty array that can take `limit` elements.
    pub(crate) fn new(limit: usize) -> Result<Self, OutOfMemory> {
        Ok(Self { groups: try_collect(limit.div_ceil(GROUP), |_| Once::new())? })
    }

    /// The element at `index`, if it was filled.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.groups.get(index / GROUP)?.get()?.get(index % GROUP)?.get()
    }

    /// Fills slot `index`, which must be empty and below the limit; the caller holds the growth lock.
    pub(crate) fn fill(&self, index: usize, value: T) -> Result<(), OutOfMemory> {
        let group = self.groups.get(index / GROUP).ok_or(OutOfMemory)?;
        if group.get().is_none() {
            let slots = try_collect(GROUP, |_| Once::new())?;
            group.call_once(|| slots);
        }
        let slot = group.get().and_then(|slots| slots.get(index % GROUP)).ok_or(OutOfMemory)?;
        slot.call_once(|| value);
        Ok(())
    }

    /// Heap bytes of the two levels when `filled` slots are in use, without what the elements own.
    pub(crate) fn heap_bytes(&self, filled: usize) -> usize {
        self.groups.len() * size_of::<Once<Vec<Once<T>>>>() + filled.div_ceil(GROUP) * GROUP * size_of::<Once<T>>()
    }
}
