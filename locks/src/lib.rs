//! Spin locks that carry their level in the type, and that serve other CPUs while they wait.
//!
//! The hypervisor runs with interrupts off, so a CPU that spins must still answer what others ask of it (TLB flush
//! requests above all): [`set_hooks`] installs what a waiting CPU does. A lock may be taken only when every lock the
//! CPU holds has a lower [`Level`]; debug builds check that through the same hooks. The order is `docs/locking.md`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(loom)]
extern crate std;

mod hooks;
mod level;
#[cfg(not(loom))]
mod mutex;
#[cfg(loom)]
#[path = "mutex_loom.rs"]
mod mutex;

pub use hooks::{Hooks, set_hooks};
pub use level::Level;
pub use mutex::{Guard, Lock};
