//! Shares by weight, caps, and what a decision promises, over simulated time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops there")]

mod common;

use common::*;
use scheduler::*;

fn assert_shares(shares: &[f64], expected: &[f64], tolerance: f64) {
    for (share, expected) in shares.iter().zip(expected) {
        assert!(close(*share, *expected, tolerance), "{shares:?} instead of {expected:?}");
    }
}

#[test]
fn weights_divide_a_cpu() {
    let mut machine = Machine::new(1, 8);
    for weight in [256, 512, 1024] {
        machine.add(Behaviour::Spin, weight);
    }
    let shares = machine.shares(30 * SECOND);
    assert_shares(&shares, &[1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0], 0.03);
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-6, "no time is lost");
}

#[test]
fn extreme_weights_divide_a_cpu() {
    let mut machine = Machine::new(1, 8);
    for weight in [1, 65_535, 65_535] {
        machine.add(Behaviour::Spin, weight);
    }
    let shares = machine.shares(300 * SECOND);
    assert_shares(&shares[1..], &[0.5, 0.5], 0.01);
    assert!(shares[0] > 0.0 && shares[0] < 0.001, "{shares:?}");
}

#[test]
fn equal_shares_hold_in_every_second() {
    let mut machine = Machine::new(1, 8);
    for _ in 0..5 {
        machine.add(Behaviour::Spin, 256);
    }
    for _ in 0..30 {
        assert_shares(&machine.shares(SECOND), &[0.2; 5], 0.03);
    }
}

#[test]
fn sleeping_does_not_gain_more_than_the_share() {
    // A vCPU that sleeps very briefly, very often, against two that never do.
    for (run, sleep) in [(2 * MS, 1000), (1_900_000, 100_000), (5 * MS, 20_000), (100_000, 1000)] {
        let mut machine = Machine::new(1, 8);
        let sly = machine.add(Behaviour::Cycle { run, sleep }, 256);
        machine.add(Behaviour::Spin, 256);
        machine.add(Behaviour::Spin, 256);
        let shares = machine.shares(30 * SECOND);
        assert!(shares[sly.0 as usize] < 0.35, "run {run} sleep {sleep}: {shares:?}");
        // With very short bursts it loses time to the rate limit, which protects the others.
        let least = if run < MS { 0.08 } else { 0.25 };
        assert!(shares[sly.0 as usize] > least, "run {run} sleep {sleep}: {shares:?}");
    }
}

#[test]
fn an_hour_alone_is_not_paid_back() {
    let mut machine = Machine::new(1, 8);
    machine.add(Behaviour::Spin, 256);
    machine.run_until(machine.now + 3600 * SECOND);
    machine.add(Behaviour::Spin, 256);
    assert_shares(&machine.shares(SECOND), &[0.5, 0.5], 0.05);
}

#[test]
fn an_hour_asleep_is_not_made_up_for() {
    let mut machine = Machine::new(1, 8);
    machine.add(Behaviour::Spin, 256);
    let sleeper = machine.add(Behaviour::Spin, 256);
    machine.run_until(machine.now + SECOND);
    let _ = machine.queues[0].stop(sleeper, machine.now);
    machine.reschedule(0);
    machine.run_until(machine.now + 3600 * SECOND);
    machine.wake(sleeper);
    assert_shares(&machine.shares(SECOND), &[0.5, 0.5], 0.05);
}

#[test]
fn caps_hold() {
    for percent in [5, 20, 50, 100] {
        let mut machine = Machine::new(1, 8);
        machine.add_with(Behaviour::Spin, 256, Affinity::ANY, Some(CapPool::new(percent, 0)));
        let expected = f64::from(percent) / 100.0;
        assert_shares(&machine.shares(10 * SECOND), &[expected], 0.02);
        machine.add(Behaviour::Spin, 256);
        let shares = machine.shares(10 * SECOND);
        assert_shares(&shares, &[expected.min(0.5), 1.0 - expected.min(0.5)], 0.03);
    }
}

