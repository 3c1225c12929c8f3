//! The FIFO ABI against a guest that follows the rules, one that does not, and the change from and to the 2-level ABI.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use abi::{DomainId, Errno, Port, VcpuId, Virq};
use common::{fifo_guest::*, *};
use event_channels::{Progress, ResetStart};

fn error<T>(result: abi::Result<T>) -> Errno {
    result.err().expect("an error")
}

#[test]
fn setting_up() {
    let domain = Domain::new(1, 2);
    let page = new_page();
    let never = || panic!("nothing is to be pinned");
    assert_eq!(error(domain.ports.expand_array(never, drop)), Errno::EOPNOTSUPP);
    let port = domain.ports.alloc_unbound(DomainId(0)).unwrap();
    assert_eq!(error(domain.ports.set_priority(port, 3)), Errno::ENOSYS);
    assert_eq!(error(domain.ports.init_control(VcpuId(2), 0, never)), Errno::ENOENT);
    for offset in [1, 4, 4, 4096 - 64, 4096, u32::MAX, 4096 - 71] {
        assert_eq!(error(domain.ports.init_control(VcpuId(0), offset, never)), Errno::EINVAL, "{offset}");
    }
    assert_eq!(error(domain.ports.init_control(VcpuId(0), 0, || Err(Errno::EINVAL))), Errno::EINVAL);
    assert_eq!(error(domain.ports.set_priority(port, 3)), Errno::ENOSYS, "a failed first call changes nothing");
    domain.ports.init_control(VcpuId(0), 4096 - 72, || domain.pin(&page)).unwrap();
    assert_eq!(error(domain.ports.init_control(VcpuId(0), 0, never)), Errno::EINVAL, "once per vCPU");
    domain.ports.set_priority(port, 3).unwrap();
    assert_eq!(error(domain.ports.set_priority(port, 16)), Errno::EINVAL);
    assert_eq!(error(domain.ports.set_priority(Port(9), 16)), Errno::EACCES, "free");
    assert_eq!(error(domain.ports.expand_array(|| Err(Errno::EINVAL), drop)), Errno::EINVAL);
    for _ in 0..128 {
        domain.ports.expand_array(|| domain.pin(&page), drop).unwrap();
    }
    assert_eq!(error(domain.ports.expand_array(never, drop)), Errno::ENOSPC);
    assert_eq!(domain.pinned(), 129);
    teardown(&domain);
    assert_eq!(domain.pinned(), 0, "every page is given back");
}

#[test]
fn all_fifo_ports_can_be_had() {
    let guest = Guest::new(1, 1);
    for expected in 1..131_072 {
        assert_eq!(guest.domain.ports.alloc_unbound(DomainId(0)), Ok(Port(expected)));
    }
    assert_eq!(error(guest.domain.ports.alloc_unbound(DomainId(0))), Errno::ENOSPC);
    assert_eq!(error(guest.domain.ports.bind_virq(Virq::TIMER, VcpuId(0))), Errno::ENOSPC);
    let mut steps = 0;
    while guest.domain.ports.teardown(&FakePirqs::default(), || true) == Progress::Preempted {
        steps += 1;
    }
    assert_eq!(steps, 2048);
    assert_eq!(guest.domain.ports.ports_in_use(), 0);
}

#[test]
fn events_come_in_order_and_by_priority() {
    let mut guest = Guest::new(1, 1);
    let ports: Vec<Port> = (0..6).map(|_| guest.domain.ports.bind_ipi(VcpuId(0)).unwrap()).collect();
    guest.domain.ports.set_priority(ports[4], 0).unwrap();
    guest.domain.ports.set_priority(ports[5], 15).unwrap();
    let mut kicks = 0;
    for index in [2, 5, 0, 4, 1, 0] {
        kicks += woken(guest.domain.ports.send(ports[index]).unwrap()).len();
    }
    assert_eq!(kicks, 1, "one kick until the guest looks");
    assert_eq!(guest.word(ports[2]).load(SeqCst) & (LINKED | LINK), LINKED | ports[0].0);
    assert_eq!(guest.consume(0), [5, 3, 1, 2, 6]);
    assert_eq!(guest.consume(0), []);
    assert_eq!(woken(guest.domain.ports.send(ports[2]).unwrap()), [(1, 0)]);
    assert_eq!(guest.consume(0), [3]);
}

