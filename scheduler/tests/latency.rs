//! How soon a woken vCPU runs, and that nobody waits for ever.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops there")]

mod common;

use common::*;
use proptest::prelude::*;
use scheduler::*;

#[test]
fn a_sleeper_wakes_within_the_rate_limit_among_spinners() {
    for spinners in [1, 2, 4, 8] {
        let mut machine = Machine::new(1, 16);
        for _ in 0..spinners {
            machine.add(Behaviour::Spin, 256);
        }
        let sleeper = machine.add(Behaviour::Cycle { run: 200_000, sleep: 13 * MS }, 256);
        machine.run_until(machine.now + 20 * SECOND);
        let vcpu = &machine.vcpus[sleeper.0 as usize];
        assert!(vcpu.latencies.len() > 1000, "{}", vcpu.latencies.len());
        // The first wake-up is a new vCPU's, without any credit.
        let longest = vcpu.latencies.iter().skip(1).max().unwrap();
        assert!(*longest <= limits::RATE_LIMIT_NS, "{spinners} spinners: {longest} ns");
    }
}

#[test]
fn a_rate_limit_can_be_changed() {
    for limit in [0, 100_000, 5 * MS] {
        let mut machine = Machine::new(1, 16);
        machine.queues[0].set_rate_limit(limit);
        for _ in 0..3 {
            machine.add(Behaviour::Spin, 256);
        }
        let sleeper = machine.add(Behaviour::Cycle { run: 200_000, sleep: 9 * MS }, 256);
        machine.run_until(machine.now + 20 * SECOND);
        let longest = *machine.vcpus[sleeper.0 as usize].latencies.iter().skip(1).max().unwrap();
        assert!(longest <= limit, "{limit}: {longest} ns");
        assert!(limit <= limits::RATE_LIMIT_NS || longest > limits::RATE_LIMIT_NS, "{limit}: {longest} ns");
    }
}

#[test]
fn the_head_start_is_bounded() {
    // Who uses more than its share loses the head start: the latency of a hungry "sleeper" is a matter of slices.
    let mut machine = Machine::new(1, 8);
    let hungry = machine.add(Behaviour::Cycle { run: 9 * MS, sleep: 50_000 }, 256);
    let modest = machine.add(Behaviour::Cycle { run: 100_000, sleep: 10 * MS }, 256);
    machine.add(Behaviour::Spin, 256);
    let shares = machine.shares(20 * SECOND);
    assert!(shares[hungry.0 as usize] < 0.52, "{shares:?}");
    let longest = |id: EntityId| *machine.vcpus[id.0 as usize].latencies.iter().skip(1).max().unwrap();
    assert!(longest(modest) <= limits::RATE_LIMIT_NS, "{}", longest(modest));
    assert!(longest(hungry) > limits::RATE_LIMIT_NS);
}

#[test]
fn nobody_is_interrupted_within_the_rate_limit() {
    // Many short sleepers and one spinner: switches stay rare enough.
    let mut machine = Machine::new(1, 64);
    machine.add(Behaviour::Spin, 256);
    for index in 0..30 {
        machine.add(Behaviour::Cycle { run: 20_000, sleep: 3 * MS + index * 7919 }, 256);
    }
    let before = machine.ran(EntityId(0));
    machine.run_until(machine.now + 5 * SECOND);
    let share = (machine.ran(EntityId(0)) - before) as f64 / (5.0 * SECOND as f64);
    assert!(share > 0.7, "the sleepers need a fifth: {share}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn nobody_starves(
        cpus in 1u32..4,
        vcpus in prop::collection::vec((0u8..3, 10_000u64..6_000_000, 1_000u64..20_000_000, 64u16..2048), 1..10),
    ) {
        let mut machine = Machine::new(cpus, 16);
        for &(kind, run, sleep, weight) in &vcpus {
            let behaviour = match kind {
                0 => Behaviour::Spin,
                1 => Behaviour::Cycle { run, sleep },
                _ => Behaviour::Yield { run },
            };
            machine.add(behaviour, weight);
        }
        let shares = machine.shares(10 * SECOND);
        let used: f64 = shares.iter().sum();
        prop_assert!(used <= f64::from(cpus) + 1e-9);
        // Weights differ by 32 at most: the lightest of ten has its turn every half second or so.
        for (vcpu, share) in machine.vcpus.iter().zip(&shares) {
            prop_assert!(vcpu.longest_wait < SECOND, "{:?} waited {}", vcpu.behaviour, vcpu.longest_wait);
            prop_assert!(*share > 0.0);
        }
        // No CPU idles while a spinner waits.
        let spinners = vcpus.iter().filter(|vcpu| vcpu.0 != 1).count().min(cpus as usize);
        prop_assert!(used >= spinners as f64 - 0.01, "{used} of {cpus} with {spinners} spinners");
    }

    #[test]
    fn nobody_gets_more_than_the_share(
        run in 10_000u64..8_000_000, sleep in 500u64..4_000_000, spinners in 1usize..5,
    ) {
        let mut machine = Machine::new(1, 16);
        machine.add(Behaviour::Cycle { run, sleep }, 256);
        for _ in 0..spinners {
            machine.add(Behaviour::Spin, 256);
        }
        let shares = machine.shares(10 * SECOND);
        let fair = 1.0 / (spinners as f64 + 1.0);
        prop_assert!(shares[0] <= fair * 1.03, "{shares:?}");
    }
}

#[test]
fn who_may_not_run_is_passed_over_until_it_is_woken() {
    let mut machine = Machine::new(1, 4);
    let queue = &mut machine.queues[0];
    let now = machine.now;
    let ids = [EntityId(0), EntityId(1)];
    for id in ids {
        let _ = queue.attach(Entity::new(id, Weight::DEFAULT, Affinity::ANY, None), now).unwrap();
        let _ = queue.wake(id, now);
    }
    let decision = queue.pick_next_of(now, |id| id == ids[1]);
    assert_eq!(decision.entity, Some(ids[1]));
    assert_eq!(queue.load().runnable, 1, "the other one counts as blocked");
    let _ = queue.stop(ids[1], now);
    assert_eq!(queue.pick_next_of(now, |_| true).entity, None, "nobody woke it");
    let _ = queue.switched();
    assert_eq!(queue.describe(ids[0]), queue.describe(ids[1]), "both sleep");
    let _ = queue.wake(ids[0], now);
    assert_ne!(queue.describe(ids[0]), queue.describe(ids[1]));
    assert_eq!(queue.describe(EntityId(2)), None);
    assert_eq!(queue.pick_next(now).entity, Some(ids[0]));
}
