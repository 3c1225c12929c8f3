//! Which page tables the initial mappings need, and which frame each is in. Numbers only: `hv` writes the entries.
//!
//! Two groups: those of the initial region, in walk order (the top table first, then each table when the walk from the
//! region's lowest address first needs it, upper level before lower), as guests expect them at `pt_base`; and those
//! that a p2m list outside of the region needs beyond these, in frames behind the list, level 3 first.
//! Source: AMD64 Architecture Programmer's Manual volume 2, section 5.3 (four levels of 512 entries).

use core::ops::Range;

/// One page table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// Pseudo-physical frame that holds it.
    pub pfn: u64,
    /// 4 for the top level down to 1.
    pub level: u32,
    /// First virtual address that it translates, aligned to all it can translate.
    pub base: u64,
}

/// log2 of the bytes that one table of `level` translates: 21 for level 1, 30, 39, and 48 for level 4.
pub(crate) const fn span_shift(level: u32) -> u32 {
    12 + 9 * level
}

/// Clears the low `shift` bits.
const fn align_down(address: u64, shift: u32) -> u64 {
    address >> shift << shift
}

/// Numbers of the table-sized slots of `level` that the non-empty range [start, end) touches.
fn slots(level: u32, start: u64, end: u64) -> Range<u64> {
    let shift = span_shift(level);
    start >> shift..(end.saturating_sub(1) >> shift) + 1
}

/// Tables that map every page of the initial region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegionTables {
    /// Frame of the first table, which is the level 4.
    pub first_pfn: u64,
    /// Number of tables, in consecutive frames.
    pub count: u64,
    start: u64,
    end: u64,
}

impl RegionTables {
    /// Number of tables that map [start, end).
    pub(crate) fn needed(start: u64, end: u64) -> u64 {
        1 + (1..=3).map(|level| slots(level, start, end).count() as u64).sum::<u64>()
    }

    /// Describes the tables that map [start, end), the first of which is in frame `first_pfn`.
    pub(crate) fn new(first_pfn: u64, start: u64, end: u64) -> Self {
        Self { first_pfn, count: Self::needed(start, end), start, end }
    }

    /// All tables in frame order.
    pub fn iter(&self) -> impl Iterator<Item = Table> + use<> {
        let Self { first_pfn, start, end, .. } = *self;
        let mut next = Some((4, start));
        let mut pfn = first_pfn;
        core::iter::from_fn(move || {
            let (level, address) = next?;
            let table = Table { pfn, level, base: table_base(level, address) };
            pfn += 1;
            next = if level > 1 { Some((level - 1, address)) } else { step(address, end) };
            Some(table)
        })
    }

    /// The frame of the table of `level` that translates `address`, if there is one.
    pub fn pfn_of(&self, level: u32, address: u64) -> Option<u64> {
        if level == 4 {
            return Some(self.first_pfn);
        }
        let wanted = slots(level, self.start, self.end);
        let slot = address >> span_shift(level);
        if !(1..=3).contains(&level) || !wanted.contains(&slot) {
            return None;
        }
        // The walk meets this table where its slot starts, or at the region's start. Before it come, of every level,
        // the tables of all earlier slots, and of the levels above also the one that holds this address.
        let met = (slot << span_shift(level)).max(self.start);
        let before = (1..=3).map(|other| {
            let earlier = (met >> span_shift(other)) - (self.start >> span_shift(other));
            earlier + u64::from(other > level)
        });
        Some(self.first_pfn + 1 + before.sum::<u64>())
    }
}

fn table_base(level: u32, address: u64) -> u64 {
    if level == 4 { 0 } else { align_down(address, span_shift(level)) }
}

/// Where the walk goes after the level 1 table at `address`: the next one, with the upper tables it is the first of.
fn step(address: u64, end: u64) -> Option<(u32, u64)> {
    let next = align_down(address, span_shift(1)).checked_add(1 << span_shift(1))?;
    if next >= end {
        return None;
    }
    let level = (2..=3).rev().find(|&level| align_down(next, span_shift(level)) == next).unwrap_or(1);
    Some((level, next))
}

/// Tables that map a p2m list outside of the initial region, beyond those that the region has already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct P2mTables {
    /// Frame of the first table.
    pub first_pfn: u64,
    /// Number of tables, in consecutive frames.
    pub count: u64,
    list: (u64, u64),
    /// From here on the list is mapped by 4 KiB pages; below by 2 MiB ones.
    small_start: u64,
    region: (u64, u64),
}

impl P2mTables {
    /// Describes the tables for the list in [list.0, list.1), of which everything below `small_start` has large pages,
    /// beside a region in [region.0, region.1) that does not overlap it.
    pub(crate) fn new(first_pfn: u64, list: (u64, u64), small_start: u64, region: (u64, u64)) -> Self {
        let mut tables = Self { first_pfn, count: 0, list, small_start, region };
        tables.count = (1..=3).map(|level| tables.own_slots(level).count() as u64).sum();
        tables
    }

    /// Whether the list and the region share a level 1 table, so that a large page is out of the question.
    pub(crate) fn shares_level_1(list: (u64, u64), region: (u64, u64)) -> bool {
        let (ours, theirs) = (slots(1, list.0, list.1), slots(1, region.0, region.1));
        ours.start < theirs.end && theirs.start < ours.end
    }

    /// Slots of `level` for which the region has no table.
    fn own_slots(&self, level: u32) -> Range<u64> {
        let start = if level == 1 { self.small_start } else { self.list.0 };
        if start >= self.list.1 {
            return 0..0;
        }
        let mut own = slots(level, start, self.list.1);
        let theirs = slots(level, self.region.0, self.region.1);
        // The two ranges are disjoint, so at most one end of ours is theirs as well.
        if theirs.contains(&own.start) {
            own.start = theirs.end.min(own.end);
        } else if theirs.start < own.end && own.start < theirs.start {
            own.end = theirs.start;
        }
        own
    }

    /// All tables in frame order: level 3, level 2, level 1.
    pub fn iter(&self) -> impl Iterator<Item = Table> + use<> {
        let tables = *self;
        let all = (1..=3).rev().flat_map(move |level| tables.own_slots(level).map(move |slot| (level, slot)));
        all.zip(self.first_pfn..).map(|((level, slot), pfn)| Table { pfn, level, base: slot << span_shift(level) })
    }

    /// The frame of the table of `level` that translates `address`, if it is one of these.
    pub fn pfn_of(&self, level: u32, address: u64) -> Option<u64> {
        let own = self.own_slots(level);
        let slot = address >> span_shift(level);
        if !(1..=3).contains(&level) || !own.contains(&slot) {
            return None;
        }
        let above: u64 = (level + 1..=3).map(|upper| self.own_slots(upper).count() as u64).sum();
        Some(self.first_pfn + above + (slot - own.start))
    }
}
