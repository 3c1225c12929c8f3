//! Every operation, its results and each of its errors.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::{Arc, atomic::Ordering::SeqCst};

use abi::{DomainId, Errno, Pirq, Port, VcpuId, Virq};
use common::*;
use event_channels::{
    ConsumerId, GlobalVirqs, InfoPlace, Limits, PirqRaise, PirqSharing, PortKind, Progress, ResetStart, UpcallMask,
    VcpuInfo,
};

const DOM0: DomainId = DomainId(0);
const DOM1: DomainId = DomainId(1);

fn error<T>(result: abi::Result<T>) -> Errno {
    result.err().expect("an error")
}

#[test]
fn the_lowest_free_port_comes_first_and_port_zero_never() {
    let domain = Domain::new(1, 1);
    let ports: Vec<u32> = (0..70).map(|_| domain.ports.alloc_unbound(DOM0).unwrap().0).collect();
    assert_eq!(ports, (1..71).collect::<Vec<_>>());
    close(&domain, Port(65)).unwrap();
    close(&domain, Port(3)).unwrap();
    assert_eq!(domain.ports.alloc_unbound(DOM0), Ok(Port(3)));
    assert_eq!(domain.ports.alloc_unbound(DOM0), Ok(Port(65)));
    assert_eq!(domain.ports.alloc_unbound(DOM0), Ok(Port(71)));
    assert_eq!(domain.ports.status(Port(0)).unwrap().kind, PortKind::Closed);
    assert_eq!(error(close(&domain, Port(0))), Errno::EINVAL);
    assert_eq!(error(domain.ports.send(Port(0))), Errno::EINVAL);
}

#[test]
fn ports_are_valid_by_the_bucket() {
    let domain = Domain::new(1, 1);
    assert_eq!(domain.ports.status(Port(63)).unwrap().kind, PortKind::Closed);
    for port in [64, 4096, 131_071, 131_072, u32::MAX] {
        let port = Port(port);
        assert_eq!(error(domain.ports.status(port)), Errno::EINVAL);
        assert_eq!(error(domain.ports.unmask(port)), Errno::EINVAL);
        assert_eq!(error(domain.ports.is_pending(port)), Errno::EINVAL);
        assert_eq!(error(domain.ports.send(port)), Errno::EINVAL);
        assert_eq!(error(domain.ports.set_priority(port, 0)), Errno::EINVAL);
        assert_eq!(error(domain.ports.bind_vcpu(port, VcpuId(0), &FakePirqs::default())), Errno::EINVAL);
        assert_eq!(error(close(&domain, port)), Errno::EINVAL);
    }
    assert!(domain.ports.unmask(Port(63)).unwrap().is_nobody());
    assert_eq!(error(domain.ports.is_pending(Port(63))), Errno::EINVAL, "free: nothing to poll");
}

#[test]
fn limits_end_allocation() {
    let domain = Domain::with_limits(1, Limits { vcpus: 1, max_port: 100, pirqs: 0 });
    for expected in 1..=100 {
        assert_eq!(domain.ports.alloc_unbound(DOM0), Ok(Port(expected)));
    }
    assert_eq!(error(domain.ports.alloc_unbound(DOM0)), Errno::ENOSPC);
    assert_eq!(error(domain.ports.bind_ipi(VcpuId(0))), Errno::ENOSPC);
    assert_eq!(error(domain.ports.bind_virq(Virq::TIMER, VcpuId(0))), Errno::ENOSPC);
    assert_eq!(error(domain.ports.bind_interdomain(&domain.ports, Port(1))), Errno::ENOSPC);
    // The failed attempts left nothing behind.
    close(&domain, Port(7)).unwrap();
    assert_eq!(domain.ports.bind_virq(Virq::TIMER, VcpuId(0)), Ok(Port(7)));

    let two_level = Domain::new(2, 1);
    let count = (0..).take_while(|_| two_level.ports.alloc_unbound(DOM0).is_ok()).count();
    assert_eq!(count, 4095);
    assert_eq!(error(two_level.ports.alloc_unbound(DOM0)), Errno::ENOSPC);
    assert_eq!(error(two_level.ports.bind_interdomain(&domain.ports, Port(1))), Errno::ENOSPC);
    assert_eq!(domain.ports.status(Port(1)).unwrap().kind, PortKind::Unbound(DOM0));
}

