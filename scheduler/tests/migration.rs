//! Affinity, placement, stealing, balancing, and the rules of moving an entity.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops there")]

mod common;

use common::*;
use proptest::prelude::*;
use scheduler::*;

fn on(cpus: u64) -> Affinity {
    Affinity { hard: cpus, soft: u64::MAX }
}

#[test]
fn hard_affinity_is_kept() {
    // The simulation asserts it at every move.
    let mut machine = Machine::new(4, 16);
    for index in 0..8 {
        machine.add_with(Behaviour::Spin, 256, on([0b0001, 0b0011, 0b1000, 0b0110][index % 4]), None);
    }
    let shares = machine.shares(20 * SECOND);
    for (index, share) in shares.iter().enumerate() {
        assert!(*share > 0.2, "{index}: {shares:?}");
    }
    assert!(shares.iter().sum::<f64>() > 3.999, "all four CPUs are busy: {shares:?}");
}

#[test]
fn soft_affinity_is_a_preference() {
    let mut machine = Machine::new(4, 16);
    let soft = Affinity { hard: u64::MAX, soft: 0b0100 };
    let first = machine.add_with(Behaviour::Cycle { run: MS, sleep: MS }, 256, soft, None);
    machine.run_until(machine.now + SECOND);
    assert_eq!(machine.vcpus[first.0 as usize].cpu, 2);
    // With that CPU taken, an idle one is better than waiting.
    machine.add_with(Behaviour::Spin, 256, on(0b0100), None);
    let shares = machine.shares(10 * SECOND);
    assert!(shares[0] > 0.49 && shares[1] > 0.9, "{shares:?}");
}

#[test]
fn a_changed_affinity_takes_effect() {
    let mut machine = Machine::new(2, 4);
    let id = machine.add_with(Behaviour::Spin, 256, on(0b01), None);
    let other = machine.add_with(Behaviour::Spin, 256, on(0b01), None);
    machine.run_until(machine.now + SECOND);
    // One has the CPU, the other waits; both are sent away.
    for moved in [id, other] {
        match machine.queues[0].set_affinity(moved, on(0b10)) {
            AffinityChange::Move(entity) => machine.attach(entity, 1),
            AffinityChange::Reschedule => machine.reschedule(0),
            AffinityChange::Done | AffinityChange::Absent => panic!("it must go"),
        }
        assert_eq!(machine.vcpus[moved.0 as usize].cpu, 1);
    }
    assert_eq!(machine.queues[0].load(), Load::default());
    let shares = machine.shares(SECOND);
    assert!(close(shares[0], 0.5, 0.05) && close(shares[1], 0.5, 0.05), "{shares:?}");
    assert!(matches!(machine.queues[0].set_affinity(id, on(1)), AffinityChange::Absent));
}

#[test]
fn idle_cpus_take_work() {
    let mut machine = Machine::new(4, 16);
    for _ in 0..4 {
        machine.add_with(Behaviour::Spin, 256, on(1), None);
    }
    machine.run_until(machine.now + SECOND);
    assert_eq!(machine.board.idle(), 0b1110);
    for id in 0..4 {
        match machine.queues[0].set_affinity(EntityId(id), Affinity::ANY) {
            AffinityChange::Done => {}
            other => panic!("{other:?}"),
        }
    }
    for cpu in 1..4 {
        machine.reschedule(cpu);
    }
    let shares = machine.shares(SECOND);
    assert!(shares.iter().all(|share| *share > 0.99), "{shares:?}");
    assert_eq!(machine.board.idle(), 0);
}

#[test]
fn a_crowded_cpu_gives_work_away() {
    let mut machine = Machine::new(2, 16);
    for _ in 0..3 {
        machine.add_with(Behaviour::Spin, 256, on(1), None);
    }
    machine.add_with(Behaviour::Spin, 256, on(2), None);
    machine.run_until(machine.now + SECOND);
    for id in 0..3 {
        assert!(matches!(machine.queues[0].set_affinity(EntityId(id), Affinity::ANY), AffinityChange::Done));
    }
    machine.run_until(machine.now + SECOND);
    assert_eq!((machine.queues[0].load().runnable, machine.queues[1].load().runnable), (2, 2));
    let moves = machine.vcpus.iter().map(|vcpu| vcpu.moves).sum::<u64>();
    machine.run_until(machine.now + 10 * SECOND);
    assert_eq!(machine.vcpus.iter().map(|vcpu| vcpu.moves).sum::<u64>(), moves, "balanced: nobody moves");
}

