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
    /// Frames that leave, once there was any.
    held: Option<Held>,
}

/// Frames that are kept from being given out.
pub struct Held {
    /// Those that somebody has, and those that nobody has any more.
    all: Bitset,
    /// The latter.
    gone: Bitset,
}

impl Held {
    /// Room for frames `0..frames`. Errors: `ENOMEM`.
    pub fn new(frames: u64) -> Result<Self> {
        Ok(Self { all: Bitset::new(frames as usize)?, gone: Bitset::new(frames as usize)? })
    }

    fn of(&self, frame: Mfn) -> Hold {
        match (self.all.contains(frame.0 as usize), self.gone.contains(frame.0 as usize)) {
            (false, _) => Hold::None,
            (true, false) => Hold::Pending,
            (true, true) => Hold::Gone,
        }
    }

    /// Whether it has a frame of a block.
    fn has_any(&self, first: Mfn, order: Order) -> bool {
        let end = first.0 + (1 << order.0);
        self.all.highest_below(end as usize).is_some_and(|frame| frame as u64 >= first.0)
    }
}

/// Whether a frame is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// It is not.
    None,
    /// Somebody has it; it will be when it is given back.
    Pending,
    /// Nobody has it or gets it.
    Gone,
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
        Ok(Self { free_blocks, free_map, free_frames: 0, frames, held: None })
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
        if self.held.as_ref().is_some_and(|held| held.has_any(first, order)) {
            return self.free_but_held(first, order);
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

    /// The same for a block with frames that leave: they do, the others are given back by halves. Errors: `EBUSY` if one
    /// left already.
    #[cold]
    fn free_but_held(&mut self, first: Mfn, order: Order) -> Result<()> {
        let Some(half) = order.0.checked_sub(1).map(Order) else {
            let held = self.held.as_mut().filter(|held| held.of(first) == Hold::Pending).ok_or(Errno::EBUSY)?;
            held.gone.insert(first.0 as usize);
            return Ok(());
        };
        self.free(first, half)?;
        self.free(Mfn(first.0 + (1 << half.0)), half)
    }

    /// Whether [`Self::hold`] lacks room to note frames in.
    pub fn lacks_room(&self) -> bool {
        self.held.is_none()
    }

    /// Gives it room for all frames; handed back if it has some, to be dropped where its memory may come back to here.
    #[must_use]
    pub fn give_room(&mut self, room: Held) -> Option<Held> {
        if self.held.is_some() {
            return Some(room);
        }
        self.held = Some(room);
        None
    }

    /// Whether a frame is kept.
    pub fn hold_of(&self, frame: Mfn) -> Hold {
        self.held.as_ref().map_or(Hold::None, |held| held.of(frame))
    }

    /// Keeps a frame from being given out: at once if it is free, else when it is given back. Errors: `ENOMEM` without
    /// room, `EINVAL` for a frame that there is not.
    pub fn hold(&mut self, frame: Mfn) -> Result<Hold> {
        if frame.0 >= self.frames {
            return Err(Errno::EINVAL);
        }
        let was_free = self.is_free(frame);
        let held = self.held.as_mut().ok_or(Errno::ENOMEM)?;
        held.all.insert(frame.0 as usize);
        if was_free {
            held.gone.insert(frame.0 as usize);
            self.take_free(frame);
        }
        Ok(self.hold_of(frame))
    }

    /// Takes one free frame out of the block that it is in.
    fn take_free(&mut self, frame: Mfn) {
        let block = |size: usize| (frame.0 >> size) as usize;
        let Some(found) = self.free_blocks.iter().enumerate().position(|(size, set)| set.contains(block(size))) else {
            return;
        };
        for (size, set) in self.free_blocks.iter_mut().enumerate().take(found + 1) {
            if size == found {
                set.remove(block(size));
            } else {
                set.insert(block(size) ^ 1);
            }
        }
        self.mark(frame, Order(0), |word, bits| *word &= !bits);
        self.free_frames -= 1;
    }

    /// Ends the keeping of a frame, which is free then if nobody has it. How it was.
    pub fn release(&mut self, frame: Mfn) -> Hold {
        let was = self.hold_of(frame);
        if let Some(held) = &mut self.held {
            held.all.remove(frame.0 as usize);
            held.gone.remove(frame.0 as usize);
        }
        if was == Hold::Gone {
            let returned = self.free(frame, Order(0));
            debug_assert!(returned.is_ok(), "a frame that had left was free");
        }
        was
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
