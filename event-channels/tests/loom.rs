//! Every interleaving of a few short threads: `RUSTFLAGS="--cfg loom" cargo test -p event-channels --release --test loom`.
//!
//! Guests are threads too, on the same words. What is checked at the end is always the same: no event is pending that
//! its vCPU has not been told of, and nobody waits for ever.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use abi::{DomainId, Errno, Port, VcpuId};
use common::*;
use event_channels::{EventPage, PortKind, Progress, ResetStart};
use loom::thread;

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.max_branches = 20_000;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    model.check(move || {
        counted.fetch_add(1, SeqCst);
        scenario();
    });
    let runs = runs.load(SeqCst);
    println!("{runs} interleavings");
    // Loom leaves out orders that cannot differ, and locks leave few that can.
    assert!(runs > 1, "the threads do not meet");
}

fn domain(id: u16, vcpus: u32) -> Arc<Domain> {
    let limits = event_channels::Limits { vcpus, max_port: 7, pirqs: 0 };
    Arc::new(Domain::with_limits(id, limits))
}

/// Two domains with a bound pair of ports.
fn bound() -> (Arc<Domain>, Arc<Domain>, Port, Port) {
    let (front, back) = (domain(1, 1), domain(0, 1));
    let (near, far) = pair(&front, &back);
    (front, back, near, far)
}

fn finish(domains: &[&Domain]) {
    for domain in domains {
        teardown(domain);
        assert_eq!(domain.pinned(), 0);
    }
    for domain in domains {
        assert_eq!(Arc::strong_count(&domain.ports), 1, "no reference is left");
    }
}

/// 2-level: a pending port that is not masked has its vCPU's upcall pending, or the guest took the upcall.
fn told(domain: &Domain, port: Port) -> bool {
    let info = &domain.shared.vcpu_info[0];
    let masked = domain.shared.mask[0].load(SeqCst) >> port.0 & 1 != 0;
    !domain.pending(port)
        || masked
        || info.upcall_pending.load(SeqCst) != 0 && info.pending_selector.load(SeqCst) & 1 != 0
}

#[test]
fn two_level_send_against_unmask() {
    explore(|| {
        let (front, back, near, far) = bound();
        front.mask(near);
        let unmasker = {
            let front = front.clone();
            thread::spawn(move || woken(front.ports.unmask(near).unwrap()).len())
        };
        let kicks = woken(back.ports.send(far).unwrap()).len() + unmasker.join().unwrap();
        assert!(front.pending(near) && told(&front, near), "the event is not lost");
        assert_eq!(kicks, 1, "and its vCPU is kicked once");
        finish(&[&front, &back]);
    });
}

#[test]
fn two_level_senders_against_the_guest() {
    explore(|| {
        let (front, back) = (domain(1, 1), domain(0, 1));
        let (first, first_far) = pair(&front, &back);
        let (second, second_far) = pair(&front, &back);
        let sender = {
            let back = back.clone();
            thread::spawn(move || woken(back.ports.send(first_far).unwrap()).len())
        };
        let guest = {
            let front = front.clone();
            thread::spawn(move || {
                let info = &front.shared.vcpu_info[0];
                if info.upcall_pending.swap(0, SeqCst) == 0 || info.pending_selector.swap(0, SeqCst) == 0 {
                    return 0;
                }
                front.shared.pending[0].swap(0, SeqCst).count_ones()
            })
        };
        let _ = woken(back.ports.send(second_far).unwrap());
        let _ = sender.join().unwrap();
        let taken = guest.join().unwrap();
        let left = u32::from(front.pending(first)) + u32::from(front.pending(second));
        assert_eq!(taken + left, 2);
        assert!(told(&front, first) && told(&front, second));
        finish(&[&front, &back]);
    });
}

