//! The variable memory type ranges (MTRRs) of the machine as the control domain changes them: which additions fit what is
//! there, which register they take, how often each is in use.
//!
//! Source: Intel SDM volume 3, §12.11 (types, their combination, ranges); Xen public header `platform.h`; answers of Xen.

use abi::{Errno, Result};

/// A memory type by the processor's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind(pub u8);

impl Kind {
    /// Not cached.
    pub const UNCACHEABLE: Kind = Kind(0);
    /// Writes go through.
    pub const WRITE_THROUGH: Kind = Kind(4);
    /// Cached.
    pub const WRITE_BACK: Kind = Kind(6);

    /// Xen's limit: types below are accepted, reserved numbers among them.
    const LIMIT: u32 = 7;

    /// Whether ranges of both types may overlap: the processor then takes the stricter one.
    fn is_compatible_with(self, other: Kind) -> bool {
        let cached = |kind| kind == Self::WRITE_THROUGH || kind == Self::WRITE_BACK;
        self == Self::UNCACHEABLE || other == Self::UNCACHEABLE || cached(self) && cached(other)
    }
}

/// A range in frames; a `count` of 0 is an unused register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// First frame.
    pub first: u64,
    /// Frames.
    pub count: u64,
    /// Type.
    pub kind: Kind,
}

impl Range {
    /// An unused register.
    pub const UNUSED: Range = Range { first: 0, count: 0, kind: Kind::UNCACHEABLE };

    fn last(self) -> u64 {
        self.first.saturating_add(self.count.saturating_sub(1))
    }

    fn overlaps(self, other: Range) -> bool {
        self.count != 0 && other.count != 0 && self.first <= other.last() && other.first <= self.last()
    }

    fn contains(self, other: Range) -> bool {
        self.first <= other.first && other.last() <= self.last()
    }
}

/// Most registers that are kept track of.
pub const MOST: usize = 32;

/// All registers with their uses.
#[derive(Clone, Debug)]
pub struct Ranges {
    ranges: [Range; MOST],
    uses: [u32; MOST],
    count: usize,
    /// One past the highest frame number.
    limit: u64,
}

impl Ranges {
    /// What the firmware has set, each in use once. `limit`: one past the machine's highest frame number.
    pub fn new(firmware: impl IntoIterator<Item = Range>, limit: u64) -> Self {
        let mut all = Self { ranges: [Range::UNUSED; MOST], uses: [0; MOST], count: 0, limit };
        for ((slot, uses), range) in all.ranges.iter_mut().zip(&mut all.uses).zip(firmware) {
            (*slot, *uses) = (range, 1);
            all.count += 1;
        }
        all
    }

    /// A register's range; `None` beyond the last.
    pub fn get(&self, register: usize) -> Option<Range> {
        self.ranges.get(..self.count)?.get(register).copied()
    }

    /// Adds a use of a range: of the register that covers it with the same type, or of a fresh one. A larger range takes
    /// the place of a smaller one of its type. Returns the register. Errors: `EINVAL` for a range or type that cannot
    /// be, or that contradicts another; `ENOSPC`.
    pub fn add(&mut self, first: u64, count: u64, kind: u32) -> Result<usize> {
        if kind >= Kind::LIMIT || count == 0 || !count.is_power_of_two() || !first.is_multiple_of(count) {
            return Err(Errno::EINVAL);
        }
        if first.checked_add(count).is_none_or(|end| end > self.limit) {
            return Err(Errno::EINVAL);
        }
        let wanted = Range { first, count, kind: Kind(kind as u8) };
        let mut replaced = None;
        let used = self.ranges.iter().zip(&mut self.uses).take(self.count).enumerate();
        for (register, (range, uses)) in used.filter(|(_, (range, _))| range.overlaps(wanted)) {
            let is_same_kind = range.kind == wanted.kind;
            if range.contains(wanted) && is_same_kind {
                *uses += 1;
                return Ok(register);
            }
            if !is_same_kind
                && range.kind.is_compatible_with(wanted.kind)
                && (range.contains(wanted) || wanted.contains(*range))
            {
                continue;
            }
            if !wanted.contains(*range) || !is_same_kind || replaced.is_some() {
                return Err(Errno::EINVAL);
            }
            replaced = Some(register);
        }
        let unused = || self.ranges.iter().take(self.count).position(|range| range.count == 0);
        let register = replaced.or_else(unused).ok_or(Errno::ENOSPC)?;
        if let (Some(range), Some(uses)) = (self.ranges.get_mut(register), self.uses.get_mut(register)) {
            *uses = if replaced.is_some() { *uses + 1 } else { 1 };
            *range = wanted;
        }
        Ok(register)
    }

