//! Where a domain's frames are noted to be: never too little.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use abi::Mfn;
use proptest::prelude::*;
use pv_mmu::Regions;

fn found(regions: &Regions) -> Vec<std::ops::Range<u64>> {
    let mut ranges = Vec::new();
    let mut from = 0;
    while let Some(range) = regions.next(Mfn(from)) {
        assert!(range.start >= from && range.start < range.end, "no way forward from {from}: {range:?}");
        from = range.end;
        ranges.push(range);
    }
    ranges
}

#[test]
fn nothing_noted_is_nothing_to_look_at() {
    assert_eq!(found(&Regions::new(Mfn(1 << 20))), []);
}

#[test]
fn a_small_domain_on_a_large_machine_is_found_in_little() {
    for (limit, most) in [(1 << 18, 5000 + (2 << 8)), (1 << 24, 2 << 14), (1 << 32, 2 << 22)] {
        let regions = Regions::new(Mfn(limit));
        regions.note(Mfn(limit / 2 - 100), 5000);
        let frames: u64 = found(&regions).iter().map(|range| range.end - range.start).sum();
        assert!((5000..=most).contains(&frames), "{frames} frames of {limit}");
    }
}

#[test]
fn the_last_frame_ends_the_search() {
    for limit in [1, 4095, 4097, (1 << 22) + 3, (1 << 36) - 1] {
        let regions = Regions::new(Mfn(limit));
        regions.note(Mfn(limit - 1), 1);
        assert_eq!(found(&regions).last().unwrap().end, limit);
    }
}

#[test]
fn ranges_that_cannot_be_are_taken_for_what_lies_in_memory() {
    let regions = Regions::new(Mfn(1 << 20));
    regions.note(Mfn(u64::MAX), 1);
    regions.note(Mfn(5), 0);
    regions.note(Mfn(0), 0);
    assert!(found(&regions).iter().all(|range| range.end <= 1 << 20));
}

proptest! {
    #[test]
    fn every_noted_frame_is_found(
        limit in 1_u64..1 << 34,
        extents in prop::collection::vec((any::<u64>(), 1_u64..1 << 18), 1..20),
    ) {
        let regions = Regions::new(Mfn(limit));
        let extents: Vec<(u64, u64)> =
            extents.iter().map(|&(first, count)| (first % limit, count.min(limit - first % limit))).collect();
        for &(first, count) in &extents {
            regions.note(Mfn(first), count);
        }
        let ranges = found(&regions);
        let is_found = |frame: u64| ranges.iter().any(|range| range.contains(&frame));
        for (first, count) in extents {
            // Regions are no smaller than 2^8 frames, so all between are found when each of these is.
            let mut frame = first;
            while frame < first + count {
                prop_assert!(is_found(frame), "{frame:#x} of {limit:#x}");
                frame += 1 << 8;
            }
            prop_assert!(is_found(first + count - 1));
        }
    }
}