#[test]
fn interdomain_life() {
    let (front, back) = (Domain::new(1, 2), Domain::new(0, 2));
    let offered = front.ports.alloc_unbound(DOM0).unwrap();
    assert_eq!(front.ports.status(offered).unwrap().kind, PortKind::Unbound(DOM0));
    assert!(front.ports.send(offered).unwrap().is_nobody(), "unbound swallows");
    assert_eq!(error(front.ports.bind_interdomain(&front.ports, offered)), Errno::EINVAL, "waits for dom0, not for us");
    assert_eq!(error(back.ports.bind_interdomain(&front.ports, Port(9))), Errno::EINVAL, "free");
    assert_eq!(error(back.ports.bind_interdomain(&front.ports, Port(900))), Errno::EINVAL, "invalid");

    let (bound, wake) = back.ports.bind_interdomain(&front.ports, offered).unwrap();
    assert_eq!(woken(wake), [(0, 0)]);
    assert!(back.pending(bound), "pending from the start");
    assert_eq!(back.ports.status(bound).unwrap().kind, PortKind::Interdomain(DOM1, offered));
    assert_eq!(front.ports.status(offered).unwrap().kind, PortKind::Interdomain(DOM0, bound));
    assert_eq!(error(back.ports.bind_interdomain(&front.ports, offered)), Errno::EINVAL, "taken");

    assert_eq!(woken(back.ports.send(bound).unwrap()), [(1, 0)]);
    assert!(front.pending(offered));
    assert!(back.ports.send(bound).unwrap().is_nobody(), "already pending");

    close(&back, bound).unwrap();
    assert!(!back.pending(bound), "closing wipes the event");
    assert_eq!(front.ports.status(offered).unwrap().kind, PortKind::Unbound(DOM0), "not closed: waits for the closer");
    assert!(front.ports.send(offered).unwrap().is_nobody());
    let (again, _) = back.ports.bind_interdomain(&front.ports, offered).unwrap();
    close(&front, offered).unwrap();
    assert_eq!(back.ports.status(again).unwrap().kind, PortKind::Unbound(DOM1));
    assert_eq!(error(close(&front, offered)), Errno::EINVAL, "closed");
    teardown(&front);
    teardown(&back);
}

#[test]
fn a_pair_inside_one_domain() {
    let domain = Domain::new(1, 2);
    let (near, far) = pair(&domain, &domain);
    assert_eq!(woken(domain.ports.send(near).unwrap()), [(1, 0)]);
    assert!(domain.pending(far) && !domain.pending(near));
    close(&domain, near).unwrap();
    assert_eq!(domain.ports.status(far).unwrap().kind, PortKind::Unbound(DOM1));
    // The port that would be allocated is not one to bind to.
    assert_eq!(error(domain.ports.bind_interdomain(&domain.ports, near)), Errno::EINVAL);
    let probe = Arc::downgrade(&domain.ports);
    let (_, wake) = domain.ports.bind_interdomain(&domain.ports, far).unwrap();
    drop(wake);
    drop(domain);
    assert!(probe.upgrade().is_none(), "a loop-back pair does not keep its domain alive");
}