#[test]
fn send_against_close_and_rebind() {
    explore(|| {
        let (front, back, near, far) = bound();
        let closer = {
            let front = front.clone();
            thread::spawn(move || {
                close(&front, near).unwrap();
                // The number is given out again at once; nothing of the old life may show.
                front.ports.alloc_unbound(DomainId(5)).unwrap()
            })
        };
        let sent = back.ports.send(far).map(woken);
        assert!(sent.is_ok(), "bound or unbound, never broken");
        assert_eq!(closer.join().unwrap(), near);
        assert!(!front.pending(near));
        assert_eq!(front.ports.status(near).unwrap().kind, PortKind::Unbound(DomainId(5)));
        assert_eq!(back.ports.status(far).unwrap().kind, PortKind::Unbound(DomainId(1)));
        finish(&[&front, &back]);
    });
}

#[test]
fn both_ends_close() {
    explore(|| {
        let (front, back, near, far) = bound();
        let closer = {
            let front = front.clone();
            thread::spawn(move || close(&front, near))
        };
        assert_eq!(close(&back, far), Ok(()));
        assert_eq!(closer.join().unwrap(), Ok(()));
        assert_eq!((front.ports.ports_in_use(), back.ports.ports_in_use()), (0, 0));
        finish(&[&front, &back]);
    });
}

#[test]
fn two_bind_to_one_port() {
    explore(|| {
        let (front, back) = (domain(1, 1), domain(0, 1));
        let offered = front.ports.alloc_unbound(DomainId(0)).unwrap();
        let other = {
            let (front, back) = (front.clone(), back.clone());
            thread::spawn(move || {
                back.ports.bind_interdomain(&front.ports, offered).map(|(port, wake)| (port, woken(wake)))
            })
        };
        let closed = close(&front, offered);
        let bound = other.join().unwrap();
        assert_eq!(closed, Ok(()));
        match bound {
            Ok((port, _)) => assert_eq!(back.ports.status(port).unwrap().kind, PortKind::Unbound(DomainId(1))),
            Err(errno) => assert_eq!((errno, back.ports.ports_in_use()), (Errno::EINVAL, 0)),
        }
        finish(&[&front, &back]);
    });
}

#[test]
fn poll_against_send() {
    explore(|| {
        let (front, back, near, far) = bound();
        front.mask(near);
        let poller = {
            let front = front.clone();
            thread::spawn(move || {
                front.ports.begin_poll(VcpuId(0)).unwrap();
                let pending = front.ports.is_pending(near).unwrap();
                if !pending {
                    front.ports.poll_only(VcpuId(0), near);
                }
                pending
            })
        };
        let kicks = woken(back.ports.send(far).unwrap()).len();
        let saw_it = poller.join().unwrap();
        assert!(saw_it || kicks == 1, "a poller that did not see the event is woken");
        front.ports.end_poll(VcpuId(0));
        finish(&[&front, &back]);
    });
}

/// FIFO guest of one array page; the control blocks and the array are returned.
fn fifo(domain: &Domain) -> (Vec<Arc<EventPage>>, Arc<EventPage>) {
    let control: Vec<_> = (0..domain.vcpus).map(|_| new_page()).collect();
    for (vcpu, page) in control.iter().enumerate() {
        domain.ports.init_control(VcpuId(vcpu as u32), 0, || domain.pin(page)).unwrap();
    }
    let array = new_page();
    domain.ports.expand_array(|| domain.pin(&array), |wake| drop(woken(wake))).unwrap();
    (control, array)
}

const PENDING: u32 = 1 << 31;
const MASKED: u32 = 1 << 30;
const LINKED: u32 = 1 << 29;
const LINK: u32 = 0x1_FFFF;

/// The guest's handler on vCPU 0, one queue of default priority: what it takes, given the head it remembers.
fn consume(domain: &Domain, control: &EventPage, array: &EventPage, head: &mut u32) -> Vec<u32> {
    domain.shared.vcpu_info[0].upcall_pending.store(0, SeqCst);
    consume_queue(control, array, head)
}

fn consume_queue(control: &EventPage, array: &EventPage, head: &mut u32) -> Vec<u32> {
    let mut taken = Vec::new();
    while control[0].swap(0, SeqCst) != 0 {
        if *head == 0 {
            *head = control[2 + 7].load(SeqCst);
        }
        while *head != 0 {
            let port = *head;
            let old = array[port as usize].fetch_and(!(LINKED | LINK), SeqCst);
            *head = old & LINK;
            if old & PENDING != 0 {
                array[port as usize].fetch_and(!PENDING, SeqCst);
                taken.push(port);
            }
        }
    }
    taken
}

