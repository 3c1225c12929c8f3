//! vCPUs by number, and work on one that is kept off all CPUs meanwhile.

use abi::{Errno, Result, VcpuId};
use hypercalls::{authority::Target, op::vcpu::Progress};
use pv_mmu::Stop;

use crate::{
    domain::{Domain, Held, Vcpu},
    fail_point::{Point, hit},
    serve::memory::living,
};

/// A vCPU of a domain. Errors: `ESRCH`.
pub fn vcpu(domain: &'static Domain, id: VcpuId) -> Result<&'static Vcpu> {
    domain.vcpu(id).ok_or(Errno::ESRCH)
}

/// Takes hold of a vCPU for `work`; it may not be to be had just now. Errors: `ESRCH`, those of `work`.
pub fn with_held(target: Target, id: VcpuId, work: impl FnOnce(&mut Held) -> Result<Progress>) -> Result<Progress> {
    let domain = living(target)?;
    match Held::take(vcpu(domain, id)?) {
        Ok(mut held) => {
            hit(Point::HOLDING);
            work(&mut held)
        }
        Err(Stop::Preempted) => Ok(Progress::Preempted),
        Err(Stop::Errno(errno)) => Err(errno),
    }
}
