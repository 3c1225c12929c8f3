//! What this crate asks of the host: guards for guest-shared memory, names of vCPUs, and physical interrupts.
//!
//! All are type parameters, so that delivery compiles to straight code.

use core::ops::Deref;

use abi::{Pirq, Result, VcpuId};

use crate::{EventPage, SharedInfo, VcpuInfo};

/// The host's types. A guard keeps its frame mapped and counted until it is dropped; guards are dropped while no lock
/// above [`locks::Level::EventPorts`] is held.
pub trait Platform: Sized + 'static {
    /// The domain's shared page; kept as long as the domain's ports.
    type SharedInfo: Deref<Target = SharedInfo> + Send + Sync;
    /// A vCPU's block: in the shared page, a dummy, or where the guest registered it.
    type VcpuInfo: Deref<Target = VcpuInfo> + Send + Sync;
    /// A guest page of FIFO words or around a control block.
    type Page: Deref<Target = EventPage> + Send + Sync;
    /// What names a vCPU to whoever wakes it.
    type Target: Clone + Send + Sync;
}

/// Whether a physical interrupt may have other users.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PirqSharing {
    /// No.
    Exclusive,
    /// Yes (`BIND_PIRQ__WILL_SHARE`).
    Shared,
}

/// Physical interrupts of one domain. Called with that domain's [`locks::Level::EventPorts`] held.
pub trait PirqControl {
    /// Whether the domain may use the interrupt at all.
    fn permitted(&self, pirq: Pirq) -> bool;
    /// Connects the interrupt, aimed at vCPU 0; from now on it may be raised. Errors are the guest's answer.
    fn bind(&self, pirq: Pirq, sharing: PirqSharing) -> Result<()>;
    /// Disconnects it and gives an acknowledgement that is still owed. It is not raised any more afterwards.
    fn unbind(&self, pirq: Pirq);
    /// The port moved to another vCPU; the interrupt may follow.
    fn set_affinity(&self, pirq: Pirq, vcpu: VcpuId);
}