#[test]
fn a_waker_stays_where_it_is_warm() {
    let mut machine = Machine::new(4, 16);
    for _ in 0..3 {
        machine.add(Behaviour::Cycle { run: MS, sleep: 3 * MS }, 256);
    }
    machine.run_until(machine.now + SECOND);
    let moves: Vec<_> = machine.vcpus.iter().map(|vcpu| vcpu.moves).collect();
    assert!(moves.iter().all(|&moves| moves <= 3), "{moves:?}");
}

#[test]
fn nobody_moves_before_its_registers_are_saved() {
    let board = Board::new();
    board.set_online(0);
    board.set_online(1);
    let mut queue = Queue::new(0, board.clone());
    queue.reserve(4).unwrap();
    for id in 0..2 {
        let entity = Entity::new(EntityId(id), Weight::DEFAULT, Affinity::ANY, None);
        let _ = queue.attach(entity, 0).unwrap();
    }
    assert!(matches!(queue.wake(EntityId(0), 0), Wake::Here(Preempt::Now)));
    assert_eq!(queue.pick_next(0).entity, Some(EntityId(0)));
    assert!(queue.switched().is_none());
    board.set_offline(1);
    assert!(matches!(queue.wake(EntityId(1), 1000), Wake::Here(Preempt::By(_))));
    assert_eq!(queue.pick_next(10 * MS).entity, Some(EntityId(1)));
    board.set_online(1);
    // Entity 0 waits, but its state is still on the CPU.
    assert!(queue.steal(1).is_none());
    assert!(queue.detach(EntityId(0)).is_none());
    assert!(queue.rebalance(SECOND).is_none());
    assert_eq!(queue.stop(EntityId(0), 10 * MS), Stop::Done);
    assert!(matches!(queue.wake(EntityId(0), 10 * MS), Wake::Here(_)), "not sent to idle CPU 1");
    assert!(queue.switched().is_none());
    assert_eq!(queue.steal(1).map(|entity| entity.id()), Some(EntityId(0)));
    assert!(queue.detach(EntityId(1)).is_none(), "on the CPU");
    assert!(matches!(queue.wake(EntityId(0), 0), Wake::Absent));
    assert_eq!(queue.stop(EntityId(0), 0), Stop::Absent);
}

#[test]
fn who_may_not_stay_departs_though_nobody_comes() {
    let board = Board::new();
    board.set_online(0);
    board.set_online(1);
    let mut queue = Queue::new(0, board);
    queue.reserve(1).unwrap();
    let _ = queue.attach(Entity::new(EntityId(0), Weight::DEFAULT, on(0b01), None), 0).unwrap();
    let _ = queue.wake(EntityId(0), 0);
    assert_eq!(queue.pick_next(0).entity, Some(EntityId(0)));
    assert!(!queue.must_depart());
    // It binds itself to the other CPU.
    assert!(matches!(queue.set_affinity(EntityId(0), on(0b10)), AffinityChange::Reschedule));
    assert_eq!(queue.pick_next(MS).entity, None);
    assert!(queue.must_depart());
    assert_eq!(queue.switched().map(|entity| entity.id()), Some(EntityId(0)));
    assert!(!queue.must_depart());
}