#[test]
fn a_cap_is_shared_by_a_domain() {
    let mut machine = Machine::new(4, 8);
    let pool = CapPool::new(150, 0);
    for _ in 0..4 {
        machine.add_with(Behaviour::Spin, 256, Affinity::ANY, Some(pool.clone()));
    }
    let total: f64 = machine.shares(5 * SECOND).iter().sum();
    assert!(close(total, 1.5, 0.02), "{total}");
    pool.set_percent(250);
    let total: f64 = machine.shares(5 * SECOND).iter().sum();
    assert!(close(total, 2.5, 0.02), "{total}");
    pool.set_percent(0);
    let total: f64 = machine.shares(5 * SECOND).iter().sum();
    assert!(close(total, 4.0, 0.001), "{total}");
}

#[test]
fn one_vcpu_of_a_capped_domain_may_use_all_of_the_cap() {
    let mut machine = Machine::new(2, 8);
    let pool = CapPool::new(80, 0);
    machine.add_with(Behaviour::Spin, 256, Affinity::ANY, Some(pool.clone()));
    machine.add_with(Behaviour::Cycle { run: 50_000, sleep: 20 * MS }, 256, Affinity::ANY, Some(pool));
    let shares = machine.shares(10 * SECOND);
    assert!(close(shares[0] + shares[1], 0.8, 0.02), "{shares:?}");
    assert!(shares[1] < 0.01);
}

#[test]
fn a_cap_can_be_lifted() {
    let mut machine = Machine::new(1, 8);
    let id = machine.add_with(Behaviour::Spin, 256, Affinity::ANY, Some(CapPool::new(10, 0)));
    machine.run_until(machine.now + SECOND + 5 * MS);
    machine.queues[0].set_cap(id, None, machine.now);
    machine.reschedule(0);
    assert!(machine.shares(SECOND)[0] > 0.99);
}

#[test]
fn a_weight_can_be_changed() {
    let mut machine = Machine::new(1, 8);
    let first = machine.add(Behaviour::Spin, 256);
    machine.add(Behaviour::Spin, 256);
    assert_shares(&machine.shares(5 * SECOND), &[0.5, 0.5], 0.03);
    machine.queues[0].set_weight(first, Weight::new(768).unwrap(), machine.now);
    assert_shares(&machine.shares(5 * SECOND), &[0.75, 0.25], 0.03);
    assert_eq!(machine.queues[0].load(), Load { runnable: 2, weight: 768 + 256 });
}

#[test]
fn a_raised_weight_counts_at_once() {
    let mut machine = Machine::new(1, 8);
    let light = machine.add(Behaviour::Spin, 1);
    machine.add(Behaviour::Spin, 4000);
    // It has had one slice, and would have its next one after 4,000 of the other's.
    assert!(machine.shares(SECOND)[0] < 0.02);
    machine.queues[0].set_weight(light, Weight::new(4000).unwrap(), machine.now);
    assert_shares(&machine.shares(SECOND), &[0.5, 0.5], 0.05);
}

#[test]
fn one_who_slept_while_virtual_time_wrapped_waits_no_longer() {
    let mut machine = Machine::new(1, 8);
    let sleeper = machine.add(Behaviour::Spin, 256);
    machine.run_until(machine.now + MS);
    assert_eq!(machine.queues[0].stop(sleeper, machine.now), scheduler::Stop::Reschedule);
    machine.reschedule(0);
    // Weight 1 makes virtual time fast: after 50 hours its upper half is reached.
    machine.add(Behaviour::Spin, 1);
    machine.run_until(machine.now + 50 * 3600 * SECOND);
    machine.queues[0].set_weight(EntityId(1), Weight::DEFAULT, machine.now);
    machine.wake(sleeper);
    assert_shares(&machine.shares(SECOND), &[0.5, 0.5], 0.05);
}