#[test]
fn fifo_enqueue_from_two_cpus() {
    explore(|| {
        let (front, back) = (domain(1, 1), domain(0, 1));
        let ports = [pair(&front, &back), pair(&front, &back)];
        let (control, array) = fifo(&front);
        let mut head = 0;
        consume(&front, &control[0], &array, &mut head);
        let sender = {
            let back = back.clone();
            thread::spawn(move || woken(back.ports.send(ports[0].1).unwrap()).len())
        };
        let kicks = woken(back.ports.send(ports[1].1).unwrap()).len() + sender.join().unwrap();
        assert_eq!(kicks, 1);
        let mut taken = consume(&front, &control[0], &array, &mut head);
        taken.sort_unstable();
        assert_eq!(taken, [ports[0].0.0, ports[1].0.0]);
        finish(&[&front, &back]);
    });
}

#[test]
fn fifo_enqueue_against_the_guest() {
    explore(|| {
        let (front, back) = (domain(1, 1), domain(0, 1));
        let ports = [pair(&front, &back), pair(&front, &back)];
        let (control, array) = fifo(&front);
        let mut head = 0;
        consume(&front, &control[0], &array, &mut head);
        let _ = woken(back.ports.send(ports[0].1).unwrap());
        let sender = {
            let back = back.clone();
            thread::spawn(move || woken(back.ports.send(ports[1].1).unwrap()).len())
        };
        let mut taken = consume(&front, &control[0], &array, &mut head);
        let _ = sender.join().unwrap();
        let info = &front.shared.vcpu_info[0];
        if taken.len() < 2 {
            assert_ne!(info.upcall_pending.load(SeqCst), 0, "what was not taken is announced");
        }
        taken.extend(consume(&front, &control[0], &array, &mut head));
        assert_eq!(taken, [ports[0].0.0, ports[1].0.0]);
        finish(&[&front, &back]);
    });
}

#[test]
fn fifo_two_senders_and_a_move() {
    explore(|| {
        let (front, back) = (domain(1, 2), domain(0, 1));
        let (near, far) = pair(&front, &back);
        let (control, array) = fifo(&front);
        let mut head = 0;
        consume(&front, &control[0], &array, &mut head);
        let sender = {
            let back = back.clone();
            thread::spawn(move || drop(woken(back.ports.send(far).unwrap())))
        };
        let mover = {
            let front = front.clone();
            thread::spawn(move || front.ports.bind_vcpu(near, VcpuId(1), &FakePirqs::default()).unwrap())
        };
        // Unmasking takes the other end's lock, so this is a second way to the same queue.
        let _ = woken(front.ports.unmask(near).unwrap());
        sender.join().unwrap();
        mover.join().unwrap();
        let ready: Vec<u32> = control.iter().map(|page| page[0].load(SeqCst)).collect();
        assert!(ready == [1 << 7, 0] || ready == [0, 1 << 7], "in exactly one queue: {ready:?}");
        assert_eq!(array[near.0 as usize].load(SeqCst), PENDING | LINKED);
        finish(&[&front, &back]);
    });
}

#[test]
fn fifo_a_queue_that_changes_under_a_sender() {
    explore(|| {
        let (front, back) = (domain(1, 2), domain(0, 1));
        let (near, far) = pair(&front, &back);
        let other = front.ports.bind_ipi(VcpuId(1)).unwrap();
        let (control, array) = fifo(&front);
        let mut heads = [0, 0];
        consume(&front, &control[0], &array, &mut heads[0]);
        array[near.0 as usize].store(MASKED, SeqCst);
        let _ = woken(back.ports.send(far).unwrap());
        let sender = {
            let back = back.clone();
            thread::spawn(move || drop(woken(back.ports.send(far).unwrap())))
        };
        // Meanwhile the event moves to vCPU 1, is linked there and consumed.
        front.ports.bind_vcpu(near, VcpuId(1), &FakePirqs::default()).unwrap();
        let _ = woken(front.ports.unmask(near).unwrap());
        consume_queue(&control[1], &array, &mut heads[1]);
        sender.join().unwrap();
        let _ = woken(front.ports.send(other).unwrap());
        let taken = consume_queue(&control[1], &array, &mut heads[1]);
        assert!(taken.contains(&other.0), "vCPU 1's queue is its own: {taken:?}");
        consume(&front, &control[0], &array, &mut heads[0]);
        finish(&[&front, &back]);
    });
}