#[test]
fn virqs() {
    let domain = Domain::new(0, 2);
    for (virq, vcpu, errno) in [
        (Virq(24), 0, Errno::EINVAL),
        (Virq(u32::MAX), 0, Errno::EINVAL),
        (Virq::CONSOLE, 1, Errno::EINVAL),
        (Virq(5), 1, Errno::EINVAL),
        (Virq::TIMER, 2, Errno::ENOENT),
        (Virq::CONSOLE, u32::MAX, Errno::EINVAL),
    ] {
        assert_eq!(error(domain.ports.bind_virq(virq, VcpuId(vcpu))), errno, "{virq} {vcpu}");
    }
    let timer0 = domain.ports.bind_virq(Virq::TIMER, VcpuId(0)).unwrap();
    let timer1 = domain.ports.bind_virq(Virq::TIMER, VcpuId(1)).unwrap();
    let console = domain.ports.bind_virq(Virq::CONSOLE, VcpuId(0)).unwrap();
    assert_eq!(error(domain.ports.bind_virq(Virq::TIMER, VcpuId(1))), Errno::EEXIST);
    assert_eq!(error(domain.ports.bind_virq(Virq::CONSOLE, VcpuId(0))), Errno::EEXIST);
    assert_eq!(woken(domain.ports.raise_virq(VcpuId(1), Virq::TIMER)), [(0, 1)]);
    assert!(domain.pending(timer1) && !domain.pending(timer0));
    assert_eq!(error(domain.ports.send(timer1)), Errno::EINVAL);
    let none = FakePirqs::default();
    assert_eq!(error(domain.ports.bind_vcpu(timer1, VcpuId(0), &none)), Errno::EINVAL);
    assert_eq!(error(domain.ports.bind_vcpu(console, VcpuId(2), &none)), Errno::ENOENT);
    domain.ports.bind_vcpu(console, VcpuId(1), &none).unwrap();
    domain.take_upcall(1);
    domain.shared.vcpu_info[1].pending_selector.store(0, SeqCst);
    assert_eq!(woken(domain.ports.raise_virq(VcpuId(0), Virq::CONSOLE)), [(0, 1)], "a global VIRQ follows its port");
    assert!(domain.ports.raise_virq(VcpuId(0), Virq::DOM_EXC).is_nobody(), "not bound");
    assert!(domain.ports.raise_virq(VcpuId(7), Virq::TIMER).is_nobody(), "no such vCPU");
    assert!(domain.ports.raise_virq(VcpuId(0), Virq(99)).is_nobody());
    close(&domain, timer1).unwrap();
    assert!(domain.ports.raise_virq(VcpuId(1), Virq::TIMER).is_nobody());
    assert!(!domain.pending(timer1));
    assert_eq!(domain.ports.bind_virq(Virq::TIMER, VcpuId(1)), Ok(timer1), "may be bound again, and the other stayed");
    assert_eq!(domain.ports.status(timer0).unwrap().kind, PortKind::Virq(Virq::TIMER));
}

#[test]
fn global_virqs_find_their_domain() {
    let (hardware, other) = (Domain::new(0, 1), Domain::new(1, 1));
    let virqs = GlobalVirqs::<Fake>::default();
    let hears = |domain: &Domain| virqs.is_heard_by(Virq::DOM_EXC, &domain.ports, &hardware.ports);
    assert!(!hears(&hardware), "not bound");
    hardware.ports.bind_virq(Virq::DOM_EXC, VcpuId(0)).unwrap();
    other.ports.bind_virq(Virq::DOM_EXC, VcpuId(0)).unwrap();
    assert_eq!(error(virqs.set_handler(Virq::TIMER, other.ports.clone())), Errno::EINVAL);
    assert_eq!(error(virqs.set_handler(Virq(24), other.ports.clone())), Errno::EINVAL);
    assert_eq!(woken(virqs.raise(Virq::DOM_EXC, &hardware.ports)), [(0, 0)]);
    assert_eq!((hears(&hardware), hears(&other)), (true, false));
    virqs.set_handler(Virq::DOM_EXC, other.ports.clone()).unwrap();
    assert_eq!(woken(virqs.raise(Virq::DOM_EXC, &hardware.ports)), [(1, 0)]);
    assert_eq!((hears(&hardware), hears(&other)), (false, true));
    virqs.forget(&other.ports);
    hardware.clear_pending(Port(1));
    hardware.take_upcall(0);
    hardware.shared.vcpu_info[0].pending_selector.store(0, SeqCst);
    assert_eq!(woken(virqs.raise(Virq::DOM_EXC, &hardware.ports)), [(0, 0)]);
    assert_eq!(Arc::strong_count(&other.ports), 1);
}

#[test]
fn ipis() {
    let domain = Domain::new(1, 2);
    assert_eq!(error(domain.ports.bind_ipi(VcpuId(2))), Errno::ENOENT);
    let port = domain.ports.bind_ipi(VcpuId(1)).unwrap();
    assert_eq!(woken(domain.ports.send(port).unwrap()), [(1, 1)]);
    assert_eq!(error(domain.ports.bind_vcpu(port, VcpuId(0), &FakePirqs::default())), Errno::EINVAL);
    let status = domain.ports.status(port).unwrap();
    assert_eq!((status.kind, status.vcpu), (PortKind::Ipi, VcpuId(1)));
}

