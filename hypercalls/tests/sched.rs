//! sched_op, set_timer_op: sleeping without losing wake-ups, shutdown, watchdogs, implausible deadlines.

mod common;

use abi::sched::{
    SchedOperation as Sched, SchedPinOverride, SchedPoll, SchedRemoteShutdown, SchedShutdown, SchedWatchdog,
    ShutdownReason,
};
use abi::{DomainId, Errno, Port};
use common::{BASE, Fake, at, errno, hypervisor, nowhere};
use hypercalls::op::sched::{sched, sched_compat};
use hypercalls::op::timer::set_timer;
use hypercalls::outcome::Reply;
use zerocopy::{Immutable, IntoBytes};

fn call<T: IntoBytes + Immutable>(host: &mut Fake, operation: Sched, argument: &T) -> Reply {
    host.next_call().memory.put(BASE, argument);
    sched(host, operation, at(0))
}

#[test]
fn yield_and_block_take_no_argument() {
    let mut host = Fake::unprivileged();
    assert_eq!(sched(&mut host, Sched::YIELD, hypervisor()), Ok(0));
    assert_eq!(sched(&mut host, Sched::BLOCK, hypervisor()), Ok(0));
    assert_eq!(sched_compat(&mut host, Sched::BLOCK, 7), Ok(0));
    assert_eq!(host.take_effects(), ["yield", "block", "block"]);
    assert_eq!(errno(sched(&mut host, Sched(8), at(0))), Errno::ENOSYS);
    assert_eq!(errno(sched_compat(&mut host, Sched::POLL, 0)), Errno::ENOSYS);
}

#[test]
fn shutdown_codes_are_a_byte() {
    let mut host = Fake::unprivileged();
    let reason = |reason| SchedShutdown { reason: ShutdownReason(reason) };
    assert_eq!(call(&mut host, Sched::SHUTDOWN, &reason(0x103)), Ok(0));
    assert_eq!(call(&mut host, Sched::SHUTDOWN_CODE, &reason(0xFFFF)), Ok(0));
    assert_eq!(sched_compat(&mut host, Sched::SHUTDOWN, 0x201), Ok(0));
    assert_eq!(host.take_effects(), ["shutdown 3", "code 255", "shutdown 1"]);
    assert_eq!(errno(sched(&mut host, Sched::SHUTDOWN, nowhere())), Errno::EFAULT);
}

fn poll(host: &mut Fake, ports: &[u32], timeout: u64) -> Reply {
    host.memory.put(BASE + 0x100, ports);
    let request =
        SchedPoll { ports: at::<Port>(0x100), port_count: ports.len() as u32, timeout, ..SchedPoll::default() };
    call(host, Sched::POLL, &request)
}

#[test]
fn poll_sleeps_only_if_nothing_is_pending() {
    let mut host = Fake::new();
    host.pending_ports.extend([(3, false), (4, true), (5, false)]);
    assert_eq!(poll(&mut host, &[3], 0), Ok(0));
    assert_eq!(host.take_effects(), ["poll prepared", "poll Some(3) None"]);
    assert_eq!(poll(&mut host, &[3, 5], 99), Ok(0));
    assert_eq!(host.take_effects(), ["poll prepared", "poll None Some(99)"]);
    assert_eq!(poll(&mut host, &[3, 4], 0), Ok(0));
    assert_eq!(host.take_effects(), ["poll prepared", "poll cancelled"]);
    assert_eq!(poll(&mut host, &[], u64::MAX), Ok(0));
    assert_eq!(host.take_effects(), ["poll prepared", "poll None Some(0)"], "before boot has passed");
    host.upcall = true;
    assert_eq!(poll(&mut host, &[77], 0), Ok(0), "an upcall comes first, before ports are looked at");
    assert_eq!(host.take_effects(), ["poll prepared", "poll cancelled"]);
}

