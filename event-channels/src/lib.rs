//! Event channels: the state machine of ports, and delivery through the 2-level and the FIFO words of guest memory.
//!
//! [`Ports`] is one domain's object. Reading order: [`port`] (what a port is), [`ports`] (where ports live), [`delivery`]
//! (the one way an event reaches a vCPU) with [`two_level`] and [`fifo`], then one file per operation family. Memory
//! that guests share is reached through the guards of [`Platform`] only; whoever is to be woken comes back as a
//! [`Wake`]. Locks: `docs/decisions/0008-event-channels.md`. Source: Xen public header `event_channel.h`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bind;
mod bind_vcpu;
mod close;
mod delivery;
mod fifo;
mod fifo_setup;
mod global_virq;
mod hypervisor_port;
mod memory;
mod platform;
mod poll;
mod port;
mod ports;
mod queue;
mod reset;
mod send;
mod shared;
mod status;
mod sync;
mod table;
mod two_level;
mod vcpu;
mod wake;

pub use close::Progress;
pub use global_virq::GlobalVirqs;
pub use platform::{PirqControl, PirqSharing, Platform};
pub use port::ConsumerId;
pub use ports::{Limits, Ports};
pub use reset::ResetStart;
pub use send::PirqRaise;
pub use shared::{EventPage, SharedInfo, UpcallMask, VcpuInfo, WORDS_PER_PAGE};
pub use status::{PortKind, PortStatus, PortWords};
pub use vcpu::InfoPlace;
pub use wake::{Kick, Wake};
