//! Taking CPUs out of service and back while guests run.
//!
//! A CPU out of service is an idle one that nobody counts on: no vCPU, interrupt, timer or flush is for it, and it halts.
//! It does both changes itself, at its gate or idle loop ([`Work::SERVICE`]); who asks sees `online` follow `wanted`.
//! The boot CPU stays, and looks after the timers that a CPU that goes leaves behind. Context: no lock held.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use abi::{Errno, Result, Virq};
use pv_mmu::{Stop, finish_drops};

use super::{Cpu, Work, memory_types};
use crate::{
    domain::virqs,
    interrupt::{device, flush, local_apic},
    memory::mmu::Machine,
    sched::{pools, queue, timers, wake},
    time::watchdog,
};

/// How far a change got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Change {
    /// It is as it should be.
    Done,
    /// Ask again: the CPU is at it.
    UnderWay,
}

/// Takes a CPU out of service. Errors: `EBUSY` for the boot CPU, or while it comes.
pub fn stop(cpu: &'static Cpu) -> Result<Change> {
    if cpu.index == 0 {
        return Err(Errno::EBUSY);
    }
    change(cpu, false)
}

/// Brings a CPU back. Errors: `EBUSY` while it goes, `EIO` for one that did not start at boot.
pub fn start(cpu: &'static Cpu) -> Result<Change> {
    if !cpu.has_started.load(Acquire) {
        return Err(Errno::EIO);
    }
    change(cpu, true)
}

fn change(cpu: &'static Cpu, wanted: bool) -> Result<Change> {
    let (is, was_wanted) = (cpu.online.load(Acquire), cpu.wanted.load(Acquire));
    match (is == wanted, was_wanted == wanted) {
        (true, true) => Ok(Change::Done),
        // On its way to what was asked for before.
        (true, false) => Err(Errno::EBUSY),
        (false, true) => Ok(Change::UnderWay),
        (false, false) => {
            // Two may ask at the same moment; one of them does it.
            if cpu.wanted.compare_exchange(!wanted, wanted, AcqRel, Acquire).is_err() {
                return Ok(Change::UnderWay);
            }
            if !wanted {
                pools::withdraw_cpu(cpu.index as u32).inspect_err(|_| cpu.wanted.store(true, Release))?;
            }
            wake::interrupt(cpu, Work::SERVICE);
            Ok(Change::UnderWay)
        }
    }
}

/// CPUs that are out of service to save power.
static PARKED: AtomicU64 = AtomicU64::new(0);

/// How many CPUs are out of service to save power.
pub fn parked() -> u32 {
    PARKED.load(Acquire).count_ones()
}

/// Keeps `count` CPUs out of service, the last ones first. Errors: `EINVAL` for more than can go.
pub fn park(count: u32) -> Result<Change> {
    let bit = |cpu: &Cpu| 1_u64 << cpu.index;
    let is_parked = |cpu: &Cpu| PARKED.load(Acquire) & bit(cpu) != 0;
    while parked() < count {
        let next = super::all().filter(|cpu| cpu.index != 0 && cpu.wanted.load(Acquire) && !is_parked(cpu)).last();
        PARKED.fetch_or(next.map(bit).ok_or(Errno::EINVAL)?, AcqRel);
    }
    let mut outcome = Change::Done;
    while parked() > count {
        let Some(next) = super::all().find(|cpu| is_parked(cpu)) else { break };
        PARKED.fetch_and(!bit(next), AcqRel);
        if start(next)? == Change::UnderWay {
            outcome = Change::UnderWay;
        }
    }
    for cpu in super::all().filter(|cpu| is_parked(cpu)) {
        if stop(cpu)? == Change::UnderWay {
            outcome = Change::UnderWay;
        }
    }
    Ok(outcome)
}

/// Goes or comes, as is wanted of this CPU.
pub fn change_own() {
    let this = super::this();
    match (this.wanted.load(Acquire), this.online.load(Acquire)) {
        (false, true) => leave(this),
        (true, false) => come_back(this),
        _ => {}
    }
}

/// Gives everything up. The vCPU that is resident here goes at the next decision, so this runs again until it has gone.
fn leave(this: &'static Cpu) {
    queue::board().set_offline(this.index as u32);
    this.queue.lock().close();
    loop {
        let entity = this.queue.lock().detach_any();
        let Some(entity) = entity else { break };
        queue::rehome(entity, this);
    }
    let is_empty = this.queue.lock().is_empty();
    if !is_empty || super::block::this_info().current().is_some() {
        this.raise(Work(Work::SCHEDULE.0 | Work::SERVICE.0));
        return;
    }
    // Work that no vCPU stands for has nobody else to finish it.
    while finish_drops(&Machine) == Err(Stop::Preempted) {}
    device::move_away(this);
    if let Some(first) = super::by_index(0) {
        timers::give_away(first);
    }
    this.slice_end.store(u64::MAX, Relaxed);
    this.next_deadline.store(u64::MAX, Relaxed);
    local_apic::set_timer(0);
    this.online.store(false, Release);
    log::info!("CPU {} is now offline", this.index);
    announce();
}

fn come_back(this: &'static Cpu) {
    // Whatever it still translates is from before.
    flush::local();
    memory_types::load();
    this.queue.lock().open();
    watchdog::forget();
    this.online.store(true, Release);
    queue::board().set_online(this.index as u32);
    pools::restore_cpu(this.index as u32);
    this.raise(Work(Work::SCHEDULE.0 | Work::TIMER.0));
    log::info!("CPU {} is now online", this.index);
    announce();
}

/// Tells dom0.
fn announce() {
    virqs::raise(Virq::PCPU_STATE);
}
