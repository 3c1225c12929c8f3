//! The buddy system: blocks of 2^order frames, split on demand, merged on return.
//!
//! Highest addresses go first, so that memory below 4 GiB lasts for devices that need it. Invariant: a frame is in at
//! most one free block, and no two free buddies of one order exist below the maximum order.

use alloc::vec::Vec;

use abi::{Errno, Mfn, Result};

use crate::Bitset;

/// log2 of the number of frames in a block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Order(pub u8);

/// Largest block: 2^18 frames, 1 GiB, as in Xen's interface.
pub const MAX_ORDER: Order = Order(18);

/// Where an aligned block stands in the map: its words, and its bits in each of them.
#[inline]
fn map_place(first: Mfn, order: Order) -> (core::ops::Range<usize>, u64) {
    let word = (first.0 / 64) as usize;
    match 1_u64.checked_shl(1 << order.0.min(6)) {
        Some(limit) => (word..word + 1, (limit - 1) << (first.0 % 64)),
        None => (word..word + (1 << (order.0 - 6)), u64::MAX),
    }
}

/// All free frames of the machine.
pub struct FrameAllocator {
    /// One set of block numbers for each order, smallest first.
    free_blocks: Vec<Bitset>,
    /// One bit for each frame: whether it is free. Says at once what the sets say together.
    free_map: Vec<u64>,
    free_frames: u64,
    frames: u64,
}

impl FrameAllocator {
    /// An allocator for frames `0..frames`, none of them free yet. Errors: `ENOMEM`.
    pub fn new(frames: u64) -> Result<Self> {
        let mut free_blocks = Vec::new();
        free_blocks.try_reserve_exact(usize::from(MAX_ORDER.0) + 1).map_err(|_| Errno::ENOMEM)?;
        for order in 0..=MAX_ORDER.0 {
            free_blocks.push(Bitset::new((frames >> order) as usize + 1)?);
        }
        let words = frames.div_ceil(64) as usize;
        let mut free_map = Vec::new();
        free_map.try_reserve_exact(words).map_err(|_| Errno::ENOMEM)?;
        free_map.resize(words, 0);
        Ok(Self { free_blocks, free_map, free_frames: 0, frames })
    }

    /// Number of free frames.
    pub fn free_frames(&self) -> u64 {
        self.free_frames
    }

    /// Number of free frames with numbers in `range`. Looks at each free block of it, unless it is the whole machine.
    pub fn free_frames_in(&self, range: core::ops::Range<u64>) -> u64 {
        let end = range.end.min(self.frames);
        if range.start == 0 && end == self.frames {
            return self.free_frames;
        }
        let count_order = |(size, set): (usize, &Bitset)| {
            let mut limit = end.div_ceil(1 << size) as usize;
            let mut sum = 0;
            while let Some(block) = set.highest_below(limit) {
                let (first, behind) = ((block as u64) << size, (block as u64 + 1) << size);
                if behind <= range.start {
                    break;
                }
                sum += behind.min(end) - first.max(range.start);
                limit = block;
            }
            sum
        };
        self.free_blocks.iter().enumerate().map(count_order).sum()
    }

    /// Takes a block of 2^`order` frames that ends at or below frame `limit`, the highest there is. Errors: `ENOMEM`.
    #[inline]
    pub fn allocate(&mut self, order: Order, limit: Mfn) -> Result<Mfn> {
        let limit = limit.0.min(self.frames);
        for (size, set) in self.free_blocks.iter_mut().enumerate().skip(usize::from(order.0)) {
            let Some(block) = set.highest_below((limit >> size) as usize) else { continue };
            set.remove(block);
            let first = (block as u64) << size;
            self.free_frames -= 1 << order.0;
            let kept = self.keep_upper_part(first, size, order);
            self.mark(kept, order, |word, bits| *word &= !bits);
            return Ok(kept);
        }
        // No whole block fits below the limit, but the upper part of one that straddles it cannot either: its lower
        // half is a block of the next smaller order that was looked for too. So there is none.
        self.split_straddling(order, limit)
    }

    /// Gives the lower parts of the block at `first` back until 2^`order` frames at its upper end are left.
    fn keep_upper_part(&mut self, first: u64, size: usize, order: Order) -> Mfn {
        let mut first = first;
        for half in (usize::from(order.0)..size).rev() {
            if let Some(set) = self.free_blocks.get_mut(half) {
                set.insert((first >> half) as usize);
            }
            first += 1 << half;
        }
        Mfn(first)
    }

    /// A free block that begins below `limit` and ends above it: split it once and try again.
    fn split_straddling(&mut self, order: Order, limit: u64) -> Result<Mfn> {
        for size in usize::from(order.0) + 1..self.free_blocks.len() {
            let block = (limit >> size) as usize;
            let (lower, upper) = self.free_blocks.split_at_mut(size);
            let (Some(set), Some(halves)) = (upper.first_mut(), lower.last_mut()) else { continue };
            if set.contains(block) && ((block as u64) << size) + (1 << order.0) <= limit {
                set.remove(block);
                halves.insert(2 * block);
                halves.insert(2 * block + 1);
                return self.allocate(order, Mfn(limit));
            }
        }
        Err(Errno::ENOMEM)
    }

    /// Gives a block of 2^`order` frames back. The caller owned it; giving a frame back twice is its bug and is refused.
    #[inline]
    pub fn free(&mut self, first: Mfn, order: Order) -> Result<()> {
        if first.0 & ((1 << order.0) - 1) != 0 || first.0 + (1 << order.0) > self.frames {
            return Err(Errno::EINVAL);
        }
        if self.is_any_free(first, order) {
            return Err(Errno::EBUSY);
        }
        self.mark(first, order, |word, bits| *word |= bits);
        self.free_frames += 1 << order.0;
        let mut block = (first.0 >> order.0) as usize;
        let last = usize::from(MAX_ORDER.0);
        for (size, set) in self.free_blocks.iter_mut().enumerate().skip(usize::from(order.0)) {
            if size == last || !set.contains(block ^ 1) {
                set.insert(block);
                break;
            }
            set.remove(block ^ 1);
            block /= 2;
        }
        Ok(())
    }

    /// Whether the frame is free.
    pub fn is_free(&self, frame: Mfn) -> bool {
        self.is_any_free(frame, Order(0))
    }

    /// Whether a frame of an aligned block is free.
    #[inline]
    fn is_any_free(&self, first: Mfn, order: Order) -> bool {
        let (words, bits) = map_place(first, order);
        self.free_map.get(words).is_some_and(|words| words.iter().any(|word| word & bits != 0))
    }

    /// Changes the bits of an aligned block.
    #[inline]
    fn mark(&mut self, first: Mfn, order: Order, change: impl Fn(&mut u64, u64)) {
        let (words, bits) = map_place(first, order);
        for word in self.free_map.get_mut(words).into_iter().flatten() {
            change(word, bits);
        }
    }

    /// Adds the frames of a range at start-up, in the largest aligned blocks.
    pub fn add_range(&mut self, range: core::ops::Range<u64>) -> Result<()> {
        let mut first = range.start;
        while first < range.end {
            let aligned = first.trailing_zeros().min(u32::from(MAX_ORDER.0));
            let fitting = (range.end - first).ilog2();
            let order = Order(aligned.min(fitting) as u8);
            self.free(Mfn(first), order)?;
            first += 1 << order.0;
        }
        Ok(())
    }
}