#[test]
fn no_ticks_without_competition() {
    let mut machine = Machine::new(2, 8);
    machine.run_until(machine.now + SECOND);
    assert_eq!(machine.decisions, 0, "idle CPUs decide nothing");
    machine.add(Behaviour::Spin, 256);
    machine.add(Behaviour::Spin, 256);
    machine.run_until(machine.now + 3600 * SECOND);
    assert_eq!(machine.decisions, 2, "one decision for each of two lone vCPUs");
    machine.add(Behaviour::Spin, 256);
    let before = machine.decisions;
    machine.run_until(machine.now + SECOND);
    assert!((100..450).contains(&(machine.decisions - before)), "{}", machine.decisions - before);
}

#[test]
fn yielding_lets_others_run() {
    let mut machine = Machine::new(1, 8);
    let polite = machine.add(Behaviour::Yield { run: 10_000 }, 256);
    machine.add(Behaviour::Spin, 256);
    let shares = machine.shares(10 * SECOND);
    assert!(shares[polite.0 as usize] < 0.1, "{shares:?}");
    assert!(machine.vcpus[0].longest_wait <= 11 * MS, "and comes back: {}", machine.vcpus[0].longest_wait);
    let mut machine = Machine::new(1, 8);
    machine.add(Behaviour::Yield { run: 10_000 }, 256);
    machine.add(Behaviour::Yield { run: 10_000 }, 256);
    machine.add(Behaviour::Yield { run: 10_000 }, 256);
    assert_shares(&machine.shares(SECOND), &[1.0 / 3.0; 3], 0.02);
    let mut machine = Machine::new(1, 8);
    machine.add(Behaviour::Yield { run: 10_000 }, 256);
    assert!(machine.shares(SECOND)[0] > 0.999, "alone it keeps the CPU");
}

#[test]
fn many_cpus_are_shared_too() {
    // Three on two CPUs take turns on the crowded one.
    let mut machine = Machine::new(2, 8);
    for _ in 0..3 {
        machine.add(Behaviour::Spin, 256);
    }
    assert_shares(&machine.shares(30 * SECOND), &[2.0 / 3.0; 3], 0.1);
    // One heavy has a CPU for itself, two light share the other by weight.
    let mut machine = Machine::new(2, 8);
    for weight in [1024, 512, 256] {
        machine.add(Behaviour::Spin, weight);
    }
    assert_shares(&machine.shares(30 * SECOND), &[1.0, 2.0 / 3.0, 1.0 / 3.0], 0.05);
}

#[test]
fn a_cap_is_not_taken_twice_by_cpus_at_once() {
    // Four threads with clocks a little apart take all they can get through queues of their own.
    let pool = CapPool::new(100, 0);
    let workers: Vec<_> = (0..4u64).map(|worker| (worker, pool.clone())).collect();
    let used: u64 = std::thread::scope(|scope| {
        let run = |(worker, pool)| move || drain(worker, pool);
        let handles: Vec<_> = workers.into_iter().map(|worker| scope.spawn(run(worker))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).sum()
    });
    // A second of CPU time is there in a second, and what each has in hand at the end, and the first period's reserve.
    assert!((950 * MS..1030 * MS).contains(&used), "{used}");
}

/// Runs one capped entity for a second of simulated time; gives its running time.
fn drain(worker: u64, pool: std::sync::Arc<CapPool>) -> u64 {
    let board = Board::new();
    board.set_online(0);
    let mut queue = Queue::new(0, board);
    queue.reserve(1).unwrap();
    let _ = queue.attach(Entity::new(EntityId(0), Weight::DEFAULT, Affinity::ANY, Some(pool)), 0).unwrap();
    let _ = queue.wake(EntityId(0), 0);
    for tick in 0..10_000 {
        let _ = queue.pick_next(tick * 100_000 + worker * 333);
        let _ = queue.switched();
    }
    queue.running_time(EntityId(0), SECOND).unwrap()
}
