//! CPU pools as the toolstack sees them.

use abi::{Errno, Result};
use hypercalls::{
    authority::{ControlDomain, Target},
    op::sysctl::{PoolFacts, PoolHost},
};

use crate::{domain, sched::pools, serve::Caller};

const NANOSECONDS: u64 = 1000;

impl PoolHost for Caller<'_> {
    fn pool_from(&self, id: u32) -> Option<PoolFacts> {
        let (pool, domains) = pools::find_from(id)?;
        let rate_limit = (pool.rate_limit_ns / NANOSECONDS) as u32;
        Some(PoolFacts { id: pool.id, cpus: pool.cpus, domains, rate_limit })
    }

    fn free_cpus(&self) -> u64 {
        pools::free_cpus()
    }

    fn pool_create(&mut self, _authority: ControlDomain, wanted: Option<u32>) -> Result<u32> {
        pools::create(wanted)
    }

    fn pool_destroy(&mut self, _authority: ControlDomain, id: u32) -> Result<()> {
        pools::destroy(id)
    }

    fn pool_add_cpu(&mut self, _authority: ControlDomain, id: u32, cpu: Option<u32>) -> Result<()> {
        pools::add_cpu(id, cpu)
    }

    fn pool_remove_cpu(&mut self, _authority: ControlDomain, id: u32, cpu: Option<u32>) -> Result<()> {
        pools::remove_cpu(id, cpu)
    }

    fn pool_move_domain(&mut self, target: Target, id: u32) -> Result<()> {
        pools::move_domain(domain::find(target.id()).ok_or(Errno::ESRCH)?, id)
    }

    fn pool_set_rate_limit(&mut self, _authority: ControlDomain, id: u32, limit: u32) -> Result<()> {
        pools::set_rate_limit(id, u64::from(limit) * NANOSECONDS)
    }
}
