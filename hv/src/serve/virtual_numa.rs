//! Where a domain's virtual NUMA topology is kept: with its memory, until it is torn down. Context: a hypercall; the lock of
//! [`crate::domain::DomainMemory::topology`] is held for looking and replacing only. Source: Xen public header `domctl.h`.

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
    fn set_virtual_numa(&mut self, target: Target, topology: VirtualTopology) -> Result<()> {
        // What it had goes after the lock.
        let former = living(target)?.memory.topology.lock().replace(topology);
        drop(former);
        Ok(())
    }

    fn read_virtual_numa<R>(&self, target: Target, read: impl FnOnce(&VirtualTopology) -> R) -> Result<R> {
        named(target)?.memory.topology.lock().as_ref().map(read).ok_or(Errno::EOPNOTSUPP)
    }
}