#[test]
fn physical_interrupts() {
    let domain = Domain::new(0, 2);
    let control = FakePirqs::default();
    let bind = |pirq| domain.ports.bind_pirq(Pirq(pirq), PirqSharing::Shared, &control);
    assert_eq!(error(bind(16)), Errno::EINVAL);
    assert_eq!(error(bind(9)), Errno::EPERM);
    assert!(matches!(domain.ports.raise_pirq(Pirq(3)), PirqRaise::Unbound));
    assert!(matches!(domain.ports.raise_pirq(Pirq(300)), PirqRaise::Unbound));
    let port = bind(3).unwrap();
    assert_eq!(error(bind(3)), Errno::EEXIST);
    assert_eq!(domain.ports.pirq_port(Pirq(3)), Some(port));
    let PirqRaise::Delivered(wake) = domain.ports.raise_pirq(Pirq(3)) else { panic!("bound") };
    assert_eq!(woken(wake), [(0, 0)]);
    domain.ports.bind_vcpu(port, VcpuId(1), &control).unwrap();
    domain.ports.bind_vcpu(port, VcpuId(1), &control).unwrap();
    assert_eq!(error(domain.ports.send(port)), Errno::EINVAL);
    close(&domain, port).unwrap();
    assert_eq!(domain.ports.pirq_port(Pirq(3)), None);
    assert!(!domain.pending(port));
    assert_eq!(*control.calls.borrow(), ["bind 3 Shared", "move 3 1"]);

    let refusing = FakePirqs { refuse: Some(Errno::EBUSY), ..FakePirqs::default() };
    assert_eq!(error(domain.ports.bind_pirq(Pirq(4), PirqSharing::Exclusive, &refusing)), Errno::EBUSY);
    assert_eq!(domain.ports.pirq_port(Pirq(4)), None);
    assert_eq!(domain.ports.status(port).unwrap().kind, PortKind::Closed);
    assert_eq!(domain.ports.ports_in_use(), 0);
}

#[test]
fn the_hypervisors_own_ports() {
    let (subject, manager) = (Domain::new(1, 2), Domain::new(0, 1));
    let consumer = ConsumerId::new(3).unwrap();
    let own = subject.ports.alloc_for_hypervisor(VcpuId(1), DOM0, consumer).unwrap();
    assert_eq!(error(subject.ports.alloc_for_hypervisor(VcpuId(5), DOM0, consumer)), Errno::ENOENT);
    assert!(subject.ports.notify_from_hypervisor(own).is_nobody(), "nobody bound yet");
    let (bound, _) = manager.ports.bind_interdomain(&subject.ports, own).unwrap();
    assert_eq!(woken(manager.ports.send(bound).unwrap()), [(1, 1003)], "the consumer is called");
    assert!(!subject.pending(own));
    manager.clear_pending(bound);
    manager.take_upcall(0);
    manager.shared.vcpu_info[0].pending_selector.store(0, SeqCst);
    assert_eq!(woken(subject.ports.notify_from_hypervisor(own)), [(0, 0)]);
    let none = FakePirqs::default();
    assert_eq!(error(subject.ports.send(own)), Errno::EINVAL);
    assert_eq!(error(close(&subject, own)), Errno::EINVAL);
    assert_eq!(error(subject.ports.bind_vcpu(own, VcpuId(0), &none)), Errno::EINVAL);
    assert_eq!(error(subject.ports.status(own)), Errno::EACCES);
    assert_eq!(subject.ports.describe(own).unwrap().kind, PortKind::Interdomain(DOM0, bound));
    assert!(subject.ports.unmask(own).unwrap().is_nobody());
    assert_eq!(error(subject.ports.close_for_hypervisor(Port(2), &none)), Errno::EINVAL);
    // A guest's reset leaves them alone.
    assert_eq!(subject.ports.reset(ResetStart::Fresh, &none, || false), Ok(Progress::Done));
    assert_eq!(subject.ports.ports_in_use(), 1);
    subject.ports.close_for_hypervisor(own, &none).unwrap();
    assert_eq!(subject.ports.ports_in_use(), 0);
    assert_eq!(manager.ports.status(bound).unwrap().kind, PortKind::Unbound(DOM1));
}