#[test]
fn poll_refuses_and_cleans_up() {
    let mut host = Fake::new();
    host.pending_ports.insert(3, false);
    assert_eq!(errno(poll(&mut host, &[3; 129], 0)), Errno::EINVAL);
    assert_eq!(host.take_effects(), [""; 0]);
    assert_eq!(errno(poll(&mut host, &[3, 9], 0)), Errno::EINVAL);
    assert_eq!(host.take_effects(), ["poll prepared", "poll cancelled"]);
    let request = SchedPoll { ports: nowhere(), port_count: 1, ..SchedPoll::default() };
    assert_eq!(errno(call(&mut host, Sched::POLL, &request)), Errno::EFAULT);
    assert_eq!(host.take_effects(), ["poll prepared", "poll cancelled"]);
    let request = SchedPoll { ports: hypervisor(), port_count: 1, ..SchedPoll::default() };
    assert_eq!(errno(call(&mut host, Sched::POLL, &request)), Errno::EFAULT);
    assert_eq!(host.take_effects(), [""; 0]);
}

#[test]
fn remote_shutdown_needs_authority_over_an_existing_domain() {
    let to = |domain| SchedRemoteShutdown {
        domain: DomainId(domain),
        reason: ShutdownReason::CRASH,
        ..SchedRemoteShutdown::default()
    };
    let mut host = Fake::new();
    assert_eq!(call(&mut host, Sched::REMOTE_SHUTDOWN, &to(5)), Ok(0));
    assert_eq!(host.take_effects(), ["shutdown of (5, 3)"]);
    assert_eq!(errno(call(&mut host, Sched::REMOTE_SHUTDOWN, &to(6))), Errno::ESRCH);
    assert_eq!(errno(call(&mut host, Sched::REMOTE_SHUTDOWN, &to(0x7FF0))), Errno::ESRCH);
    let mut other = Fake::unprivileged();
    assert_eq!(errno(call(&mut other, Sched::REMOTE_SHUTDOWN, &to(0))), Errno::EPERM);
    assert_eq!(errno(call(&mut other, Sched::REMOTE_SHUTDOWN, &to(5))), Errno::EPERM);
    other.model_of.insert(0);
    assert_eq!(call(&mut other, Sched::REMOTE_SHUTDOWN, &to(0)), Ok(0));
}

#[test]
fn two_watchdogs_can_be_had() {
    let mut host = Fake::unprivileged();
    let mut ask = |id, timeout| call(&mut host, Sched::WATCHDOG, &SchedWatchdog { id, timeout });
    assert_eq!(errno(ask(1, 5)), Errno::EINVAL, "not in use");
    assert_eq!(ask(0, 30), Ok(1));
    assert_eq!(ask(0, 40), Ok(2));
    assert_eq!(ask(0, 50), Ok(0xFFFF_FFE4), "ENOSPC, 32 bits wide as Xen has it");
    assert_eq!(ask(2, 60), Ok(0));
    assert_eq!(ask(1, 0), Ok(0));
    assert_eq!(errno(ask(1, 0)), Errno::EINVAL);
    assert_eq!(errno(ask(3, 0)), Errno::EINVAL);
    assert_eq!(errno(ask(u32::MAX, 9)), Errno::EINVAL);
    assert_eq!(ask(0, 70), Ok(1), "given back and taken again");
}

#[test]
fn pinning_is_for_the_hardware_domain() {
    let mut host = Fake::unprivileged();
    assert_eq!(errno(sched(&mut host, Sched::PIN_OVERRIDE, nowhere())), Errno::EPERM);
    let mut host = Fake::new();
    assert_eq!(errno(sched(&mut host, Sched::PIN_OVERRIDE, nowhere())), Errno::EFAULT);
    assert_eq!(call(&mut host, Sched::PIN_OVERRIDE, &SchedPinOverride { pcpu: 1 }), Ok(0));
    assert_eq!(call(&mut host, Sched::PIN_OVERRIDE, &SchedPinOverride { pcpu: -1 }), Ok(0));
    assert_eq!(host.take_effects(), ["pin Some(1)", "pin None"]);
}

#[test]
fn implausible_deadlines_wait_a_tenth_of_a_second() {
    let mut host = Fake::new();
    let now = host.now;
    for (timeout, effect) in [
        (0, "timer off".to_string()),
        (5, "timer 5".into()),
        (now + 1, format!("timer {}", now + 1)),
        (now + (1 << 50) - 1, format!("timer {}", now + (1 << 50) - 1)),
        (now + (1 << 50), format!("timer {}", now + 100_000_000)),
        (u64::MAX, format!("timer {}", now + 100_000_000)),
        (1 << 63, format!("timer {}", now + 100_000_000)),
    ] {
        assert_eq!(set_timer(&mut host, timeout), Ok(0));
        assert_eq!(host.take_effects(), [effect]);
    }
}
