//! The end of a record: it is freed when nobody can hold a reference to it any more.
//!
//! References to domains and vCPUs live within one entry of the hypervisor, and the hypervisor runs with interrupts
//! disabled: a CPU that has passed the gate (or the idle loop) since a domain left the list holds none. So a record that
//! retires waits until each CPU has been there once. CPUs are asked to pass soon; nothing is counted when nobody waits.
//!
//! Lock: [`Level::DomainList`] around the two chains.

#![expect(unsafe_code, reason = "frees records whose references are gone")]

use alloc::boxed::Box;
use core::sync::atomic::{
    AtomicBool, AtomicPtr,
    Ordering::{AcqRel, Relaxed, Release},
};

use abi::Virq;
use locks::{Level, Lock};

use super::{Domain, list, virqs};
use crate::{
    cpu::{self, Work},
    memory::heap,
    sched::wake,
};

/// Records, linked through [`Domain::retired_next`].
struct Chain(AtomicPtr<Domain>);

impl Chain {
    const fn new() -> Self {
        Self(AtomicPtr::new(core::ptr::null_mut()))
    }

    fn is_empty(&self) -> bool {
        self.0.load(Relaxed).is_null()
    }

    fn push(&self, domain: &'static Domain) {
        domain.retired_next.store(self.0.load(Relaxed), Relaxed);
        self.0.store(domain.own.load(Relaxed), Relaxed);
    }

    fn take(&self) -> Self {
        Self(AtomicPtr::new(self.0.swap(core::ptr::null_mut(), Relaxed)))
    }

    /// Frees all of them.
    ///
    /// # Safety
    /// 1. Nobody has a reference to any of them, or can get one.
    unsafe fn free(self) {
        let mut next = self.0.load(Relaxed);
        while !next.is_null() {
            // SAFETY: made by `Box::leak`, once in one chain, and nobody else's by duty 1.
            let record = unsafe { Box::from_raw(next) };
            next = record.retired_next.load(Relaxed);
            drop(record);
        }
    }
}

/// Whether some domain may have come to its end.
static IS_ENDED: AtomicBool = AtomicBool::new(false);

/// Whether the heap may have pages that it needs no more.
static HAS_SPARE: AtomicBool = AtomicBool::new(false);

/// Records on their way out.
struct Retired {
    /// CPUs that have yet to pass for those in `leaving`.
    awaited: u64,
    leaving: Chain,
    /// Came while others were leaving.
    next: Chain,
}

static RETIRED: Lock<Retired> =
    Lock::new(Level::DomainList, Retired { awaited: 0, leaving: Chain::new(), next: Chain::new() });

impl Retired {
    /// Begins to wait for all CPUs on behalf of those that came meanwhile.
    fn begin(&mut self) {
        if self.awaited == 0 && !self.next.is_empty() {
            self.leaving = self.next.take();
            self.awaited = cpu::all().filter(|cpu| cpu.is_online()).fold(0, |mask, cpu| mask | 1 << cpu.index);
        }
    }
}

/// Ends a domain: it is not found any more, and its record goes as soon as no CPU can be using it. Once for each.
///
/// Context: nobody runs its vCPUs, and they are in no queue.
fn retire(domain: &'static Domain) {
    list::withdraw(domain);
    let awaited = {
        let mut retired = RETIRED.lock();
        retired.next.push(domain);
        retired.begin();
        retired.awaited
    };
    ask(awaited);
}

fn ask(awaited: u64) {
    for cpu in cpu::all().filter(|cpu| awaited >> cpu.index & 1 != 0) {
        wake::interrupt(cpu, Work::PASS);
    }
}

/// A domain may have come to its end: this CPU looks at its next pass. Context: any lock may be held.
pub fn reap_soon() {
    IS_ENDED.store(true, Release);
    cpu::this().raise(Work::PASS);
}

/// Retires the domains of which nothing is left.
fn reap() {
    for domain in list::all() {
        if domain.claim_retirement() {
            retire(domain);
            virqs::raise(Virq::DOM_EXC);
        }
    }
}

/// Gives back what memory the freed records had, a batch at a time. Context: no lock held.
fn shrink() {
    if heap::give_back() {
        shrink_soon();
    }
}

fn shrink_soon() {
    HAS_SPARE.store(true, Release);
    cpu::this().raise(Work::PASS);
}

/// This CPU has no reference to any domain now but its resident vCPU's. Context: the gate or the idle loop, no lock held.
pub fn passed() {
    if IS_ENDED.swap(false, AcqRel) {
        reap();
    }
    if HAS_SPARE.swap(false, AcqRel) {
        shrink();
    }
    let own = 1 << cpu::this().index;
    let (gone, awaited) = {
        let mut retired = RETIRED.lock();
        let was_awaited = retired.awaited & own != 0;
        retired.awaited &= !own;
        if !was_awaited || retired.awaited != 0 {
            return;
        }
        let gone = retired.leaving.take();
        retired.begin();
        (gone, retired.awaited)
    };
    // SAFETY: 1. withdrawn from the list before every CPU passed here; vCPUs of theirs are resident nowhere (`retire`).
    unsafe { gone.free() };
    shrink_soon();
    ask(awaited);
}

/// Undoes the creation of a record that was never published: it is freed at once.
pub fn discard(domain: &'static Domain) {
    let chain = Chain::new();
    chain.push(domain);
    // SAFETY: 1. the only reference was the creator's, who gives it up.
    unsafe { chain.free() };
}