    /// Takes one use of a register back; without any left it is unused. Errors: `EINVAL` for one that is not in use.
    pub fn remove(&mut self, register: usize) -> Result<()> {
        let count = self.count;
        let slots = (self.ranges.get_mut(register), self.uses.get_mut(register));
        let (Some(range), Some(uses)) = slots else { return Err(Errno::EINVAL) };
        if register >= count || range.count == 0 || *uses == 0 {
            return Err(Errno::EINVAL);
        }
        *uses -= 1;
        if *uses == 0 {
            *range = Range::UNUSED;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops there")]
mod tests {
    use super::*;

    const LIMIT: u64 = 1 << 28;

    fn ranges() -> Ranges {
        let firmware = [Range { first: 0xC_0000, count: 0x4_0000, kind: Kind::UNCACHEABLE }];
        Ranges::new(firmware.into_iter().chain([Range::UNUSED; 3]), LIMIT)
    }

    #[test]
    fn a_fresh_range_takes_the_first_unused_register() {
        let mut all = ranges();
        assert_eq!(all.add(0x100_0000, 256, 1), Ok(1));
        assert_eq!(all.get(1), Some(Range { first: 0x100_0000, count: 256, kind: Kind(1) }));
        assert_eq!(all.get(4), None);
    }

    #[test]
    fn uses_are_counted() {
        let mut all = ranges();
        assert_eq!(all.add(0x100_0000, 256, 1), Ok(1));
        assert_eq!(all.add(0x100_0000, 16, 1), Ok(1));
        assert_eq!(all.remove(1), Ok(()));
        assert_eq!(all.get(1).map(|range| range.count), Some(256));
        assert_eq!(all.remove(1), Ok(()));
        assert_eq!(all.get(1), Some(Range::UNUSED));
        assert_eq!(all.remove(1), Err(Errno::EINVAL));
        assert_eq!(all.remove(4), Err(Errno::EINVAL));
        assert_eq!(all.remove(usize::MAX), Err(Errno::EINVAL));
    }

    #[test]
    fn impossible_ranges_are_refused() {
        let mut all = ranges();
        for (first, count, kind) in [
            (0x100_0000, 0, 0),
            (0x100_0000, 3, 0),
            (0x100_0001, 2, 0),
            (LIMIT, 1, 0),
            (u64::MAX, 1, 0),
            (0x100_0000, 1, 7),
        ] {
            assert_eq!(all.add(first, count, kind), Err(Errno::EINVAL), "{first:#x} {count:#x} {kind}");
        }
    }

    #[test]
    fn contradictions_are_refused_and_strictness_is_not() {
        let mut all = ranges();
        assert_eq!(all.add(0x100_0000, 256, 6), Ok(1));
        assert_eq!(all.add(0x100_0000, 16, 1), Err(Errno::EINVAL));
        assert_eq!(all.add(0x100_0000, 16, 0), Ok(2));
        assert_eq!(all.add(0x100_0100, 256, 4), Ok(3));
        assert_eq!(all.add(0x200_0000, 256, 4), Err(Errno::ENOSPC));
    }

    #[test]
    fn a_larger_range_replaces_a_smaller_one() {
        let mut all = ranges();
        assert_eq!(all.add(0x100_0000, 256, 1), Ok(1));
        assert_eq!(all.add(0x100_0000, 512, 1), Ok(1));
        assert_eq!(all.get(1).map(|range| range.count), Some(512));
        assert_eq!(all.remove(1), Ok(()));
        assert_eq!(all.get(1).map(|range| range.count), Some(512), "it has two uses");
    }
}