#[test]
fn masking() {
    let mut guest = Guest::new(1, 1);
    let port = guest.domain.ports.bind_ipi(VcpuId(0)).unwrap();
    guest.word(port).fetch_or(MASKED, SeqCst);
    assert!(guest.domain.ports.send(port).unwrap().is_nobody());
    assert_eq!(guest.word(port).load(SeqCst), PENDING | MASKED, "not linked");
    assert_eq!(guest.domain.ports.is_masked(port), Ok(true));
    assert_eq!(guest.domain.ports.is_pending(port), Ok(true));
    assert_eq!(woken(guest.domain.ports.unmask(port).unwrap()), [(1, 0)]);
    assert_eq!(guest.consume(0), [1]);
    assert!(guest.domain.ports.unmask(port).unwrap().is_nobody(), "nothing pending");
}

#[test]
fn moving_between_queues() {
    let mut guest = Guest::new(1, 3);
    let back = Domain::new(0, 1);
    let (port, far) = pair(&guest.domain, &back);
    let other = guest.domain.ports.bind_ipi(VcpuId(0)).unwrap();
    guest.consume(0);
    for (vcpu, priority) in [(0, 7), (1, 7), (1, 3), (2, 0), (0, 15), (0, 7)] {
        guest.domain.ports.bind_vcpu(port, VcpuId(vcpu), &FakePirqs::default()).unwrap();
        guest.domain.ports.set_priority(port, priority).unwrap();
        assert_eq!(woken(back.ports.send(far).unwrap()), [(1, vcpu)]);
        assert_eq!(guest.control[vcpu as usize][0].load(SeqCst), 1 << priority);
        // The old queue must not believe that the event is its tail still.
        assert_eq!(guest.consume(vcpu), [port.0]);
        let _ = guest.domain.ports.send(other).unwrap();
        assert_eq!(guest.consume(0), [other.0]);
    }
    // A change takes effect at the next linking, not before.
    assert_eq!(woken(back.ports.send(far).unwrap()), [(1, 0)]);
    guest.domain.ports.bind_vcpu(port, VcpuId(2), &FakePirqs::default()).unwrap();
    assert!(back.ports.send(far).unwrap().is_nobody());
    assert_eq!(guest.consume(0), [port.0]);
    assert_eq!(woken(back.ports.send(far).unwrap()), [(1, 2)]);
    assert_eq!(guest.consume(2), [port.0]);
}

#[test]
fn an_old_queue_forgets_a_tail_that_moved() {
    let mut guest = Guest::new(1, 2);
    let back = Domain::new(0, 1);
    let (port, far) = pair(&guest.domain, &back);
    let other = guest.domain.ports.bind_ipi(VcpuId(0)).unwrap();
    guest.consume(0);
    let _ = back.ports.send(far).unwrap();
    assert_eq!(guest.consume(0), [port.0]);
    guest.domain.ports.bind_vcpu(port, VcpuId(1), &FakePirqs::default()).unwrap();
    let _ = back.ports.send(far).unwrap();
    // `port` is linked into vCPU 1's queue now; an event for vCPU 0 must become a head of its own.
    assert_eq!(woken(guest.domain.ports.send(other).unwrap()), [(1, 0)]);
    assert_eq!(guest.word(port).load(SeqCst) & LINK, 0);
    assert_eq!(guest.consume(0), [other.0]);
    assert_eq!(guest.consume(1), [port.0]);
}

#[test]
fn events_wait_for_their_array_page() {
    let mut guest = Guest::new(1, 2);
    for _ in 0..1023 {
        guest.domain.ports.alloc_unbound(DomainId(0)).unwrap();
    }
    let far = guest.domain.ports.bind_ipi(VcpuId(1)).unwrap();
    assert_eq!(far, Port(1024));
    assert!(guest.domain.ports.send(far).unwrap().is_nobody());
    assert!(guest.domain.ports.send(far).unwrap().is_nobody());
    assert_eq!(guest.domain.ports.is_pending(far), Ok(false), "as far as anybody can see");
    assert_eq!(guest.expand(), [(1, 1)]);
    assert_eq!(guest.consume(1), [1024]);
    let closed = guest.domain.ports.bind_ipi(VcpuId(1)).unwrap();
    let _ = guest.domain.ports.send(closed).unwrap();
    guest.consume(1);
    assert!(guest.expand().is_empty());
}

