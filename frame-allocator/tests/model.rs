//! The allocator against the plainest model: a set of free frame numbers.

use std::collections::BTreeSet;

use abi::{Errno, Mfn};
use frame_allocator::{Bitset, FrameAllocator, Held, Hold, Order};

/// A small deterministic generator; the seed is in the test.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % below
    }
}

#[test]
fn bitset_finds_the_highest_member_below() {
    let mut random = Random(7);
    let mut set = Bitset::new(300_000).unwrap();
    let mut model = BTreeSet::new();
    for _ in 0..20_000 {
        let number = random.next(300_000) as usize;
        if random.next(2) == 0 {
            set.insert(number);
            model.insert(number);
        } else {
            set.remove(number);
            model.remove(&number);
        }
        let limit = random.next(300_001) as usize;
        assert_eq!(set.highest_below(limit), model.range(..limit).next_back().copied());
    }
}

#[test]
fn free_frames_of_a_range_are_counted() {
    const FRAMES: u64 = 3000;
    let mut random = Random(3);
    let mut allocator = FrameAllocator::new(FRAMES).unwrap();
    allocator.add_range(5..FRAMES - 1).unwrap();
    for _ in 0..300 {
        let _ = allocator.allocate(Order(random.next(4) as u8), Mfn(random.next(FRAMES)));
    }
    for _ in 0..500 {
        let (one, other) = (random.next(FRAMES + 100), random.next(FRAMES + 100));
        let range = one.min(other)..one.max(other);
        let model = range.clone().filter(|&frame| frame < FRAMES && allocator.is_free(Mfn(frame))).count() as u64;
        assert_eq!(allocator.free_frames_in(range.clone()), model, "{range:?}");
    }
    assert_eq!(allocator.free_frames_in(0..u64::MAX), allocator.free_frames());
    assert_eq!(allocator.free_frames_in(10..10), 0);
}

#[test]
fn blocks_never_overlap_and_everything_comes_back() {
    const FRAMES: u64 = 5000;
    let mut random = Random(42);
    let mut allocator = FrameAllocator::new(FRAMES).unwrap();
    allocator.add_range(3..FRAMES - 5).unwrap();
    let all = allocator.free_frames();
    assert_eq!(all, FRAMES - 8);
    let mut free: BTreeSet<u64> = (3..FRAMES - 5).collect();
    let mut taken: Vec<(u64, u8)> = Vec::new();
    for _ in 0..30_000 {
        if random.next(5) < 3 {
            let order = random.next(6) as u8;
            let limit = if random.next(2) == 0 { u64::MAX } else { random.next(FRAMES) };
            match allocator.allocate(Order(order), Mfn(limit)) {
                Ok(first) => {
                    assert_eq!(first.0 % (1 << order), 0);
                    assert!(first.0 + (1 << order) <= limit);
                    for frame in first.0..first.0 + (1 << order) {
                        assert!(free.remove(&frame), "frame {frame} was not free");
                    }
                    taken.push((first.0, order));
                }
                Err(_) => {
                    let fits = (0..limit.min(FRAMES) >> order).any(|block| {
                        let first = block << order;
                        (first..first + (1 << order)).all(|frame| free.contains(&frame))
                    });
                    assert!(!fits, "order {order} below {limit} was there");
                }
            }
        } else if !taken.is_empty() {
            let (first, order) = taken.swap_remove(random.next(taken.len() as u64) as usize);
            allocator.free(Mfn(first), Order(order)).unwrap();
            free.extend(first..first + (1 << order));
            assert!(allocator.free(Mfn(first), Order(0)).is_err(), "a second return must be refused");
        }
        assert_eq!(allocator.free_frames(), free.len() as u64);
    }
    for (first, order) in taken {
        allocator.free(Mfn(first), Order(order)).unwrap();
    }
    assert_eq!(allocator.free_frames(), all);
}

#[test]
fn highest_addresses_go_first() {
    let mut allocator = FrameAllocator::new(1 << 12).unwrap();
    allocator.add_range(0..1 << 12).unwrap();
    assert_eq!(allocator.allocate(Order(0), Mfn(u64::MAX)), Ok(Mfn(0xFFF)));
    assert_eq!(allocator.allocate(Order(4), Mfn(0x100)), Ok(Mfn(0xF0)));
}

