//! Where a domain's virtual NUMA topology is kept: with its memory, until it is torn down.

use alloc::sync::Arc;

use abi::{Errno, Result};
use hypercalls::{
    authority::Target,
    op::virtual_numa::{VirtualNumaHost, VirtualTopology},
};

use super::{
    Caller,
    memory::{living, named},
};

impl VirtualNumaHost for Caller<'_> {
    fn set_virtual_numa(&mut self, target: Target, topology: Arc<VirtualTopology>) -> Result<()> {
        // What it had goes after the lock.
        let former = living(target)?.memory.topology.lock().replace(topology);
        drop(former);
        Ok(())
    }

    fn virtual_numa(&self, target: Target) -> Result<Arc<VirtualTopology>> {
        named(target)?.memory.topology.lock().clone().ok_or(Errno::EOPNOTSUPP)
    }
}
