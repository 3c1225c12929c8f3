//! sched_op: yielding, sleeping, polling, stopping.
//!
//! Sleeping is a flag; the CPU lets go at the gate. The flag is set before pending events are looked at, and whoever
//! raises an event clears it after setting the event, so no wake-up is lost.

use abi::{Errno, Port, Result, sched::ShutdownReason};
use event_channels::UpcallMask;
use hypercalls::{
    authority::{HardwareDomain, Target},
    op::sched::SchedulerHost,
};

use super::Caller;
use crate::{
    cpu::{self, Work},
    domain::{self, RunFlags},
    sched::{pools, timers},
    time::clock,
};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

impl SchedulerHost for Caller<'_> {
    fn yield_now(&mut self) {
        cpu::this().raise(Work::YIELD);
    }

    fn block(&mut self) {
        let info = self.vcpu.info();
        info.set_upcall_mask(UpcallMask::Open);
        self.vcpu.stop(RunFlags::BLOCKED);
        if info.upcall_pending() {
            self.vcpu.release(RunFlags::BLOCKED);
        }
    }

    fn poll_prepare(&mut self) {
        self.vcpu.stop(RunFlags::POLLING);
        // The vCPU exists, so this cannot fail.
        let _ = self.domain.ports.begin_poll(self.vcpu.id);
    }

    fn poll_cancel(&mut self) {
        self.domain.ports.end_poll(self.vcpu.id);
        self.vcpu.release(RunFlags::POLLING);
    }

    fn poll_wait(&mut self, only: Option<Port>, deadline: Option<u64>) {
        if let Some(port) = only {
            self.domain.ports.poll_only(self.vcpu.id, port);
        }
        self.vcpu.note(domain::PendingWork::POLL);
        if let Some(deadline) = deadline {
            timers::change(self.vcpu, |time| time.poll = Some(deadline));
        }
    }

    fn upcall_deliverable(&self) -> bool {
        self.vcpu.info().upcall_due()
    }

    fn port_is_pending(&self, port: Port) -> Result<bool> {
        self.domain.ports.is_pending(port)
    }

    fn shutdown(&mut self, reason: ShutdownReason) {
        let latched = self.domain.latched_code.load(core::sync::atomic::Ordering::Acquire);
        let reason = if latched == u32::MAX { reason } else { ShutdownReason(latched) };
        domain::shut_down(self.domain, reason);
    }

    fn shutdown_other(&mut self, target: Target, reason: ShutdownReason) -> Result<()> {
        domain::shut_down(domain::find(target.id()).ok_or(Errno::ESRCH)?, reason);
        Ok(())
    }

    fn latch_shutdown_code(&mut self, reason: ShutdownReason) {
        use core::sync::atomic::Ordering::{AcqRel, Acquire};
        // The first one wins.
        let _ = self.domain.latched_code.compare_exchange(u32::MAX, reason.0, AcqRel, Acquire);
    }

    fn watchdog_start(&mut self, seconds: u32) -> Option<u32> {
        let deadline = clock::now() + u64::from(seconds) * SECOND;
        let mut control = self.domain.control.lock();
        let (index, slot) = control.watchdogs.iter_mut().enumerate().find(|(_, slot)| slot.is_none())?;
        *slot = Some(deadline);
        self.domain.watchdog_due.fetch_min(deadline, core::sync::atomic::Ordering::Relaxed);
        drop(control);
        timers::watchdog_set(deadline);
        Some(index as u32)
    }

    fn watchdog_rewind(&mut self, index: u32, seconds: u32) -> bool {
        let deadline = clock::now() + u64::from(seconds) * SECOND;
        let mut control = self.domain.control.lock();
        let Some(slot) = control.watchdogs.get_mut(index as usize).filter(|slot| slot.is_some()) else { return false };
        *slot = Some(deadline);
        self.domain.watchdog_due.fetch_min(deadline, core::sync::atomic::Ordering::Relaxed);
        drop(control);
        timers::watchdog_set(deadline);
        true
    }

    fn watchdog_stop(&mut self, index: u32) -> bool {
        let mut control = self.domain.control.lock();
        control.watchdogs.get_mut(index as usize).and_then(Option::take).is_some()
    }

    fn pin_override(&mut self, _authority: HardwareDomain, cpu: Option<u32>) -> Result<()> {
        match cpu {
            Some(index) => pools::bind(self.vcpu, index),
            None => pools::end_binding(self.vcpu),
        }
    }
}