#[test]
fn change_of_abi_against_send() {
    explore(|| {
        let (front, back, near, far) = bound();
        let sender = {
            let back = back.clone();
            thread::spawn(move || drop(woken(back.ports.send(far).unwrap())))
        };
        let (control, array) = fifo(&front);
        sender.join().unwrap();
        let mut head = 0;
        assert_eq!(consume(&front, &control[0], &array, &mut head), [near.0], "wherever it was, it arrives");
        finish(&[&front, &back]);
    });
}

#[test]
fn expand_against_send() {
    explore(|| {
        let (front, back, near, far) = bound();
        // Made before the thread: loom does not see that publishing a page orders its making.
        let (control, array) = (new_page(), new_page());
        front.ports.init_control(VcpuId(0), 0, || front.pin(&control)).unwrap();
        let sender = {
            let back = back.clone();
            thread::spawn(move || woken(back.ports.send(far).unwrap()).len())
        };
        let mut kicks = 0;
        front.ports.expand_array(|| front.pin(&array), |wake| kicks += woken(wake).len()).unwrap();
        assert_eq!(kicks + sender.join().unwrap(), 1);
        let mut head = 0;
        assert_eq!(consume(&front, &control, &array, &mut head), [near.0]);
        finish(&[&front, &back]);
    });
}

#[test]
fn reset_against_send_and_expand() {
    explore(|| {
        let (front, back, near, far) = bound();
        let (_control, _array) = fifo(&front);
        let sender = {
            let back = back.clone();
            thread::spawn(move || drop(woken(back.ports.send(far).unwrap())))
        };
        let expander = {
            let front = front.clone();
            thread::spawn(move || {
                let page = new_page();
                front.ports.expand_array(|| front.pin(&page), |wake| drop(woken(wake)))
            })
        };
        let done = front.ports.reset(ResetStart::Fresh, &FakePirqs::default(), || false);
        assert_eq!(done, Ok(Progress::Done));
        sender.join().unwrap();
        assert!(matches!(expander.join().unwrap(), Ok(()) | Err(Errno::EOPNOTSUPP)));
        assert_eq!(front.pinned(), 0);
        assert_eq!(front.ports.status(near).unwrap().kind, PortKind::Closed);
        finish(&[&front, &back]);
    });
}

#[test]
fn teardown_against_send_and_bind() {
    explore(|| {
        let (front, back, _, far) = bound();
        let offered = front.ports.alloc_unbound(DomainId(0)).unwrap();
        let peer = {
            let (front, back) = (front.clone(), back.clone());
            thread::spawn(move || {
                let _ = back.ports.bind_interdomain(&front.ports, offered).map(|(_, wake)| woken(wake));
                drop(woken(back.ports.send(far).unwrap()));
            })
        };
        teardown(&front);
        peer.join().unwrap();
        assert_eq!(front.ports.ports_in_use(), 0);
        assert_eq!(Arc::strong_count(&front.ports), 1, "the peer has let go");
        finish(&[&back]);
    });
}

#[test]
fn the_block_moves_under_a_sender() {
    explore(|| {
        let (front, back, near, far) = bound();
        let sender = {
            let back = back.clone();
            thread::spawn(move || drop(woken(back.ports.send(far).unwrap())))
        };
        let own = Arc::new(event_channels::VcpuInfo::default());
        front.ports.move_vcpu_info(VcpuId(0), InfoGuard::Own(own.clone())).unwrap();
        sender.join().unwrap();
        assert!(front.pending(near));
        assert!(own.upcall_pending() && own.pending_selector.load(SeqCst) & 1 != 0);
        finish(&[&front, &back]);
    });
}
