//! Where vCPUs run, and shares of the CPUs.

use core::sync::atomic::Ordering::{Acquire, Release};

use abi::{Result, VcpuId};
use hypercalls::{
    authority::Target,
    op::domctl::{Affinity, AffinityWish, PlacementHost, Share},
};

use crate::{
    cpu,
    sched::{pools, share},
    serve::{
        Caller,
        memory::{living, named},
    },
};

impl PlacementHost for Caller<'_> {
    fn cpu_limit(&self) -> u32 {
        cpu::count() as u32
    }

    fn pool_cpus(&self, target: Target) -> Result<u64> {
        Ok(pools::cpus_of(named(target)?))
    }

    fn affinity(&self, target: Target, vcpu: VcpuId) -> Result<Affinity> {
        let vcpu = super::vcpu(named(target)?, vcpu)?;
        Ok(Affinity { hard: vcpu.hard_affinity(), soft: vcpu.soft_affinity.load(Acquire) })
    }

    fn set_affinity(&mut self, target: Target, vcpu: VcpuId, wish: AffinityWish) -> Result<Affinity> {
        pools::set_affinity(super::vcpu(living(target)?, vcpu)?, wish)
    }

    fn nodes(&self, target: Target) -> Result<u64> {
        Ok(named(target)?.nodes.load(Acquire))
    }

    fn set_nodes(&mut self, target: Target, nodes: u64) -> Result<()> {
        living(target)?.nodes.store(nodes, Release);
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