#[test]
fn a_waiting_event_dies_with_its_port() {
    let domain = Domain::new(1, 1);
    let page = new_page();
    domain.ports.init_control(VcpuId(0), 0, || domain.pin(&page)).unwrap();
    let port = domain.ports.bind_ipi(VcpuId(0)).unwrap();
    assert!(domain.ports.send(port).unwrap().is_nobody());
    close(&domain, port).unwrap();
    assert_eq!(domain.ports.bind_ipi(VcpuId(0)), Ok(port));
    domain.ports.expand_array(|| domain.pin(&new_page()), |wake| assert!(wake.is_nobody())).unwrap();
    assert_eq!(domain.ports.is_pending(port), Ok(false));
}

#[test]
fn without_a_control_block_the_event_goes_nowhere() {
    let domain = Domain::new(1, 2);
    let (control, array) = (new_page(), new_page());
    domain.ports.init_control(VcpuId(0), 0, || domain.pin(&control)).unwrap();
    domain.ports.expand_array(|| domain.pin(&array), drop).unwrap();
    let port = domain.ports.bind_ipi(VcpuId(1)).unwrap();
    assert!(domain.ports.send(port).unwrap().is_nobody());
    assert_eq!(array[1].load(SeqCst), PENDING, "pending, not linked");
}

#[test]
fn pending_events_survive_the_change_of_abi() {
    let back = Domain::new(0, 1);
    let domain = Domain::new(1, 2);
    let (first, far) = pair(&domain, &back);
    let quiet = domain.ports.bind_ipi(VcpuId(0)).unwrap();
    let second = domain.ports.bind_ipi(VcpuId(1)).unwrap();
    let _ = back.ports.send(far).unwrap();
    let _ = domain.ports.send(second).unwrap();
    domain.take_upcall(0);
    domain.take_upcall(1);
    let control = [new_page(), new_page()];
    for vcpu in 0..2 {
        domain.ports.init_control(VcpuId(vcpu), 8, || domain.pin(&control[vcpu as usize])).unwrap();
    }
    let array = new_page();
    let mut kicked = Vec::new();
    domain.ports.expand_array(|| domain.pin(&array), |wake| kicked.extend(woken(wake))).unwrap();
    assert_eq!(kicked, [(1, 0), (1, 1)]);
    for (port, word) in [(first, PENDING | LINKED), (second, PENDING | LINKED), (quiet, 0)] {
        assert_eq!(array[port.0 as usize].load(SeqCst), word, "{port}");
    }
    assert_eq!(control[0][2 + 2 + 7].load(SeqCst), first.0);
    assert_eq!(control[1][2].load(SeqCst), 1 << 7);
}

#[test]
fn reset_goes_back_to_two_levels() {
    let guest = Guest::new(1, 2);
    let own =
        guest.domain.ports.alloc_for_hypervisor(VcpuId(0), DomainId(0), event_channels::ConsumerId::new(1).unwrap());
    let port = guest.domain.ports.bind_ipi(VcpuId(1)).unwrap();
    let _ = guest.domain.ports.send(port).unwrap();
    assert_eq!(guest.domain.pinned(), 3);
    assert_eq!(guest.domain.ports.reset(ResetStart::Fresh, &FakePirqs::default(), || false), Ok(Progress::Done));
    assert_eq!(guest.domain.pinned(), 0);
    guest.domain.take_upcall(1);
    let again = guest.domain.ports.bind_ipi(VcpuId(1)).unwrap();
    assert_eq!((own, again), (Ok(Port(1)), port), "closed although its word is linked: the queue is gone");
    assert_eq!(woken(guest.domain.ports.send(again).unwrap()), [(1, 1)]);
    assert!(guest.domain.pending(again));
    assert_eq!(error(guest.domain.ports.set_priority(again, 1)), Errno::ENOSYS);
    // And forward once more, with fresh pages and queues.
    let pages = [new_page(), new_page()];
    guest.domain.ports.init_control(VcpuId(1), 0, || guest.domain.pin(&pages[0])).unwrap();
    guest.domain.take_upcall(1);
    let mut kicked = Vec::new();
    let domain = &guest.domain;
    domain.ports.expand_array(|| domain.pin(&pages[1]), |wake| kicked.extend(woken(wake))).unwrap();
    assert_eq!(kicked, [(1, 1)]);
    assert_eq!(pages[0][2 + 7].load(SeqCst), again.0);
}

