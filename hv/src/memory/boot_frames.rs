//! Frames for the time before the allocator exists: ranges of usable memory, taken from the top below 4 GiB.
//!
//! Context: boot CPU only.

use abi::{Errno, Mfn, Result};

use super::window;
use crate::boot::loader::Region;

const MAX_RANGES: usize = 96;
/// The boot tables' direct map ends here.
const REACHABLE: u64 = 1 << 20;

/// Free ranges of frames, half-open.
#[derive(Clone)]
pub struct BootFrames {
    ranges: [(u64, u64); MAX_RANGES],
    count: usize,
}

impl BootFrames {
    /// All whole frames of usable memory.
    pub fn new(regions: &[Region]) -> Self {
        let mut frames = Self { ranges: [(0, 0); MAX_RANGES], count: 0 };
        for region in regions.iter().filter(|region| region.kind == 1) {
            let first = region.start.div_ceil(4096);
            let end = (region.start + region.length) >> 12;
            if first < end {
                frames.push((first, end));
            }
        }
        // What the firmware calls unusable wins over an overlapping usable entry.
        for region in regions.iter().filter(|region| region.kind != 1) {
            frames.reserve(region.start, region.length);
        }
        frames
    }

    fn push(&mut self, range: (u64, u64)) {
        if let Some(slot) = self.ranges.get_mut(self.count) {
            *slot = range;
            self.count += 1;
        }
    }

    /// The free ranges.
    pub fn ranges(&self) -> &[(u64, u64)] {
        self.ranges.get(..self.count).unwrap_or_default()
    }

    /// One past the highest usable frame.
    pub fn end(&self) -> u64 {
        self.ranges().iter().map(|&(_, end)| end).max().unwrap_or(0)
    }

    /// Free frames.
    pub fn total(&self) -> u64 {
        self.ranges().iter().map(|&(first, end)| end - first).sum()
    }

    /// Takes a byte range out, to the frames it touches.
    pub fn reserve(&mut self, start: u64, length: u64) {
        let (first, end) = (start >> 12, (start + length).div_ceil(4096));
        for index in 0..self.count {
            let Some(&(low, high)) = self.ranges.get(index) else { break };
            if end <= low || first >= high {
                continue;
            }
            if let Some(slot) = self.ranges.get_mut(index) {
                *slot = (low, first.max(low));
            }
            if end < high {
                self.push((end, high));
            }
        }
    }

    /// Takes `count` contiguous frames, aligned to `align` frames, zeroed. Errors: `ENOMEM`.
    pub fn take(&mut self, count: u64, align: u64) -> Result<Mfn> {
        let best = (0..self.count)
            .filter_map(|index| {
                let &(low, high) = self.ranges.get(index)?;
                let first = high.min(REACHABLE).checked_sub(count)? & !(align - 1);
                (first >= low && high > low).then_some((first, index))
            })
            .max();
        let (first, index) = best.ok_or(Errno::ENOMEM)?;
        let &(low, high) = self.ranges.get(index).ok_or(Errno::ENOMEM)?;
        if let Some(slot) = self.ranges.get_mut(index) {
            *slot = (low, first);
        }
        if first + count < high {
            self.push((first + count, high));
        }
        for frame in first..first + count {
            window::zero(Mfn(frame));
        }
        Ok(Mfn(first))
    }
}
