//! Where vCPUs run, and shares of the CPUs.

use core::sync::atomic::Ordering::{AcqRel, Acquire};

use abi::{Errno, Result, VcpuId};
use hypercalls::{
    authority::Target,
    op::domctl::{Affinity, PinOverride, PlacementHost, Share},
};

use crate::{
    cpu,
    sched::{pools, share, wake},
    serve::{
        Caller,
        memory::{living, named},
    },
};

/// No CPU that a vCPU is bound to.
const NOT_BOUND: u32 = u32::MAX;

impl PlacementHost for Caller<'_> {
    fn cpu_limit(&self) -> u32 {
        cpu::count() as u32
    }

    fn pool_cpus(&self, target: Target) -> Result<u64> {
        Ok(pools::cpus_of(named(target)?))
    }

    fn affinity(&self, target: Target, vcpu: VcpuId) -> Result<Affinity> {
        let vcpu = super::vcpu(named(target)?, vcpu)?;
        Ok(Affinity { hard: vcpu.affinity.load(Acquire), soft: vcpu.soft_affinity.load(Acquire) })
    }

    fn set_affinity(&mut self, target: Target, vcpu: VcpuId, affinity: Affinity, pin: PinOverride) -> Result<()> {
        let vcpu = super::vcpu(living(target)?, vcpu)?;
        if pin == PinOverride::End {
            vcpu.pin_override.swap(NOT_BOUND, AcqRel);
        } else if vcpu.pin_override.load(Acquire) != NOT_BOUND {
            return Err(Errno::EBUSY);
        }
        wake::set_affinity(vcpu, affinity.hard, affinity.soft);
        Ok(())
    }

    fn share(&self, target: Target) -> Result<Share> {
        let (weight, cap) = share::get(named(target)?);
        Ok(Share { weight, cap })
    }

    fn set_share(&mut self, target: Target, wanted: Share) -> Result<()> {
        share::set(living(target)?, wanted.weight, wanted.cap);
        Ok(())
    }
}