#[test]
fn a_closed_port_is_not_reused_while_its_word_is_linked() {
    let mut guest = Guest::new(1, 1);
    let port = guest.domain.ports.bind_ipi(VcpuId(0)).unwrap();
    let _ = guest.domain.ports.send(port).unwrap();
    close(&guest.domain, port).unwrap();
    assert_eq!(guest.word(port).load(SeqCst), LINKED, "no event, but still in the queue");
    assert_eq!(guest.domain.ports.bind_ipi(VcpuId(0)), Ok(Port(2)));
    assert_eq!(guest.consume(0), []);
    assert_eq!(guest.domain.ports.bind_ipi(VcpuId(0)), Ok(port));
    // A guest that marks every word keeps itself from ports, no more.
    for word in guest.array[0].iter() {
        word.store(u32::MAX, SeqCst);
    }
    assert_eq!(guest.domain.ports.alloc_unbound(DomainId(0)), Ok(Port(1024)));
}

#[test]
fn a_polled_port_wakes_however_masked() {
    let guest = Guest::new(1, 2);
    let port = guest.domain.ports.bind_ipi(VcpuId(0)).unwrap();
    guest.word(port).store(MASKED, SeqCst);
    guest.domain.ports.begin_poll(VcpuId(1)).unwrap();
    guest.domain.ports.poll_only(VcpuId(1), port);
    assert_eq!(woken(guest.domain.ports.send(port).unwrap()), [(1, 1)]);
    guest.domain.ports.end_poll(VcpuId(1));
}

/// Random words in the array and both control blocks between any two calls: nothing panics, nothing hangs, and what is
/// not the hostile guest's keeps working.
#[test]
fn hostile_words() {
    let guest = Guest::new(1, 2);
    let back = Domain::new(0, 1);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as u32
    };
    let mut ports: Vec<(Port, Port)> = (0..20).map(|_| pair(&guest.domain, &back)).collect();
    for round in 0..50_000 {
        let index = next() as usize % ports.len();
        guest.array[0][next() as usize % 32].store(next(), SeqCst);
        guest.control[next() as usize % 2][next() as usize % 18].store(next(), SeqCst);
        let (near, far) = ports[index];
        match next() % 8 {
            0 => drop(guest.domain.ports.bind_vcpu(near, VcpuId(next() % 2), &FakePirqs::default())),
            1 => drop(guest.domain.ports.set_priority(near, next() % 16)),
            2 => drop(guest.domain.ports.unmask(near)),
            3 if round % 16 == 0 => {
                close(&guest.domain, near).unwrap();
                close(&back, far).unwrap();
                ports[index] = pair(&guest.domain, &back);
            }
            4 => {
                back.clear_pending(far);
                drop(guest.domain.ports.send(near).unwrap());
                assert!(back.pending(far), "the other domain gets its event");
            }
            _ => drop(back.ports.send(far).unwrap()),
        }
    }
    teardown(&guest.domain);
    assert_eq!(guest.domain.pinned(), 0);
    assert_eq!(Arc::strong_count(&guest.domain.ports), 1);
}

/// A guest vCPU that flips its tail's bits while events are linked: calls come back, in bounded time.
#[test]
fn hostile_words_at_the_same_time() {
    let guest = Guest::new(1, 2);
    let ports: Vec<Port> = (0..8).map(|_| guest.domain.ports.bind_ipi(VcpuId(0)).unwrap()).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut value = 1u32;
            while !stop.load(SeqCst) {
                for port in &ports {
                    value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    guest.word(*port).store(value, SeqCst);
                }
            }
        });
        for round in 0..200_000 {
            drop(guest.domain.ports.send(ports[round % ports.len()]).unwrap());
        }
        stop.store(true, SeqCst);
    });
}
