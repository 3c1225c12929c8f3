//! Keeping a vCPU off all CPUs while somebody else looks at its state or changes it.
//!
//! One holder at a time. The flag keeps the scheduler from choosing the vCPU; a CPU that has it, or still has its
//! registers, is made to let go and waited for, but not for long: two vCPUs may be waiting for each other. Context: a
//! hypercall, no lock held.

#![expect(unsafe_code, reason = "hands out the state of a vCPU that is off all CPUs")]

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use abi::Errno;
use pv_mmu::Stop;

use super::{Domain, RunFlags, Vcpu, VcpuState};
use crate::{
    cpu::{self, Work},
    fail_point::{Point, hit},
    interrupt::flush,
    sched::wake,
    time::clock,
};

/// How long a CPU is waited for, nanoseconds; it has to reach its gate only.
const PATIENCE: u64 = 500_000;

/// A vCPU that runs nowhere and is resident nowhere, as long as this lives.
pub struct Held(&'static Vcpu);

impl Held {
    /// Takes hold of a vCPU other than the caller's own. Errors: `Preempted` to try again later, `ESRCH` if its domain's
    /// teardown has it.
    pub fn take(vcpu: &'static Vcpu) -> Result<Self, Stop> {
        if vcpu.is_evicted() {
            return Err(Stop::Errno(Errno::ESRCH));
        }
        if vcpu.stop(RunFlags::HELD).0 & RunFlags::HELD.0 != 0 {
            return Err(Stop::Preempted);
        }
        vcpu.holder.store(own_mark(), Release);
        hit(Point::TAKING_HOLD);
        let held = Self(vcpu);
        let deadline = clock::now() + PATIENCE;
        while !is_off(vcpu) {
            if clock::now() > deadline {
                return Err(Stop::Preempted);
            }
            flush::answer();
            core::hint::spin_loop();
        }
        Ok(held)
    }

    /// Which one.
    pub fn vcpu(&self) -> &'static Vcpu {
        self.0
    }

    /// Its state.
    pub fn state(&mut self) -> &mut VcpuState {
        // SAFETY: 1. off all CPUs, and kept so by the flag that this value stands for. 2. borrows this value.
        unsafe { self.0.state() }
    }

    /// Never lets go again: the vCPU has come to its end.
    pub fn keep(self) {
        core::mem::forget(self);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.holder.store(0, Release);
        wake::release(self.0, RunFlags::HELD);
    }
}

/// This CPU in [`Vcpu::holder`].
fn own_mark() -> u32 {
    cpu::this().index as u32 + 1
}

/// A fault has thrown away what this CPU did with the domain, guards and all: the vCPUs it held are free again.
pub fn abandon(domain: &'static Domain) {
    for vcpu in domain.vcpus().iter().filter(|vcpu| !vcpu.is_evicted()) {
        if vcpu.holder.compare_exchange(own_mark(), 0, AcqRel, Relaxed).is_ok() {
            wake::release(vcpu, RunFlags::HELD);
        }
    }
}

/// Whether no CPU has it, and none can choose it, seeing its flag. The queue's lock comes after the flag: what chose it
/// before that has said so in `running` by then.
fn is_off(vcpu: &'static Vcpu) -> bool {
    let Some(processor) = cpu::by_index(vcpu.processor.load(Acquire) as usize) else { return false };
    if !processor.queue.lock().has(vcpu.entity) {
        return false;
    }
    if vcpu.running.load(Acquire) || vcpu.resident.load(Acquire) {
        wake::interrupt(processor, Work::SCHEDULE);
        return false;
    }
    true
}
