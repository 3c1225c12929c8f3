//! The one gate that all returns to any guest pass.
//!
//! It does what waits for this CPU (scheduling, timers), delivers what waits for the vCPU (NMI, event upcall), and loads
//! registers only after `pv_cpu::exit::check_return` has agreed. Context: interrupts off, no lock held, the CPU's main
//! stack; the registers at its top are those of the CPU's current vCPU, whoever that is by the time it leaves.

#![expect(unsafe_code, reason = "takes the register file of the vCPU that leaves")]

use core::sync::atomic::Ordering::Relaxed;

use pv_cpu::{
    asynchronous::AsyncException,
    bounce::{self, Delivery},
    exit::{ReturnPath, check_return},
};

use crate::{
    cpu::block,
    domain::PendingWork,
    fail_point::{Point, hit},
    sched,
    serve::{Caller, areas, boundary, failsafe},
};

/// The short way through the gate, for a vCPU that was just served: nothing waits for it or its CPU but perhaps an event
/// to announce, and its registers may be loaded. `None`: it must take the long way, [`leave`], which looks at everything again.
#[inline(always)]
pub fn pass(caller: &mut Caller<'_>) -> Option<ReturnPath> {
    let vcpu = caller.vcpu;
    // Both words in one test.
    if u64::from(block::this_info().cpu().work.load(Relaxed)) | vcpu.attention() != 0 {
        core::hint::cold_path();
        return None;
    }
    if vcpu.info().upcall_due() {
        boundary::run(caller, upcall);
        // The frame may have faulted, which stops the domain. Read anew: a register kept for it would cost every entry.
        if !caller.vcpu.is_undisturbed() {
            core::hint::cold_path();
            return None;
        }
    }
    check_return(caller.registers).ok()
}

/// Leaves to the guest.
#[inline(never)]
pub fn leave() -> ReturnPath {
    let info = block::this_info();
    loop {
        if info.cpu().work.load(Relaxed) != 0 || info.current().is_none_or(|vcpu| !vcpu.has_cpu()) {
            sched::work::run();
            continue;
        }
        // SAFETY: 1. entry handlers have dropped theirs; this is what handles the entry from here on.
        let registers = unsafe { block::registers() };
        let Some(mut caller) = Caller::current(registers) else { continue };
        if !caller.vcpu.is_undisturbed() {
            boundary::run(&mut caller, pending);
            if !caller.vcpu.is_runnable() {
                continue;
            }
        }
        if caller.vcpu.info().upcall_due() {
            boundary::run(&mut caller, upcall);
            // The frame may have faulted, which stops the domain, or crossed new work.
            if !caller.vcpu.is_runnable() {
                continue;
            }
        }
        match check_return(caller.registers) {
            Ok(path) => return path,
            Err(violation) => boundary::refuse_return(&mut caller, violation),
        }
    }
}

/// Delivers an event upcall.
#[inline(never)]
fn upcall(caller: &mut Caller<'_>) {
    hit(Point::UPCALL);
    let (cpu, registers, mut context) = caller.split();
    if let Err(crash) = bounce::event(cpu, registers, &mut context) {
        caller.give_up(crash);
    }
}

/// What waits for the vCPU other than events.
#[cold]
fn pending(caller: &mut Caller<'_>) {
    let work = caller.vcpu.take_pending().0;
    if work & PendingWork::AREAS.0 != 0 {
        areas::update(caller);
    }
    if work & PendingWork::FAILSAFE.0 != 0 {
        failsafe::selectors_refused(caller);
    }
    if work & PendingWork::POLL.0 != 0 {
        caller.domain.ports.end_poll(caller.vcpu.id);
        caller.vcpu.time.lock().poll = None;
    }
    if work & PendingWork::NMI.0 != 0 {
        let (cpu, registers, mut context) = caller.split();
        match bounce::asynchronous(cpu, registers, &mut context, AsyncException::Nmi) {
            // A blocked one waits; the gate tries again at each pass until the handler has returned by iret.
            Ok(Delivery::Blocked) => drop(caller.vcpu.note(PendingWork::NMI)),
            Ok(Delivery::Entered | Delivery::Dropped) => {}
            Err(crash) => caller.give_up(crash),
        }
    }
}
