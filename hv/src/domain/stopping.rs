//! Pausing, stopping and resuming a domain.
//!
//! The toolstack's pauses are counted; a domain that stopped keeps its reason until it is resumed. Both are flags of all
//! vCPUs. Counts and flags change together under the control lock; the run queues hear of it afterwards and look at the
//! flags themselves. Source: Xen public headers `domctl.h`, `sched.h`.

use core::sync::atomic::Ordering::{AcqRel, Acquire};

use abi::{Errno, Port, Result, Virq, sched::ShutdownReason};

use super::{Domain, Kicked, RunFlags, changes, hardware_domain, virqs};
use crate::sched::wake;

/// Most pauses of a toolstack at a time.
const MOST_PAUSES: u32 = 255;

impl Domain {
    /// One pause more. Errors: `EOVERFLOW`.
    pub fn pause(&'static self) -> Result<()> {
        {
            let mut control = self.control.lock();
            if control.pauses >= MOST_PAUSES {
                return Err(Errno::EOVERFLOW);
            }
            control.pauses += 1;
            self.set_flags(RunFlags::PAUSED);
        }
        self.tell_queues();
        Ok(())
    }

    /// One pause less. Errors: `EINVAL` there was none.
    pub fn unpause(&'static self) -> Result<()> {
        {
            let mut control = self.control.lock();
            control.pauses = control.pauses.checked_sub(1).ok_or(Errno::EINVAL)?;
            if control.pauses != 0 {
                return Ok(());
            }
            // From its first run on, it sees what it was given until then.
            if !self.is_started.swap(true, AcqRel)
                && let Some(policy) = control.wanted_policy.take()
            {
                self.policy.call_once(|| policy);
            }
            self.clear_flags(RunFlags::PAUSED);
        }
        self.tell_queues();
        Ok(())
    }

    /// Whether a toolstack has it paused.
    pub fn is_paused(&self) -> bool {
        self.control.lock().pauses != 0
    }

    /// Lets a domain that stopped go on.
    pub fn resume(&'static self) {
        {
            let _control = self.control.lock();
            self.forget_shutdown();
            self.clear_flags(RunFlags::STOPPED);
        }
        self.tell_queues();
    }

    fn set_flags(&'static self, flags: RunFlags) {
        for vcpu in self.vcpus() {
            vcpu.stop(flags);
        }
    }

    fn clear_flags(&'static self, flags: RunFlags) {
        for vcpu in self.vcpus() {
            vcpu.release(flags);
        }
    }

    fn tell_queues(&'static self) {
        for vcpu in self.vcpus() {
            wake::flags_changed(vcpu);
        }
    }

    /// None of its vCPUs runs again: it is being taken down.
    pub(super) fn stop_for_good(&'static self) {
        self.set_flags(RunFlags::STOPPED);
        self.tell_queues();
    }
}

/// Stops a domain for `reason`: none of its vCPUs runs until it is resumed, and the toolstack hears of it. For the
/// hardware domain the reason is the host's fate. Context: no lock held.
pub fn shut_down(domain: &'static Domain, reason: ShutdownReason) {
    {
        let _control = domain.control.lock();
        if !domain.begin_shutdown(reason) {
            return;
        }
        domain.set_flags(RunFlags::STOPPED);
    }
    changes::note(domain.id);
    domain.tell_queues();
    if hardware_domain().is_some_and(|hardware| core::ptr::eq(hardware, domain)) {
        crate::platform::power::hardware_domain_stopped(reason);
    }
    let port = domain.suspend_port.load(Acquire);
    if reason == ShutdownReason::SUSPEND && port != 0 {
        // A port that is closed by now tells nobody, as on Xen.
        if let Ok(wake) = domain.ports.send(Port(port)) {
            wake.kick();
        }
    } else {
        virqs::raise(Virq::DOM_EXC);
    }
}
