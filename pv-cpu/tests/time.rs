//! Clock scaling and the publication protocols.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use abi::shared_info::{TimeFlags, VcpuTimeInfo};
use abi::vcpu::{Runstate, RunstateInfo};
use proptest::prelude::*;
use pv_cpu::time::{TimeArea, TimeScale, UpdateMark, publish_runstate, publish_wallclock};

proptest! {
    #[test]
    fn a_second_is_a_second(hertz in 1_000u64..20_000_000_000) {
        let scale = TimeScale::from_frequency(hertz);
        let second = scale.nanoseconds(hertz);
        prop_assert!(second.abs_diff(1_000_000_000) <= 1 + 1_000_000_000 / hertz, "{second}");
        prop_assert!(scale.multiplier >= 1 << 31 || hertz < 2, "full precision");
        let day = scale.nanoseconds(hertz * 86_400);
        prop_assert!(day.abs_diff(86_400_000_000_000) < 100_000, "{day}");
    }

    #[test]
    fn time_does_not_run_backwards(hertz in 1_000_000u64..10_000_000_000, ticks in 0u64..1 << 53, more in 0u64..1 << 20) {
        let scale = TimeScale::from_frequency(hertz);
        prop_assert!(scale.nanoseconds(ticks) <= scale.nanoseconds(ticks + more));
    }

    #[test]
    fn ticks_invert_nanoseconds(hertz in 1_000_000u64..10_000_000_000, nanoseconds in 0u64..1 << 50) {
        let scale = TimeScale::from_frequency(hertz);
        let back = scale.nanoseconds(scale.ticks(nanoseconds));
        prop_assert!(back <= nanoseconds && nanoseconds - back <= 2 + 2_000_000_000 / hertz, "{back}");
    }

    #[test]
    fn extremes_do_not_panic(hertz: u64, ticks: u64) {
        let scale = TimeScale::from_frequency(hertz);
        let _any = (scale.nanoseconds(ticks), scale.ticks(ticks));
    }
}

#[test]
fn known_scales() {
    assert_eq!(TimeScale::from_frequency(1_000_000_000), TimeScale { multiplier: 1 << 31, shift: 1 });
    assert_eq!(TimeScale::from_frequency(2_000_000_000), TimeScale { multiplier: 1 << 31, shift: 0 });
    assert_eq!(TimeScale::from_frequency(4_000_000_000), TimeScale { multiplier: 1 << 31, shift: -1 });
    assert_eq!(TimeScale::from_frequency(0).nanoseconds(u64::MAX), 0);
}

#[test]
fn time_area_layout_and_version() {
    let words = [const { AtomicU64::new(0) }; 4];
    let time = VcpuTimeInfo {
        tsc_timestamp: 0x1122,
        system_time: 0x3344,
        tsc_to_system_mul: 0x8000_0001,
        tsc_shift: -2,
        flags: TimeFlags::TSC_STABLE,
        ..VcpuTimeInfo::default()
    };
    let version = TimeArea::new(&words).publish(&time, 4);
    assert_eq!(version, 6);
    let seen: Vec<u64> = words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
    assert_eq!(seen, [6, 0x1122, 0x3344, 0x8000_0001 | 0xFE << 32 | 1 << 40]);
    assert_eq!(TimeArea::new(&words).publish(&time, u32::MAX - 1), 0, "the version wraps and stays even");
}

#[test]
fn a_reader_never_sees_half_an_update() {
    let words = [const { AtomicU64::new(0) }; 4];
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut good = 0u32;
            while !stop.load(Ordering::Relaxed) || good == 0 {
                let before = words[0].load(Ordering::Acquire);
                let (tsc, time) = (words[1].load(Ordering::Relaxed), words[2].load(Ordering::Relaxed));
                std::sync::atomic::fence(Ordering::Acquire);
                if before & 1 == 0 && words[0].load(Ordering::Relaxed) == before {
                    assert_eq!(tsc * 3, time);
                    good += 1;
                }
            }
        });
        let mut version = 0;
        for tick in 0..200_000 {
            let time = VcpuTimeInfo { tsc_timestamp: tick, system_time: tick * 3, ..VcpuTimeInfo::default() };
            version = TimeArea::new(&words).publish(&time, version);
        }
        stop.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[test]
fn wallclock() {
    let words = [const { AtomicU32::new(0) }; 4];
    let [version, low, fraction, high] = &words;
    assert_eq!(publish_wallclock([version, low, fraction, high], 5 << 32 | 1, 500_000_000, 2), 4);
    let seen: Vec<u32> = words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
    assert_eq!(seen, [4, 1, 500_000_000, 5]);
}

#[test]
fn runstate_with_and_without_mark() {
    for mark in [UpdateMark::Used, UpdateMark::Absent] {
        let area = [const { AtomicU64::new(0) }; 6];
        let runstate = RunstateInfo {
            state: Runstate::BLOCKED,
            state_entry_time: 77,
            time: [1, 2, 3, 4],
            ..RunstateInfo::default()
        };
        publish_runstate(&area, &runstate, mark);
        let seen: Vec<u64> = area.iter().map(|word| word.load(Ordering::Relaxed)).collect();
        assert_eq!(seen, [2, 77, 1, 2, 3, 4]);
    }
}