#[test]
fn a_closed_queue_gives_everybody_up() {
    let board = Board::new();
    board.set_online(0);
    board.set_online(1);
    let mut queue = Queue::new(0, board.clone());
    queue.reserve(3).unwrap();
    for id in 0..3 {
        let _ = queue.attach(Entity::new(EntityId(id), Weight::DEFAULT, on(0b01), None), 0).unwrap();
    }
    // One runs, one waits, one sleeps.
    let _ = queue.wake(EntityId(0), 0);
    assert_eq!(queue.pick_next(0).entity, Some(EntityId(0)));
    let _ = queue.set_affinity(EntityId(1), Affinity { hard: 0b01, soft: 0b01 });
    let _ = queue.wake(EntityId(1), 0);
    board.set_offline(0);
    queue.close();
    assert_eq!(queue.pick_next(MS).entity, None);
    assert!(queue.must_depart());
    assert_eq!(queue.switched().map(|entity| entity.id()), Some(EntityId(0)));
    let rest: Vec<_> = core::iter::from_fn(|| queue.detach_any()).map(|entity| entity.id()).collect();
    assert_eq!(rest, [EntityId(1), EntityId(2)]);
    assert!(queue.is_empty() && queue.is_closed());
    assert_eq!(queue.load().runnable, 0);
    // Back in service, it takes and runs entities as before.
    queue.open();
    board.set_online(0);
    let _ = queue.attach(Entity::new(EntityId(2), Weight::DEFAULT, on(0b01), None), MS).unwrap();
    let _ = queue.wake(EntityId(2), MS);
    assert_eq!(queue.pick_next(MS).entity, Some(EntityId(2)));
}

#[test]
fn stopping_and_waking_before_the_switch_keeps_the_cpu() {
    let board = Board::new();
    board.set_online(0);
    let mut queue = Queue::new(0, board);
    queue.reserve(1).unwrap();
    let entity = Entity::new(EntityId(0), Weight::DEFAULT, Affinity::ANY, None);
    assert_eq!(queue.attach(entity, 0).unwrap(), Preempt::No);
    let _ = queue.wake(EntityId(0), 0);
    assert_eq!(queue.pick_next(0), Decision { entity: Some(EntityId(0)), until: None });
    assert_eq!(queue.stop(EntityId(0), 5), Stop::Reschedule);
    assert_eq!(queue.load().runnable, 0);
    assert!(matches!(queue.wake(EntityId(0), 6), Wake::Nothing));
    assert_eq!(queue.pick_next(7).entity, Some(EntityId(0)));
    assert_eq!(queue.stop(EntityId(0), 8), Stop::Reschedule);
    assert_eq!(queue.pick_next(9), Decision { entity: None, until: None });
    assert!(queue.switched().is_none());
    assert_eq!(queue.running_time(EntityId(0), 100), Some(8));
    assert_eq!(queue.detach_any().map(|entity| entity.id()), Some(EntityId(0)));
    assert!(queue.detach_any().is_none());
}

#[test]
fn numbers_out_of_range_are_handed_back() {
    let mut queue = Queue::new(0, Board::new());
    queue.reserve(1).unwrap();
    let entity = |id| Entity::new(EntityId(id), Weight::DEFAULT, Affinity::ANY, None);
    assert!(queue.attach(entity(1), 0).is_err());
    assert!(queue.attach(entity(0), 0).is_ok());
    assert!(queue.attach(entity(0), 0).is_err());
    assert!(queue.detach(EntityId(u32::MAX)).is_none());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Stop(u32),
    Wake(u32),
    Affinity(u32, u64),
    Weight(u32, u16),
    Yield(u32),
    Cap(u32, u32),
    Reschedule(u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u32..6).prop_map(Step::Stop),
        (0u32..6).prop_map(Step::Wake),
        (0u32..6, 1u64..8).prop_map(|(id, cpus)| Step::Affinity(id, cpus)),
        (0u32..6, 1u16..5000).prop_map(|(id, weight)| Step::Weight(id, weight)),
        (0u32..3).prop_map(Step::Yield),
        (0u32..6, 0u32..120).prop_map(|(id, percent)| Step::Cap(id, percent)),
        (0u32..3).prop_map(Step::Reschedule),
        (0u64..30 * MS).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_sequence_keeps_the_books(steps in prop::collection::vec(step(), 1..80)) {
        let mut machine = Machine::new(3, 8);
        for _ in 0..6 {
            machine.add(Behaviour::Spin, 256);
        }
        let mut stopped = [false; 6];
        for step in steps {
            apply(&mut machine, step, &mut stopped);
            let members: usize = (0..6).map(|id| machine.queues.iter().filter(|queue| queue.has(EntityId(id))).count()).sum();
            prop_assert_eq!(members, 6, "every entity is in one queue");
            for queue in &machine.queues {
                prop_assert_eq!(machine.board.load(queue.cpu()), queue.load());
                prop_assert_eq!(machine.board.idle() & 1 << queue.cpu() != 0, queue.load().runnable == 0);
            }
        }
        // When all is said, everyone who is not stopped runs again, and nobody else. Weights are made equal: of 1 and
        // 5,000, the lighter one's next turn may come after minutes, by right.
        for id in 0..6 {
            apply(&mut machine, Step::Weight(id, 256), &mut stopped);
        }
        for cpu in 0..3 {
            machine.reschedule(cpu);
        }
        for (id, share) in machine.shares(3 * SECOND).into_iter().enumerate() {
            prop_assert_eq!(share > 0.0, !stopped[id], "{}: {}", id, share);
        }
    }
}

