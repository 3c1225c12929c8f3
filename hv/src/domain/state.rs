//! How a domain lives and ends.

use abi::sched::ShutdownReason;

/// Where a domain is in its life; ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub enum Life {
    /// Being built or running.
    Alive = 0,
    /// Its resources are being taken back.
    #[cfg_attr(
        not(feature = "fail-points"),
        expect(dead_code, reason = "domains are destroyed by calls of the toolstack, which are not there yet")
    )]
    Dying = 1,
    /// Nothing is left but the record.
    #[cfg_attr(
        not(feature = "fail-points"),
        expect(dead_code, reason = "domains are destroyed by calls of the toolstack, which are not there yet")
    )]
    Dead = 2,
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
