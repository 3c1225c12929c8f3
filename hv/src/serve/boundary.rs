//! The boundary within which a panic costs a domain, not the machine.
//!
//! Serving a guest runs inside [`run`]. A panic unwinds to here: guards on the way release what they hold, the domain is
//! crashed, and the gate goes on to somebody else. A CPU fault in hypervisor code does the same by unwinding the whole
//! stack ([`contain_fault`]). Outside (boot, scheduler, idle, interrupts) both stop the machine.
//!
//! A toolstack works for others (`hypercalls::behalf`): its call fails, and the domain that it was changing is crashed.

use alloc::boxed::Box;
use core::any::Any;

use abi::{Errno, sched::ShutdownReason};
use hypercalls::behalf::{Accountable, Behalf};
use pv_cpu::exit::Violation;

use super::Caller;
use crate::{
    cpu::block,
    domain,
    entry::stubs,
    fail_point::{Point, hit},
};

impl Accountable for Caller<'_> {
    #[inline]
    fn act_for(&mut self, behalf: Behalf) {
        if behalf == Behalf::Caller {
            hit(Point::BEHALF_ENDS);
        }
        self.state.behalf = behalf;
        if behalf != Behalf::Caller {
            hit(Point::BEHALF_BEGINS);
        }
    }
}

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
    match core::mem::take(&mut caller.state.behalf) {
        Behalf::Caller => {
            log::error!("Contained: a hypervisor bug while serving {:?}; its domain is crashed.", caller.vcpu);
            caller.crash("hypervisor bug while serving it");
        }
        behalf => contain_call(caller, behalf),
    }
}

/// What a toolstack asked for has failed. Its own domain and the hardware domain are spared even as targets: losing them
/// is losing the machine, and what can be changed of a domain that runs its own toolstack changes in one piece.
fn contain_call(caller: &mut Caller<'_>, behalf: Behalf) {
    log::error!("Contained: a hypervisor bug in a call of {:?} ({behalf:?}); the call fails.", caller.vcpu);
    caller.registers.rax = Errno::EIO.to_register();
    let (Behalf::Reading(id) | Behalf::Changing(id)) = behalf else { return };
    let Some(target) = domain::find(id) else { return };
    domain::abandon(target);
    let is_spared = core::ptr::eq(target, caller.domain) || id == domain::HARDWARE_DOMAIN;
    if matches!(behalf, Behalf::Changing(_)) && !is_spared && !target.is_dying() {
        log::error!("Domain {id} may be half changed; it is crashed.");
        domain::shut_down(target, ShutdownReason::CRASH);
    }
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
