//! The boundary within which a panic costs a domain, not the machine.
//!
//! Serving a guest runs inside [`run`]. A panic unwinds to here: guards on the way release what they hold, the domain is
//! crashed, and the gate goes on to somebody else. A CPU fault in hypervisor code does the same by unwinding the whole
//! stack ([`contain_fault`]). Outside (boot, scheduler, idle, interrupts) both stop the machine.

use alloc::boxed::Box;
use core::any::Any;

use pv_cpu::exit::Violation;

use super::Caller;
use crate::{cpu::block, entry::stubs};

/// Runs `serve` for the caller; what goes wrong in it costs the caller's domain.
#[inline(always)]
pub fn run(caller: &mut Caller<'_>, serve: impl FnOnce(&mut Caller<'_>)) {
    if let Err(panic) = unwinding::panic::catch_unwind(core::panic::AssertUnwindSafe(|| serve(caller))) {
        contain_panic(caller, panic);
    }
}

/// Takes the panic along, so that nothing of it is left to do, and no register to keep for it, where it was caught.
#[cold]
fn contain_panic(caller: &mut Caller<'_>, panic: Box<dyn Any + Send>) {
    contain(caller);
    drop(panic);
}

#[cold]
fn contain(caller: &mut Caller<'_>) {
    log::error!("Contained: a hypervisor bug while serving {:?}; its domain is crashed.", caller.vcpu);
    caller.crash("hypervisor bug while serving it");
}

/// A CPU fault has unwound the whole stack of this CPU: crashes the domain that was being served. Stops the machine when
/// there is none.
pub fn contain_fault() -> ! {
    let Some(mut caller) = Caller::current(block::take_registers()) else { crate::panic::stop() };
    contain(&mut caller);
    stubs::leave()
}

/// The gate would not load these registers: a broken invariant, met while serving this domain.
#[cold]
pub fn refuse_return(caller: &mut Caller<'_>, violation: Violation) {
    log::error!("Refused to return to {:?}: {violation:?}", caller.vcpu);
    caller.crash("registers that must not be loaded");
}
