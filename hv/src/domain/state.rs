//! How a domain lives and ends.

use abi::{domctl_domain::CreateFlags, sched::ShutdownReason, version::DomainHandle, xen_x86::ArchDomainConfig};

/// Where a domain is in its life; ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub enum Life {
    /// Being built or running.
    Alive = 0,
    /// Its resources are being taken back.
    Dying = 1,
    /// Nothing is left but the record, and frames that others have in use.
    Dead = 2,
}

/// What tools know a domain by: told when it is created, and shown again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity {
    /// UUID.
    pub handle: DomainHandle,
    /// What it was to be.
    pub flags: CreateFlags,
    /// Security label.
    pub ssidref: u32,
    /// Of x86.
    pub arch: ArchDomainConfig,
}

/// Whether and why a domain has stopped: one word, so that the first reason wins without a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shutdown(pub u32);

impl Shutdown {
    /// Not stopped.
    pub const RUNNING: Shutdown = Shutdown(u32::MAX);

    /// Stopped for `reason`.
    pub const fn of(reason: ShutdownReason) -> Self {
        Shutdown(reason.0 & 0xFF)
    }

    /// The reason, when stopped.
    pub const fn reason(self) -> Option<ShutdownReason> {
        if self.0 == u32::MAX { None } else { Some(ShutdownReason(self.0)) }
    }
}
