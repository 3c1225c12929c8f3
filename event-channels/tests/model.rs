//! The ports against a model that is simple enough to be read: two domains of two vCPUs, 2-level ABI.
//!
//! Every operation of a small alphabet is tried in every state that the model reaches in a few steps, and random
//! sequences go further. After each step results, kicks, states of all ports and the guests' words must agree.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::atomic::Ordering::SeqCst,
};

use abi::{DomainId, Errno, Port, VcpuId, Virq};
use common::*;
use event_channels::{Limits, PortKind};
use proptest::prelude::*;

const HIGHEST_PORT: u32 = 4;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Op {
    Alloc {
        domain: usize,
        remote: usize,
    },
    Bind {
        domain: usize,
        remote: usize,
        port: u32,
    },
    BindVirq {
        domain: usize,
        virq: u32,
        vcpu: u32,
    },
    BindIpi {
        domain: usize,
        vcpu: u32,
    },
    Close {
        domain: usize,
        port: u32,
    },
    Send {
        domain: usize,
        port: u32,
    },
    Unmask {
        domain: usize,
        port: u32,
    },
    Move {
        domain: usize,
        port: u32,
        vcpu: u32,
    },
    Raise {
        domain: usize,
        virq: u32,
        vcpu: u32,
    },
    /// The guest masks a port by itself.
    GuestMask {
        domain: usize,
        port: u32,
    },
    /// The guest handles an upcall: takes the selector and all pending events that are not masked.
    GuestTake {
        domain: usize,
        vcpu: u32,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Kind {
    Unbound(usize),
    Pair(usize, u32),
    Virq(u32),
    Ipi,
}

#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
struct ModelDomain {
    ports: BTreeMap<u32, (Kind, u32)>,
    pending: BTreeSet<u32>,
    masked: BTreeSet<u32>,
    selected: [bool; 2],
    upcall: [bool; 2],
}

#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
struct Model([ModelDomain; 2]);

type Kicks = Vec<(u16, u32)>;
type Outcome = (Result<u32, Errno>, Kicks);

fn per_vcpu(virq: u32) -> bool {
    virq == Virq::TIMER.0
}

impl Model {
    fn free(&self, domain: usize) -> Result<u32, Errno> {
        (1..=HIGHEST_PORT).find(|port| !self.0[domain].ports.contains_key(port)).ok_or(Errno::ENOSPC)
    }

    fn set_pending(&mut self, domain: usize, port: u32) -> Kicks {
        let guest = &mut self.0[domain];
        if !guest.pending.insert(port) || guest.masked.contains(&port) { Vec::new() } else { self.select(domain, port) }
    }

    fn select(&mut self, domain: usize, port: u32) -> Kicks {
        let guest = &mut self.0[domain];
        let vcpu = guest.ports[&port].1;
        let selected = std::mem::replace(&mut guest.selected[vcpu as usize], true);
        if selected || std::mem::replace(&mut guest.upcall[vcpu as usize], true) {
            Vec::new()
        } else {
            vec![(domain as u16, vcpu)]
        }
    }

    fn find_virq(&self, domain: usize, virq: u32, vcpu: u32) -> Option<u32> {
        let found = |(kind, on): &(Kind, u32)| *kind == Kind::Virq(virq) && (!per_vcpu(virq) || *on == vcpu);
        self.0[domain].ports.iter().find(|(_, port)| found(port)).map(|(number, _)| *number)
    }

    fn apply(&mut self, op: Op) -> Outcome {
        let invalid = (Err(Errno::EINVAL), Vec::new());
        match op {
            Op::Alloc { domain, remote } => self.insert(domain, Kind::Unbound(remote), 0),
            Op::BindIpi { domain, vcpu } => self.insert(domain, Kind::Ipi, vcpu),
            Op::BindVirq { virq, vcpu, .. } if vcpu != 0 && !per_vcpu(virq) => invalid,
            Op::BindVirq { domain, virq, vcpu } if self.find_virq(domain, virq, vcpu).is_some() => {
                (Err(Errno::EEXIST), Vec::new())
            }
            Op::BindVirq { domain, virq, vcpu } => self.insert(domain, Kind::Virq(virq), vcpu),
            Op::Bind { domain, remote, port } => match (self.free(domain), self.0[remote].ports.get_mut(&port)) {
                (Err(errno), _) => (Err(errno), Vec::new()),
                (Ok(new), Some((kind, _))) if *kind == Kind::Unbound(domain) => {
                    *kind = Kind::Pair(domain, new);
                    self.0[domain].ports.insert(new, (Kind::Pair(remote, port), 0));
                    (Ok(new), self.set_pending(domain, new))
                }
                _ => invalid,
            },
            Op::Close { domain, port } => match self.0[domain].ports.remove(&port) {
                None => invalid,
                Some((kind, _)) => {
                    if let Kind::Pair(remote, far) = kind {
                        self.0[remote].ports.get_mut(&far).unwrap().0 = Kind::Unbound(domain);
                    }
                    self.0[domain].pending.remove(&port);
                    (Ok(0), Vec::new())
                }
            },
            Op::Send { domain, port } => match self.0[domain].ports.get(&port) {
                Some((Kind::Pair(remote, far), _)) => (Ok(0), self.set_pending(*remote, *far)),
                Some((Kind::Ipi, _)) => (Ok(0), self.set_pending(domain, port)),
                Some((Kind::Unbound(_), _)) => (Ok(0), Vec::new()),
                _ => invalid,
            },
            Op::Unmask { domain, port } => {
                let guest = &mut self.0[domain];
                let deliver =
                    guest.ports.contains_key(&port) && guest.masked.remove(&port) && guest.pending.contains(&port);
                (Ok(0), if deliver { self.select(domain, port) } else { Vec::new() })
            }
            Op::Move { domain, port, vcpu } => match self.0[domain].ports.get_mut(&port) {
                Some((Kind::Virq(virq), _)) if per_vcpu(*virq) => invalid,
                None | Some((Kind::Ipi, _)) => invalid,
                Some((_, on)) => {
                    *on = vcpu;
                    (Ok(0), Vec::new())
                }
            },
            Op::Raise { domain, virq, vcpu } => {
                let port = self.find_virq(domain, virq, vcpu);
                (Ok(0), port.map_or(Vec::new(), |port| self.set_pending(domain, port)))
            }
            Op::GuestMask { domain, port } => {
                self.0[domain].masked.insert(port);
                (Ok(0), Vec::new())
            }
            Op::GuestTake { domain, vcpu } => {
                let guest = &mut self.0[domain];
                guest.upcall[vcpu as usize] = false;
                if std::mem::take(&mut guest.selected[vcpu as usize]) {
                    guest.pending.retain(|port| guest.masked.contains(port));
                }
                (Ok(0), Vec::new())
            }
        }
    }

    fn insert(&mut self, domain: usize, kind: Kind, vcpu: u32) -> Outcome {
        let port = self.free(domain);
        if let Ok(port) = port {
            self.0[domain].ports.insert(port, (kind, vcpu));
        }
        (port, Vec::new())
    }
}

struct Real([Domain; 2]);

impl Real {
    fn new() -> Self {
        let limits = Limits { vcpus: 2, max_port: HIGHEST_PORT, pirqs: 0 };
        Self([Domain::with_limits(0, limits), Domain::with_limits(1, limits)])
    }

    fn apply(&self, op: Op) -> Outcome {
        let quiet = |result: abi::Result<Port>| (result.map(|port| port.0), Vec::new());
        let done = |result: abi::Result<()>| (result.map(|()| 0), Vec::new());
        let kicks = |result: abi::Result<_>| match result {
            Ok(wake) => (Ok(0), woken(wake)),
            Err(errno) => (Err(errno), Vec::new()),
        };
        match op {
            Op::Alloc { domain, remote } => quiet(self.0[domain].ports.alloc_unbound(DomainId(remote as u16))),
            Op::Bind { domain, remote, port } => {
                match self.0[domain].ports.bind_interdomain(&self.0[remote].ports, Port(port)) {
                    Ok((port, wake)) => (Ok(port.0), woken(wake)),
                    Err(errno) => (Err(errno), Vec::new()),
                }
            }
            Op::BindVirq { domain, virq, vcpu } => quiet(self.0[domain].ports.bind_virq(Virq(virq), VcpuId(vcpu))),
            Op::BindIpi { domain, vcpu } => quiet(self.0[domain].ports.bind_ipi(VcpuId(vcpu))),
            Op::Close { domain, port } => done(close(&self.0[domain], Port(port))),
            Op::Send { domain, port } => kicks(self.0[domain].ports.send(Port(port))),
            Op::Unmask { domain, port } => kicks(self.0[domain].ports.unmask(Port(port))),
            Op::Move { domain, port, vcpu } => {
                done(self.0[domain].ports.bind_vcpu(Port(port), VcpuId(vcpu), &FakePirqs::default()))
            }
            Op::Raise { domain, virq, vcpu } => {
                (Ok(0), woken(self.0[domain].ports.raise_virq(VcpuId(vcpu), Virq(virq))))
            }
            Op::GuestMask { domain, port } => {
                self.0[domain].mask(Port(port));
                (Ok(0), Vec::new())
            }
            Op::GuestTake { domain, vcpu } => {
                let domain = &self.0[domain];
                domain.take_upcall(vcpu);
                if domain.shared.vcpu_info[vcpu as usize].pending_selector.swap(0, SeqCst) != 0 {
                    let masked = domain.shared.mask[0].load(SeqCst);
                    domain.shared.pending[0].fetch_and(masked, SeqCst);
                }
                (Ok(0), Vec::new())
            }
        }
    }

    fn compare(&self, model: &Model, context: &dyn std::fmt::Debug) {
        for (real, model) in self.0.iter().zip(&model.0) {
            for port in 0..=HIGHEST_PORT + 1 {
                let status = real.ports.status(Port(port)).unwrap();
                let (kind, vcpu) = match model.ports.get(&port) {
                    None => (PortKind::Closed, 0),
                    Some((Kind::Unbound(remote), vcpu)) => (PortKind::Unbound(DomainId(*remote as u16)), *vcpu),
                    Some((Kind::Pair(remote, far), vcpu)) => {
                        (PortKind::Interdomain(DomainId(*remote as u16), Port(*far)), *vcpu)
                    }
                    Some((Kind::Virq(virq), vcpu)) => (PortKind::Virq(Virq(*virq)), *vcpu),
                    Some((Kind::Ipi, vcpu)) => (PortKind::Ipi, *vcpu),
                };
                assert_eq!((status.kind, status.vcpu), (kind, VcpuId(vcpu)), "port {port} after {context:?}");
                assert_eq!(real.pending(Port(port)), model.pending.contains(&port), "event {port} after {context:?}");
            }
            for vcpu in 0..2 {
                let info = &real.shared.vcpu_info[vcpu];
                let words = (info.pending_selector.load(SeqCst), info.upcall_pending.load(SeqCst));
                let expected = (u64::from(model.selected[vcpu]), u8::from(model.upcall[vcpu]));
                assert_eq!(words, expected, "vCPU {vcpu} after {context:?}");
            }
            assert_eq!(real.ports.ports_in_use() as usize, model.ports.len(), "after {context:?}");
        }
    }

    fn finish(self) {
        self.0.iter().for_each(teardown);
        for domain in &self.0 {
            assert_eq!(std::sync::Arc::strong_count(&domain.ports), 1);
        }
    }
}

fn run(ops: &[Op]) -> Model {
    let (real, mut model) = (Real::new(), Model::default());
    for (step, op) in ops.iter().enumerate() {
        assert_eq!(real.apply(*op), model.apply(*op), "last of {:?}", &ops[..=step]);
    }
    real.compare(&model, &ops);
    real.finish();
    model
}

fn alphabet() -> Vec<Op> {
    let mut ops = vec![
        Op::Alloc { domain: 0, remote: 1 },
        Op::Alloc { domain: 0, remote: 0 },
        Op::Alloc { domain: 1, remote: 0 },
        Op::Bind { domain: 1, remote: 0, port: 1 },
        Op::Bind { domain: 0, remote: 0, port: 1 },
        Op::Bind { domain: 0, remote: 1, port: 1 },
        Op::BindVirq { domain: 0, virq: Virq::TIMER.0, vcpu: 1 },
        Op::BindVirq { domain: 0, virq: Virq::CONSOLE.0, vcpu: 0 },
        Op::BindIpi { domain: 0, vcpu: 1 },
        Op::Raise { domain: 0, virq: Virq::TIMER.0, vcpu: 1 },
        Op::Raise { domain: 0, virq: Virq::CONSOLE.0, vcpu: 1 },
        Op::Move { domain: 0, port: 1, vcpu: 1 },
        Op::GuestTake { domain: 0, vcpu: 0 },
        Op::GuestTake { domain: 0, vcpu: 1 },
    ];
    for (domain, port) in [(0, 1), (0, 2), (1, 1)] {
        ops.extend([Op::Close { domain, port }, Op::Send { domain, port }]);
        ops.extend([Op::Unmask { domain, port }, Op::GuestMask { domain, port }]);
    }
    ops
}

#[test]
fn every_operation_in_every_small_state() {
    let mut seen: HashSet<Model> = HashSet::new();
    let mut frontier: Vec<Vec<Op>> = vec![Vec::new()];
    let mut tried = 0;
    for _ in 0..4 {
        let mut next = Vec::new();
        for path in &frontier {
            for op in alphabet() {
                let mut path = path.clone();
                path.push(op);
                tried += 1;
                if seen.insert(run(&path)) {
                    next.push(path);
                }
            }
        }
        frontier = next;
    }
    println!("{tried} sequences, {} states", seen.len());
    assert!(seen.len() > 1000);
}

fn any_op() -> impl Strategy<Value = Op> {
    let (domain, port, vcpu) = (0..2usize, 0..=HIGHEST_PORT + 1, 0..2u32);
    let virq = prop::sample::select(vec![Virq::TIMER.0, Virq::CONSOLE.0]);
    let place = (domain.clone(), port.clone());
    prop_oneof![
        (domain.clone(), domain.clone()).prop_map(|(domain, remote)| Op::Alloc { domain, remote }),
        (domain.clone(), domain.clone(), port).prop_map(|(domain, remote, port)| Op::Bind { domain, remote, port }),
        (domain.clone(), virq.clone(), vcpu.clone()).prop_map(|(domain, virq, vcpu)| Op::BindVirq {
            domain,
            virq,
            vcpu
        }),
        (domain.clone(), vcpu.clone()).prop_map(|(domain, vcpu)| Op::BindIpi { domain, vcpu }),
        place.clone().prop_map(|(domain, port)| Op::Close { domain, port }),
        place.clone().prop_map(|(domain, port)| Op::Send { domain, port }),
        place.clone().prop_map(|(domain, port)| Op::Send { domain, port }),
        place.clone().prop_map(|(domain, port)| Op::Unmask { domain, port }),
        (place.clone(), vcpu.clone()).prop_map(|((domain, port), vcpu)| Op::Move { domain, port, vcpu }),
        (domain.clone(), virq, vcpu.clone()).prop_map(|(domain, virq, vcpu)| Op::Raise { domain, virq, vcpu }),
        place.prop_map(|(domain, port)| Op::GuestMask { domain, port }),
        (domain, vcpu).prop_map(|(domain, vcpu)| Op::GuestTake { domain, vcpu }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn long_sequences(ops in prop::collection::vec(any_op(), 1..80)) {
        run(&ops);
    }
}
