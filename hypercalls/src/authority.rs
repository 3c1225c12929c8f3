//! Authority as values: who may act, on whom, decided in one place from the host's facts.
//!
//! A handler that needs privilege takes one of these tokens; their fields are private, so the functions here are the
//! only mint. A token says what was true when the call was checked: the host re-checks that a foreign domain still
//! lives when it acts (`ESRCH`). Source: the access rules stated per call in Xen's public headers.

use abi::{DomainId, Errno, Result};

/// Facts about the calling domain that decide what it may do.
pub trait Policy {
    /// The calling domain.
    fn caller(&self) -> DomainId;
    /// Whether it may administer the host.
    fn is_control_domain(&self) -> bool;
    /// Whether it drives the host's devices.
    fn is_hardware_domain(&self) -> bool;
    /// Whether it was set up as the device model of `target`.
    fn is_device_model_of(&self, target: DomainId) -> bool;
    /// Whether an ordinary domain of this number exists.
    fn domain_exists(&self, id: DomainId) -> bool;
}

/// The caller administers the host.
#[derive(Clone, Copy, Debug)]
pub struct ControlDomain(());

/// The caller drives the host's devices.
#[derive(Clone, Copy, Debug)]
pub struct HardwareDomain(());

/// A domain that exists; nothing may be done to it yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    id: DomainId,
    caller: DomainId,
}

/// A domain the caller may act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    id: DomainId,
    caller: DomainId,
}

/// Errors: `EPERM` unless the caller is a control domain.
pub fn control_domain(policy: &(impl Policy + ?Sized)) -> Result<ControlDomain> {
    if policy.is_control_domain() { Ok(ControlDomain(())) } else { Err(Errno::EPERM) }
}

/// Errors: `EPERM` unless the caller is the hardware domain.
pub fn hardware_domain(policy: &(impl Policy + ?Sized)) -> Result<HardwareDomain> {
    if policy.is_hardware_domain() { Ok(HardwareDomain(())) } else { Err(Errno::EPERM) }
}

/// The domain a call names, where `DOMID_SELF` stands for the caller. Errors: `ESRCH`.
pub fn find(policy: &(impl Policy + ?Sized), id: DomainId) -> Result<Found> {
    let caller = policy.caller();
    if id == DomainId::SELF { Ok(Found { id: caller, caller }) } else { find_by_number(policy, id) }
}

/// The domain of exactly this number; `DOMID_SELF` is nobody's number. Errors: `ESRCH`.
pub fn find_by_number(policy: &(impl Policy + ?Sized), id: DomainId) -> Result<Found> {
    let caller = policy.caller();
    if id.is_ordinary() && (id == caller || policy.domain_exists(id)) {
        Ok(Found { id, caller })
    } else {
        Err(Errno::ESRCH)
    }
}

/// A domain other than the caller. Errors: `ESRCH`, and `EPERM` for the caller itself.
pub fn find_remote(policy: &(impl Policy + ?Sized), id: DomainId) -> Result<Found> {
    let found = find_by_number(policy, id)?;
    if found.id == found.caller { Err(Errno::EPERM) } else { Ok(found) }
}

/// Shorthand for [`find`] and [`Found::target`]. Errors: `ESRCH`, `EPERM`.
pub fn target(policy: &(impl Policy + ?Sized), id: DomainId) -> Result<Target> {
    find(policy, id)?.target(policy)
}

impl Found {
    /// Its number, never `DOMID_SELF`.
    pub fn id(self) -> DomainId {
        self.id
    }

    /// May the caller manage this domain: itself, one whose device model it is, or any if it is a control domain.
    /// Errors: `EPERM`.
    pub fn target(self, policy: &(impl Policy + ?Sized)) -> Result<Target> {
        if self.id == self.caller { Ok(self.granted()) } else { self.device_model(policy) }
    }

    /// May the caller act as this domain's device model: being the domain itself is not enough. Errors: `EPERM`.
    pub fn device_model(self, policy: &(impl Policy + ?Sized)) -> Result<Target> {
        if policy.is_control_domain() || (self.id != self.caller && policy.is_device_model_of(self.id)) {
            Ok(self.granted())
        } else {
            Err(Errno::EPERM)
        }
    }

    /// A control domain may act on every domain.
    pub fn controlled(self, _by: ControlDomain) -> Target {
        self.granted()
    }

    fn granted(self) -> Target {
        Target { id: self.id, caller: self.caller }
    }
}

impl Target {
    /// Its number, never `DOMID_SELF`.
    pub fn id(self) -> DomainId {
        self.id
    }

    /// Whether the caller acts on itself.
    pub fn is_caller(self) -> bool {
        self.id == self.caller
    }
}
