//! Virtual NUMA: the topology that a toolstack gives a domain (setvnumainfo, a domctl), and what is told of it
//! (get_vnumainfo, a memory_op).
//!
//! Each array is copied in once, checked, and the whole put in place of the topology before. An array is a page at most,
//! so neither call is preemptible. Nothing is placed by it: all memory is one node here. Source: Xen public headers
//! `domctl.h`, `memory.h`; limits as Xen 4.17 answers.

use alloc::vec::Vec;

use abi::domctl_domain::VirtualNuma;
use abi::memory::{VirtualMemoryRange, VnumaTopology};
use abi::{Errno, GuestHandle, Result};
use zerocopy::{FromBytes, IntoBytes};

use super::domctl::LifecycleHost;
use crate::authority::{self, Policy, Target};
use crate::guest::{self, GuestMemory};
use crate::outcome::Reply;

/// Bytes that each array may have.
const ARRAY_BYTES: usize = 4096;
/// Physical nodes that can be named, whether the machine has them or not.
const PHYSICAL_NODES: u32 = 64;

/// A domain's topology.
#[derive(Debug)]
pub struct VirtualTopology {
    /// Distance of each node from each, node by node.
    distances: Vec<u32>,
    /// Node of each vCPU.
    vcpu_nodes: Vec<u32>,
    /// Physical node of each node.
    physical_nodes: Vec<u32>,
    ranges: Vec<VirtualMemoryRange>,
}

impl VirtualTopology {
    /// Another one of the same content. Errors: `ENOMEM`.
    fn copied(&self) -> Result<Self> {
        Ok(Self {
            distances: copied(&self.distances)?,
            vcpu_nodes: copied(&self.vcpu_nodes)?,
            physical_nodes: copied(&self.physical_nodes)?,
            ranges: copied(&self.ranges)?,
        })
    }

    /// On which physical node a node lies; `None` if the domain has no such node.
    pub fn physical_node(&self, node: u32) -> Option<u32> {
        self.physical_nodes.get(node as usize).copied()
    }
}

/// Where topologies are kept.
pub trait VirtualNumaHost {
    /// Gives the domain a topology instead of the one it had. Errors: `ESRCH` if it went away.
    fn set_virtual_numa(&mut self, target: Target, topology: VirtualTopology) -> Result<()>;
    /// Looks at the domain's topology, with a lock held: `read` uses no guest memory. Errors: `EOPNOTSUPP` it has none,
    /// `ESRCH` if it went away.
    fn read_virtual_numa<R>(&self, target: Target, read: impl FnOnce(&VirtualTopology) -> R) -> Result<R>;
}

/// Errors: `ENOMEM`.
fn copied<T: Clone>(values: &[T]) -> Result<Vec<T>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(values.len()).map_err(|_| Errno::ENOMEM)?;
    copy.extend_from_slice(values);
    Ok(copy)
}

/// Copies an array in. Errors: `EINVAL` for one too large, `ENOMEM`, `EFAULT`.
fn array<T>(host: &impl GuestMemory, handle: GuestHandle<T>, count: usize) -> Result<Vec<T>>
where
    T: FromBytes + IntoBytes + Clone,
    [T]: FromBytes + IntoBytes,
{
    if count.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > ARRAY_BYTES) {
        return Err(Errno::EINVAL);
    }
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    values.resize(count, T::new_zeroed());
    guest::read_array(host, handle, 0, &mut values)?;
    Ok(values)
}

/// setvnumainfo(74). Errors: `EINVAL` no nodes, another number of vCPUs than the domain's, padding, an array of more than a
/// page, a range with flags; `E2BIG` a vCPU on a node there is not, or a physical node beyond all; `EFAULT`, `ENOMEM`,
/// `ESRCH`.
pub(super) fn set<H>(host: &mut H, asked: &VirtualNuma, target: Target) -> Result<()>
where
    H: VirtualNumaHost + LifecycleHost + GuestMemory,
{
    if asked.nodes == 0 || asked.reserved != 0 || asked.vcpus != host.vcpu_maximum(target)? {
        return Err(Errno::EINVAL);
    }
    let nodes = asked.nodes as usize;
    let topology = VirtualTopology {
        distances: array(host, asked.distances, nodes.checked_mul(nodes).ok_or(Errno::EINVAL)?)?,
        vcpu_nodes: array(host, asked.vcpu_nodes, asked.vcpus as usize)?,
        physical_nodes: array(host, asked.physical_nodes, nodes)?,
        ranges: array(host, asked.memory, asked.ranges as usize)?,
    };
    let is_beyond = |values: &[u32], limit: u32| values.iter().any(|&value| value >= limit);
    if is_beyond(&topology.vcpu_nodes, asked.nodes) || is_beyond(&topology.physical_nodes, PHYSICAL_NODES) {
        return Err(Errno::E2BIG);
    }
    if topology.ranges.iter().any(|range| range.flags != 0) {
        return Err(Errno::EINVAL);
    }
    host.set_virtual_numa(target, topology)
}

/// get_vnumainfo(26): how many there are of each, and if there is room for all of them, which.
/// Errors: `EINVAL` for padding, `ESRCH`, `EPERM`, `EOPNOTSUPP` no topology, `ENOBUFS` too little room, `ENOMEM`,
/// `EFAULT`.
pub(super) fn get<H>(host: &H, argument: GuestHandle<VnumaTopology>) -> Reply
where
    H: VirtualNumaHost + Policy + GuestMemory,
{
    let mut request = guest::read(host, argument)?;
    if request.reserved != 0 {
        return Err(Errno::EINVAL.into());
    }
    let topology = host.read_virtual_numa(authority::target(host, request.domain)?, VirtualTopology::copied)??;
    let there_are = [topology.physical_nodes.len(), topology.vcpu_nodes.len(), topology.ranges.len()];
    let room = [request.vnode_count, request.vcpu_count, request.range_count];
    let is_room = room.iter().zip(there_are).all(|(&room, count)| room as usize >= count);
    [request.vnode_count, request.vcpu_count, request.range_count] = there_are.map(|count| count as u32);
    if is_room {
        let write = |handle: GuestHandle<u8>, bytes: &[u8]| guest::copy_out_bytes(host, handle.address(), bytes);
        write(request.ranges.cast(), topology.ranges.as_bytes())?;
        write(request.distance.cast(), topology.distances.as_bytes())?;
        write(request.vcpu_to_vnode.cast(), topology.vcpu_nodes.as_bytes())?;
    }
    guest::write(host, argument, &request)?;
    if is_room { Ok(0) } else { Err(Errno::ENOBUFS.into()) }
}