#[test]
fn closing_resets_vcpu_and_event() {
    let (domain, other) = (Domain::new(1, 2), Domain::new(0, 1));
    let (port, far) = pair(&domain, &other);
    domain.ports.bind_vcpu(port, VcpuId(1), &FakePirqs::default()).unwrap();
    domain.mask(port);
    assert!(other.ports.send(far).unwrap().is_nobody(), "masked");
    assert!(domain.pending(port));
    close(&domain, port).unwrap();
    assert!(!domain.pending(port));
    let again = domain.ports.alloc_unbound(DOM0).unwrap();
    assert_eq!((again, domain.ports.status(again).unwrap().vcpu), (port, VcpuId(0)));
    assert_eq!(domain.ports.is_masked(again), Ok(true), "the mask is the guest's");
}

#[test]
fn reset_in_steps() {
    let (domain, other) = (Domain::new(1, 1), Domain::new(0, 1));
    let none = FakePirqs::default();
    let pairs: Vec<_> = (0..200).map(|_| pair(&domain, &other)).collect();
    let timer = domain.ports.bind_virq(Virq::TIMER, VcpuId(0)).unwrap();
    assert_eq!(error(domain.ports.reset(ResetStart::Continued, &none, || true)), Errno::EBUSY, "nothing to continue");
    assert_eq!(domain.ports.reset(ResetStart::Fresh, &none, || true), Ok(Progress::Preempted));
    assert_eq!(domain.ports.ports_in_use(), 201 - 63, "one bucket at a time");
    assert_eq!(error(domain.ports.reset(ResetStart::Fresh, &none, || true)), Errno::EBUSY);
    let mut steps = 1;
    while domain.ports.reset(ResetStart::Continued, &none, || true) == Ok(Progress::Preempted) {
        steps += 1;
    }
    assert!(steps >= 4);
    assert_eq!(domain.ports.ports_in_use(), 0);
    assert!(pairs.iter().all(|(_, far)| other.ports.status(*far).unwrap().kind == PortKind::Unbound(DOM1)));
    assert!(domain.ports.raise_virq(VcpuId(0), Virq::TIMER).is_nobody());
    assert_eq!(domain.ports.status(timer).unwrap().kind, PortKind::Closed);
    assert_eq!(Arc::strong_count(&other.ports), 1, "references are gone");

    // A port bound behind the reset's back.
    for _ in 0..70 {
        domain.ports.alloc_unbound(DOM0).unwrap();
    }
    assert_eq!(domain.ports.reset(ResetStart::Fresh, &none, || true), Ok(Progress::Preempted));
    domain.ports.alloc_unbound(DOM0).unwrap();
    assert_eq!(error(domain.ports.reset(ResetStart::Continued, &none, || false)), Errno::EAGAIN);
    assert_eq!(domain.ports.reset(ResetStart::Fresh, &none, || false), Ok(Progress::Done));
}

#[test]
fn teardown_leaves_nothing() {
    let (domain, other) = (Domain::new(1, 2), Domain::new(0, 1));
    let none = FakePirqs::default();
    let (_, far) = pair(&domain, &other);
    for _ in 0..300 {
        domain.ports.alloc_unbound(DOM0).unwrap();
    }
    let own = domain.ports.alloc_for_hypervisor(VcpuId(0), DOM0, ConsumerId::new(1).unwrap()).unwrap();
    let mut steps = 0;
    while domain.ports.teardown(&none, || true) == Progress::Preempted {
        steps += 1;
        assert_eq!(error(domain.ports.alloc_unbound(DOM0)), Errno::EINVAL, "dying");
    }
    assert!(steps >= 5);
    assert_eq!(domain.ports.teardown(&none, || true), Progress::Done, "done again, it does nothing");
    assert_eq!(domain.ports.ports_in_use(), 0);
    assert_eq!(other.ports.status(far).unwrap().kind, PortKind::Unbound(DOM1));
    assert!(other.ports.send(far).unwrap().is_nobody());
    assert_eq!(error(other.ports.bind_interdomain(&domain.ports, own)), Errno::EINVAL);
    domain.ports.release_vcpu_infos();
    assert_eq!(domain.ports.info_place(VcpuId(0)), Ok(InfoPlace::Released));
    let probe = Arc::downgrade(&domain.ports);
    drop(domain);
    assert!(probe.upgrade().is_none());
}

