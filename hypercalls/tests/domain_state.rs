//! get_domain_state, the domctl whose interface never changes: its version, and following domains that change.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a failed test panics")]

mod common;

use abi::domctl::{DOMCTL_STABLE_VERSION, Domctl, DomctlOperation as Op};
use abi::domctl_domain::{DomainCapabilities, DomainState, GetDomainState};
use abi::{DomainId, Errno};
use common::{BASE, Fake, SIZE, at, errno};
use hypercalls::op::domctl::domctl;
use hypercalls::outcome::Reply;
use zerocopy::{FromBytes, IntoBytes};

fn ask_as(host: &mut Fake, version: u32, domain: u16, operation: Op, argument: &GetDomainState) -> Reply {
    let mut request =
        Domctl { command: operation, interface_version: version, domain: DomainId(domain), ..Domctl::default() };
    request.argument.as_mut_bytes()[..size_of::<GetDomainState>()].copy_from_slice(argument.as_bytes());
    host.next_call().memory.put(BASE, &request);
    domctl(host, at(0))
}

fn answer(host: &Fake) -> GetDomainState {
    let request: Domctl = host.memory.get(BASE);
    GetDomainState::read_from_prefix(request.argument.as_bytes()).map(|(value, _)| value).expect("fits")
}

fn ask_state(host: &mut Fake, domain: DomainId) -> Reply {
    ask_as(host, DOMCTL_STABLE_VERSION, domain.0, Op::GET_DOMAIN_STATE, &GetDomainState::default())
}

#[test]
fn get_domain_state_is_of_the_stable_version_alone() {
    let mut host = Fake::new();
    let zeros = GetDomainState::default();
    for version in 0x15..=0x18 {
        assert_eq!(errno(ask_as(&mut host, version, 5, Op::GET_DOMAIN_STATE, &zeros)), Errno::ENOSYS, "{version:x}");
        let changed = ask_as(&mut host, version, DomainId::INVALID.0, Op::GET_DOMAIN_STATE, &zeros);
        assert_eq!(errno(changed), Errno::ESRCH, "{version:x}: no such domain there");
    }
    assert_eq!(errno(ask_as(&mut host, 1, 5, Op::GET_DOMAIN_STATE, &zeros)), Errno::EACCES);
    assert_eq!(errno(ask_as(&mut host, 0, 5, Op::GETDOMAININFO, &zeros)), Errno::EACCES, "it is stable alone");
    assert_eq!(ask_state(&mut host, DomainId(5)), Ok(0));
}

#[test]
fn get_domain_state_of_a_domain() {
    let mut host = Fake::new();
    host.follows = false;
    host.changed.borrow_mut().insert(5);
    assert_eq!(ask_state(&mut host, DomainId(5)), Ok(0));
    let state = answer(&host);
    assert_eq!(state.state, DomainState::EXIST.with(DomainState::DYING));
    assert_eq!((state.capabilities, state.pad), (DomainCapabilities::XENSTORE, 0));
    assert_eq!(state.unique_id, 0x1_0000_0005);
    assert_eq!(host.changed.take().len(), 1, "it counts as changed for whoever follows");
    for nobody in [DomainId(6), DomainId::SELF, DomainId::IDLE] {
        assert_eq!(errno(ask_state(&mut host, nobody)), Errno::ESRCH, "{nobody:?}");
    }
    for domain in [DomainId(5), DomainId::INVALID] {
        let padded = GetDomainState { pad: 1, ..GetDomainState::default() };
        let reply = ask_as(&mut host, DOMCTL_STABLE_VERSION, domain.0, Op::GET_DOMAIN_STATE, &padded);
        assert_eq!(errno(reply), Errno::EINVAL, "{domain:?}");
        assert_eq!(errno(ask_state(&mut Fake::unprivileged(), domain)), Errno::EPERM, "{domain:?}");
    }
}

#[test]
fn get_domain_state_of_those_that_have_changed() {
    let mut host = Fake::new();
    host.changed.borrow_mut().extend([5, 7]);
    host.follows = false;
    assert_eq!(errno(ask_state(&mut host, DomainId::INVALID)), Errno::EPERM, "somebody else follows");
    host.follows = true;
    host.memory.protect_from(BASE);
    assert_eq!(errno(ask_state(&mut host, DomainId::INVALID)), Errno::EFAULT);
    host.memory.protect_from(BASE + SIZE as u64);
    assert_eq!(ask_state(&mut host, DomainId::INVALID), Ok(0), "what could not be told comes again");
    assert_eq!(host.memory.get::<Domctl>(BASE).domain, DomainId(5));
    assert_eq!(answer(&host).unique_id, 0x1_0000_0005);
    assert_eq!(ask_state(&mut host, DomainId::INVALID), Ok(0));
    assert_eq!(host.memory.get::<Domctl>(BASE).domain, DomainId(7), "each once");
    assert_eq!(answer(&host), GetDomainState::default(), "it is gone");
    assert_eq!(errno(ask_state(&mut host, DomainId::INVALID)), Errno::ENOENT);
}