fn apply(machine: &mut Machine, step: Step, stopped: &mut [bool; 6]) {
    let cpu_of = |machine: &Machine, id: u32| machine.vcpus[id as usize].cpu;
    match step {
        Step::Stop(id) => {
            let cpu = cpu_of(machine, id);
            stopped[id as usize] = true;
            if machine.queues[cpu as usize].stop(EntityId(id), machine.now) == Stop::Reschedule {
                machine.reschedule(cpu);
            }
        }
        Step::Wake(id) => {
            stopped[id as usize] = false;
            machine.wake(EntityId(id));
        }
        Step::Affinity(id, cpus) => {
            let cpu = cpu_of(machine, id);
            match machine.queues[cpu as usize].set_affinity(EntityId(id), on(cpus)) {
                AffinityChange::Done => {}
                AffinityChange::Move(entity) => {
                    let to = machine.board.place(entity.affinity(), entity.weight(), cpu);
                    machine.attach(entity, to);
                }
                AffinityChange::Reschedule => machine.reschedule(cpu),
                AffinityChange::Absent => panic!("the simulation knows where everyone is"),
            }
        }
        Step::Weight(id, weight) => {
            let (cpu, now) = (cpu_of(machine, id), machine.now);
            machine.queues[cpu as usize].set_weight(EntityId(id), Weight::new(weight).unwrap(), now);
        }
        Step::Yield(cpu) => {
            machine.queues[cpu as usize].yield_current();
            machine.reschedule(cpu);
        }
        Step::Cap(id, percent) => {
            let (cpu, now) = (cpu_of(machine, id), machine.now);
            let pool = (percent != 0).then(|| CapPool::new(percent, 0));
            machine.queues[cpu as usize].set_cap(EntityId(id), pool, now);
            machine.reschedule(cpu);
        }
        Step::Reschedule(cpu) => machine.reschedule(cpu),
        Step::Wait(time) => machine.run_until(machine.now + time),
    }
}

#[test]
fn who_has_not_been_saved_stays() {
    let board = Board::new();
    let mut queues: Vec<_> = (0..2)
        .map(|cpu| {
            board.set_online(cpu);
            let mut queue = Queue::new(cpu, board.clone());
            queue.reserve(2).unwrap();
            queue
        })
        .collect();
    let queue = &mut queues[0];
    for id in 0..2 {
        let entity = Entity::new(EntityId(id), Weight::DEFAULT, on(0b11), None);
        let _ = queue.attach(entity, 0).unwrap();
    }
    let (first, second) = (EntityId(0), EntityId(1));
    assert!(matches!(queue.wake(first, 0), Wake::Here(_)));
    assert_eq!(queue.pick_next(0).entity, Some(first));
    // It blocks, and its registers stay where they are, because nobody comes.
    let _ = queue.stop(first, 1);
    assert_eq!(queue.pick_next(1).entity, None);
    assert!(matches!(queue.wake(second, 2), Wake::Here(_)));
    assert_eq!(queue.pick_next(2).entity, Some(second));
    // Woken before the CPU has put them away: it waits here, though the other CPU is idle, and nobody may take it.
    assert!(matches!(queue.wake(first, 3), Wake::Here(_)));
    assert!(queue.detach(first).is_none() && queue.steal(1).is_none());
    assert!(queue.switched().is_none());
    assert!(queue.steal(1).is_some_and(|entity| entity.id() == first && entity.is_ready()));
}