#[test]
fn a_block_with_a_free_frame_in_it_is_not_taken_back() {
    let mut allocator = FrameAllocator::new(1 << 12).unwrap();
    allocator.add_range(0..1 << 12).unwrap();
    for order in [1, 5, 6, 7, 9] {
        let first = allocator.allocate(Order(order), Mfn(u64::MAX)).unwrap();
        let inside = Mfn(first.0 + (1 << order) - 1);
        assert!(!allocator.is_free(first) && !allocator.is_free(inside));
        allocator.free(inside, Order(0)).unwrap();
        let before = allocator.free_frames();
        assert_eq!(allocator.free(first, Order(order)), Err(abi::Errno::EBUSY));
        assert_eq!(allocator.free_frames(), before);
        for frame in first.0..inside.0 {
            allocator.free(Mfn(frame), Order(0)).unwrap();
        }
    }
    assert_eq!(allocator.free_frames(), 1 << 12);
}

#[test]
fn frames_that_are_held_leave_and_come_back() {
    const FRAMES: u64 = 1000;
    let mut random = Random(7);
    let mut allocator = FrameAllocator::new(FRAMES).unwrap();
    allocator.add_range(0..FRAMES).unwrap();
    assert_eq!(allocator.hold(Mfn(1)), Err(Errno::ENOMEM), "no room yet");
    assert!(allocator.give_room(Held::new(FRAMES).unwrap()).is_none());
    assert!(allocator.give_room(Held::new(FRAMES).unwrap()).is_some(), "handed back to who came second");
    assert_eq!(allocator.hold(Mfn(FRAMES)), Err(Errno::EINVAL));
    let mut taken: Vec<(u64, u8)> = Vec::new();
    let (mut in_use, mut held): (BTreeSet<u64>, BTreeSet<u64>) = Default::default();
    for _ in 0..30_000 {
        let frame = random.next(FRAMES);
        match random.next(8) {
            0 => {
                let expected = if in_use.contains(&frame) { Hold::Pending } else { Hold::Gone };
                assert_eq!(allocator.hold(Mfn(frame)), Ok(expected));
                held.insert(frame);
            }
            1 | 2 => {
                let was = allocator.release(Mfn(frame));
                let expected = if in_use.contains(&frame) { Hold::Pending } else { Hold::Gone };
                assert_eq!(was, if held.remove(&frame) { expected } else { Hold::None });
            }
            3..6 => {
                let order = random.next(6) as u8;
                if let Ok(first) = allocator.allocate(Order(order), Mfn(u64::MAX)) {
                    for frame in first.0..first.0 + (1 << order) {
                        assert!(!held.contains(&frame), "a held frame was given out");
                        assert!(in_use.insert(frame));
                    }
                    taken.push((first.0, order));
                }
            }
            _ if !taken.is_empty() => {
                let (first, order) = taken.swap_remove(random.next(taken.len() as u64) as usize);
                allocator.free(Mfn(first), Order(order)).unwrap();
                (first..first + (1 << order)).for_each(|frame| assert!(in_use.remove(&frame)));
                assert!(allocator.free(Mfn(first), Order(0)).is_err(), "a second return must be refused");
            }
            _ => {}
        }
        let out = in_use.union(&held).count() as u64;
        assert_eq!(allocator.free_frames(), FRAMES - out);
        assert_eq!(
            allocator.free_frames_in(0..FRAMES - 1),
            FRAMES - 1 - in_use.union(&held).filter(|&&f| f != FRAMES - 1).count() as u64
        );
    }
    for (first, order) in taken {
        allocator.free(Mfn(first), Order(order)).unwrap();
    }
    for frame in held {
        assert_eq!(allocator.release(Mfn(frame)), Hold::Gone);
    }
    assert_eq!(allocator.free_frames(), FRAMES);
    assert_eq!(allocator.allocate(Order(9), Mfn(u64::MAX)), Ok(Mfn(0)), "merged again");
}
