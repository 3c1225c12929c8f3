//! acquire_resource(28): frames of another domain's hypervisor-owned tables, for its toolstack to map.
//!
//! Only grant tables exist as such a resource here; device models and tracing have none for PV domains.

use abi::memory::{
    AcquireResource, MemoryOperation, OPERATION_BITS, RESOURCE_GRANT_TABLE_SHARED, RESOURCE_GRANT_TABLE_STATUS,
    ResourceType,
};
use abi::{Errno, Gfn, GuestHandle, Mfn, Result};

use crate::authority::{self, Policy, Target};
use crate::guest::{self, GuestMemory, Preemption};
use crate::outcome::{Failure, Reply};

/// A table whose frames can be mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resource {
    /// The grant entries.
    GrantShared,
    /// The status words of version 2.
    GrantStatus,
}

/// Tables of domains, by frame.
pub trait ResourceHost {
    /// Frames the table can ever have; none if the domain has no such table.
    fn resource_size(&self, target: Target, resource: Resource) -> Option<u32>;
    /// Frame `index` of it, made now if the table is shorter so far. Errors: `EINVAL`, `ENOMEM`, `ESRCH`.
    fn resource_frame(&mut self, target: Target, resource: Resource, index: u32) -> Result<Mfn>;
}

/// Frames handed out between two looks at the clock.
const STRIDE: u64 = 32;
/// Most frames a command has room to count.
const FRAMES_MAX: u32 = u32::MAX >> OPERATION_BITS;

/// Writes frame numbers to the list; a null list with no frames asks for the size, which for a kind that nobody knows is
/// that error's number.
/// Errors: `EFAULT`, `EINVAL` for padding, one of list and count without the other, more frames than a preempted call can
/// count, a resource that the domain does not have or a range that it does not have, `EOPNOTSUPP` for an unknown kind,
/// `ESRCH`, `EPERM` (the caller itself included).
pub fn acquire<H>(host: &mut H, start: u64, argument: GuestHandle<AcquireResource>) -> Reply
where
    H: ResourceHost + Policy + GuestMemory + Preemption,
{
    let mut request = guest::read(host, argument)?;
    let first = u32::try_from(request.frame).map_err(|_| Errno::EINVAL)?;
    if request.reserved != 0 {
        return Err(Errno::EINVAL.into());
    }
    let target = authority::find_remote(host, request.domain)?.device_model(host)?;
    let asks_size = request.frame_count == 0;
    if request.frame_list.is_null() != asks_size || request.frame_count > FRAMES_MAX {
        return Err(Errno::EINVAL.into());
    }
    let (resource, size) = match resource(&request) {
        Ok(resource) => (resource, host.resource_size(target, resource).ok_or(Errno::EINVAL)?),
        Err(Errno::EOPNOTSUPP) if asks_size => {
            request.frame_count = Errno::EOPNOTSUPP.number().wrapping_neg() as u32;
            guest::write(host, argument, &request)?;
            return Ok(0);
        }
        Err(error) => return Err(error.into()),
    };
    if asks_size {
        request.frame_count = size;
        guest::write(host, argument, &request)?;
        return Ok(0);
    }
    let end = first.checked_add(request.frame_count).filter(|end| *end <= size).ok_or(Errno::EINVAL)?;
    guest::check_array(request.frame_list, u64::from(request.frame_count))?;
    let begin = u64::from(first) + start;
    for index in begin..u64::from(end) {
        let done = index - u64::from(first);
        if index != begin && done.is_multiple_of(STRIDE) && host.preempted() {
            let command = u64::from(MemoryOperation::ACQUIRE_RESOURCE.0) | done << OPERATION_BITS;
            return Err(Failure::Preempted([command, argument.address().0, 0, 0, 0, 0]));
        }
        let frame = host.resource_frame(target, resource, index as u32)?;
        guest::write(host, request.frame_list.element(done), &Gfn(frame.0))?;
    }
    Ok(0)
}

/// What is meant. Errors: `EINVAL` for what only other domains have, and for no table's id, `EOPNOTSUPP`.
fn resource(request: &AcquireResource) -> Result<Resource> {
    match (request.kind, request.id) {
        (ResourceType::GRANT_TABLE, RESOURCE_GRANT_TABLE_SHARED) => Ok(Resource::GrantShared),
        (ResourceType::GRANT_TABLE, RESOURCE_GRANT_TABLE_STATUS) => Ok(Resource::GrantStatus),
        (ResourceType::GRANT_TABLE | ResourceType::IOREQ_SERVER | ResourceType::VMTRACE_BUFFER, _) => {
            Err(Errno::EINVAL)
        }
        _ => Err(Errno::EOPNOTSUPP),
    }
}