#[test]
fn moving_a_vcpus_block() {
    let domain = Domain::new(1, 34);
    let timer = domain.ports.bind_virq(Virq::TIMER, VcpuId(0)).unwrap();
    domain.shared.vcpu_info[0].cr2.store(0x1234, SeqCst);
    let own = Arc::new(VcpuInfo::default());
    domain.ports.move_vcpu_info(VcpuId(0), InfoGuard::Own(own.clone())).unwrap();
    assert_eq!(own.cr2.load(SeqCst), 0x1234, "content is taken over");
    assert_eq!(own.upcall_mask(), UpcallMask::Open, "the mask too");
    assert_eq!((own.pending_selector.load(SeqCst), own.upcall_pending()), (u64::MAX, true));
    assert_eq!(domain.ports.info_place(VcpuId(0)), Ok(InfoPlace::Registered));
    assert_eq!(error(domain.ports.move_vcpu_info(VcpuId(0), InfoGuard::Own(own.clone()))), Errno::EINVAL, "once");
    assert_eq!(error(domain.ports.move_vcpu_info(VcpuId(34), InfoGuard::Own(own.clone()))), Errno::ENOENT);
    own.upcall_pending.store(0, SeqCst);
    own.pending_selector.store(0, SeqCst);
    assert_eq!(woken(domain.ports.raise_virq(VcpuId(0), Virq::TIMER)), [(1, 0)]);
    assert!(own.upcall_pending() && !domain.take_upcall(0), "events go to the new place; {timer}");

    assert_eq!(domain.ports.info_place(VcpuId(33)), Ok(InfoPlace::Dummy));
    let late = Arc::new(VcpuInfo::default());
    domain.ports.move_vcpu_info(VcpuId(33), InfoGuard::Own(late.clone())).unwrap();
    assert_eq!(late.upcall_mask(), UpcallMask::Masked, "it replaced the dummy");
    assert!(!late.upcall_due());
}

#[test]
fn upcall_helpers() {
    let info = VcpuInfo::default();
    assert!(!info.upcall_due() && !info.begin_upcall());
    info.upcall_pending.store(0x80, SeqCst);
    assert!(info.upcall_due() && info.begin_upcall());
    assert_eq!(info.upcall_mask(), UpcallMask::Masked);
    assert!(!info.upcall_due() && !info.begin_upcall() && info.upcall_pending());
    info.set_upcall_mask(UpcallMask::Open);
    assert!(info.upcall_due());
    info.upcall_mask.store(0x40, SeqCst);
    assert!(!info.upcall_due(), "any nonzero mask");
}

#[test]
fn polling() {
    let domain = Domain::new(1, 4);
    let ports: Vec<Port> = (0..4).map(|vcpu| domain.ports.bind_ipi(VcpuId(vcpu)).unwrap()).collect();
    for port in &ports {
        domain.mask(*port);
    }
    assert_eq!(error(domain.ports.begin_poll(VcpuId(4))), Errno::ENOENT);
    domain.ports.begin_poll(VcpuId(2)).unwrap();
    domain.ports.poll_only(VcpuId(2), ports[2]);
    assert!(woken(domain.ports.send(ports[1]).unwrap()).is_empty(), "masked, and not what vCPU 2 polls");
    assert_eq!(woken(domain.ports.send(ports[2]).unwrap()), [(1, 2)], "polling ignores masks");
    assert_eq!(domain.ports.is_pending(ports[2]), Ok(true));
    domain.ports.end_poll(VcpuId(2));
    domain.clear_pending(ports[2]);
    assert!(woken(domain.ports.send(ports[2]).unwrap()).is_empty(), "the poll is over");

    // Several pollers, one of them for any port, and an upcall besides.
    for vcpu in [1, 2, 3] {
        domain.ports.begin_poll(VcpuId(vcpu)).unwrap();
    }
    domain.ports.poll_only(VcpuId(1), ports[0]);
    domain.ports.poll_only(VcpuId(2), ports[3]);
    domain.shared.mask[0].store(0, SeqCst);
    assert_eq!(woken(domain.ports.send(ports[0]).unwrap()), [(1, 0), (1, 1), (1, 3)]);
    domain.clear_pending(ports[0]);
    assert!(woken(domain.ports.send(ports[0]).unwrap()).is_empty(), "woken pollers are off the list");
    domain.ports.end_poll(VcpuId(2));
    assert_eq!(error(domain.ports.is_pending(Port(0))), Errno::EINVAL);
}
