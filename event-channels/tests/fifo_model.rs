//! The FIFO ABI against lists: random sends, masks, moves and priorities, with a guest that consumes now and then.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::{collections::VecDeque, sync::atomic::Ordering::SeqCst};

use abi::{Port, VcpuId};
use common::{fifo_guest::*, *};
use proptest::prelude::*;

const PORTS: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Op {
    Send(usize),
    Mask(usize),
    Unmask(usize),
    Move(usize, u32),
    Priority(usize, u32),
    Consume(u32),
}

#[derive(Clone, Copy, Default)]
struct Event {
    pending: bool,
    masked: bool,
    linked: bool,
    vcpu: u32,
    priority: u32,
}

#[derive(Default)]
struct Model {
    events: [Event; PORTS],
    queues: [[VecDeque<usize>; 16]; 2],
    upcall: [bool; 2],
}

impl Model {
    fn raise(&mut self, index: usize) -> Vec<(u16, u32)> {
        let event = &mut self.events[index];
        event.pending = true;
        if event.masked || event.linked {
            return Vec::new();
        }
        event.linked = true;
        let queue = &mut self.queues[event.vcpu as usize][event.priority as usize];
        queue.push_back(index);
        let first = queue.len() == 1 && !std::mem::replace(&mut self.upcall[event.vcpu as usize], true);
        if first { vec![(1, event.vcpu)] } else { Vec::new() }
    }

    fn unmask(&mut self, index: usize) -> Vec<(u16, u32)> {
        self.events[index].masked = false;
        if self.events[index].pending { self.raise(index) } else { Vec::new() }
    }

    fn consume(&mut self, vcpu: u32) -> Vec<usize> {
        self.upcall[vcpu as usize] = false;
        let order: Vec<usize> = self.queues[vcpu as usize].iter_mut().flat_map(|queue| queue.drain(..)).collect();
        let mut taken = Vec::new();
        for index in order {
            let event = &mut self.events[index];
            event.linked = false;
            if event.pending && !event.masked {
                event.pending = false;
                taken.push(index);
            }
        }
        taken
    }
}

fn any_op() -> impl Strategy<Value = Op> {
    let port = 0..PORTS;
    prop_oneof![
        4 => port.clone().prop_map(Op::Send),
        1 => port.clone().prop_map(Op::Mask),
        2 => port.clone().prop_map(Op::Unmask),
        1 => (port.clone(), 0..2u32).prop_map(|(port, vcpu)| Op::Move(port, vcpu)),
        1 => (port, prop::sample::select(vec![0, 7, 8, 15])).prop_map(|(port, priority)| Op::Priority(port, priority)),
        2 => (0..2u32).prop_map(Op::Consume),
    ]
}

fn run(ops: &[Op]) {
    let (mut guest, back) = (Guest::new(1, 2), Domain::new(0, 1));
    let ports: Vec<(Port, Port)> = (0..PORTS).map(|_| pair(&guest.domain, &back)).collect();
    let _ = guest.consume(0);
    let mut model = Model::default();
    model.events.iter_mut().for_each(|event| event.priority = 7);
    for (step, op) in ops.iter().enumerate() {
        let (real, expected) = match *op {
            Op::Send(index) => (woken(back.ports.send(ports[index].1).unwrap()), model.raise(index)),
            Op::Unmask(index) => (woken(guest.domain.ports.unmask(ports[index].0).unwrap()), model.unmask(index)),
            Op::Mask(index) => {
                guest.word(ports[index].0).fetch_or(MASKED, SeqCst);
                model.events[index].masked = true;
                continue;
            }
            Op::Move(index, vcpu) => {
                guest.domain.ports.bind_vcpu(ports[index].0, VcpuId(vcpu), &FakePirqs::default()).unwrap();
                model.events[index].vcpu = vcpu;
                continue;
            }
            Op::Priority(index, priority) => {
                guest.domain.ports.set_priority(ports[index].0, priority).unwrap();
                model.events[index].priority = priority;
                continue;
            }
            Op::Consume(vcpu) => {
                let expected: Vec<u32> = model.consume(vcpu).iter().map(|index| ports[*index].0.0).collect();
                assert_eq!(guest.consume(vcpu), expected, "last of {:?}", &ops[..=step]);
                continue;
            }
        };
        assert_eq!(real, expected, "last of {:?}", &ops[..=step]);
    }
    teardown(&guest.domain);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn queues_behave_like_lists(ops in prop::collection::vec(any_op(), 1..120)) {
        run(&ops);
    }
}
