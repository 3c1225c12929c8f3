//! memory_op: a domain's memory reservation, the machine's and the domain's memory maps. Source: Xen public header
//! `memory.h`.
//!
//! The command's low six bits name the operation, the rest is where a preempted call goes on. PV callers and targets
//! only: the calls about a translated address space answer as they do for any PV target.

mod exchange;
mod map;
mod reservation;
mod resource;

use abi::memory::{
    AccessOperation, AddToPhysmap, AddToPhysmapBatch, MapSpace, MemoryDomain, MemoryOperation, MemoryReservation,
    OPERATION_BITS, PodTarget, RESERVED_MEMORY_ALL, RemoveFromPhysmap, ReservedDeviceMemoryMap,
};
use abi::{Errno, GuestHandle, Result};

pub use self::exchange::ExchangeHost;
pub use self::map::MemoryMapHost;
pub use self::reservation::{Placement, ReservationHost};
pub use self::resource::{Resource, ResourceHost};
use crate::authority::{self, Policy, Target};
use crate::guest::{self, GuestMemory, Preemption};
use crate::op::virtual_numa;
use crate::outcome::Reply;
use crate::table::{Row, rows};

/// Facts about memory that calls ask for.
pub trait MemoryHost: ExchangeHost + MemoryMapHost + ResourceHost {
    /// Pages the domain has. Errors: `ESRCH` if it went away.
    fn current_pages(&self, target: Target) -> Result<u64>;
    /// Pages the domain may have. Errors: `ESRCH` if it went away.
    fn maximum_pages(&self, target: Target) -> Result<u64>;
    /// The `max_pfn` the domain itself wrote into its shared page. Errors: `ESRCH` if it went away.
    fn shared_max_pfn(&self, target: Target) -> Result<u64>;
    /// Sets aside free pages for a domain until it has `pages` in all; 0 gives the rest back.
    /// Errors: `EINVAL` if it has a claim, has that many, or may not have that many; `ENOMEM`; `ESRCH`.
    fn claim_pages(&mut self, target: Target, pages: u64) -> Result<()>;
}

/// memory_op(12). Errors: `ENOSYS` for an unknown operation, else as the operations say. Operations 0, 1 and 6 never
/// fail: their result is the number of extents done.
#[inline]
pub fn memory<H>(host: &mut H, command: u64, argument: GuestHandle<u8>) -> Reply
where
    H: MemoryHost + Policy + GuestMemory + Preemption,
{
    let operation = MemoryOperation(command as u32 & ((1 << OPERATION_BITS) - 1));
    let start = command >> OPERATION_BITS;
    match operation {
        MemoryOperation::INCREASE_RESERVATION => reservation::increase(host, start, argument.cast()),
        MemoryOperation::DECREASE_RESERVATION => reservation::decrease(host, command, argument.cast()),
        MemoryOperation::POPULATE_PHYSMAP => reservation::populate(host, start, argument.cast()),
        MemoryOperation::ADD_TO_PHYSMAP => add_to_physmap(host, start, argument.cast()),
        MemoryOperation::ADD_TO_PHYSMAP_BATCH => add_to_physmap_batch(host, start, argument.cast()),
        MemoryOperation::ACQUIRE_RESOURCE => resource::acquire(host, start, argument.cast()),
        _ if start == 0 => unpreemptible(host, operation, argument),
        // A start for something that has none: common operations find it invalid, those of one architecture unknown.
        _ if is_common(operation) => Err(Errno::EINVAL.into()),
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// Operations that every architecture has and that take no start.
fn is_common(operation: MemoryOperation) -> bool {
    matches!(
        operation,
        MemoryOperation::MAXIMUM_RAM_PAGE
            | MemoryOperation::CURRENT_RESERVATION
            | MemoryOperation::MAXIMUM_RESERVATION
            | MemoryOperation::MAXIMUM_GPFN
            | MemoryOperation::EXCHANGE
            | MemoryOperation::REMOVE_FROM_PHYSMAP
            | MemoryOperation::CLAIM_PAGES
            | MemoryOperation::GET_VNUMAINFO
            | MemoryOperation::RESERVED_DEVICE_MEMORY_MAP
    )
}

fn unpreemptible<H>(host: &mut H, operation: MemoryOperation, argument: GuestHandle<u8>) -> Reply
where
    H: MemoryHost + Policy + GuestMemory + Preemption,
{
    match operation {
        MemoryOperation::MAXIMUM_RAM_PAGE => Ok(host.page_limit()),
        MemoryOperation::CURRENT_RESERVATION => {
            let target = named(host, argument)?;
            Ok(host.current_pages(target)?)
        }
        MemoryOperation::MAXIMUM_RESERVATION => {
            let target = named(host, argument)?;
            Ok(host.maximum_pages(target)?)
        }
        MemoryOperation::MAXIMUM_GPFN => {
            let target = named(host, argument)?;
            // PV guests state a count there, not the last number.
            Ok(host.shared_max_pfn(target)?.max(1) - 1)
        }
        MemoryOperation::EXCHANGE => exchange::exchange(host, argument.cast()),
        MemoryOperation::MACHPHYS_MFN_LIST => map::machphys_mfn_list(host, argument.cast()),
        MemoryOperation::MACHPHYS_MAPPING => map::machphys_mapping(host, argument.cast()),
        MemoryOperation::MEMORY_MAP => map::memory_map(host, argument.cast()),
        MemoryOperation::MACHINE_MEMORY_MAP => map::machine_memory_map(host, argument.cast()),
        MemoryOperation::SET_MEMORY_MAP => map::set_memory_map(host, argument.cast()),
        MemoryOperation::REMOVE_FROM_PHYSMAP => remove_from_physmap(host, argument.cast()),
        MemoryOperation::SET_POD_TARGET | MemoryOperation::GET_POD_TARGET => pod_target(host, argument.cast()),
        MemoryOperation::GET_SHARING_FREED_PAGES | MemoryOperation::GET_SHARING_SHARED_PAGES => Ok(0),
        MemoryOperation::CLAIM_PAGES => claim_pages(host, argument.cast()),
        // Built without 32-bit PV guests, there is no table of 32-bit entries.
        MemoryOperation::MACHPHYS_COMPAT_MFN_LIST => Err(Errno::EOPNOTSUPP.into()),
        MemoryOperation::GET_VNUMAINFO => virtual_numa::get(host, argument.cast()),
        MemoryOperation::RESERVED_DEVICE_MEMORY_MAP => reserved_device_memory(host, argument.cast()),
        MemoryOperation::ACCESS_OP => access_operation(host, argument.cast()),
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// The domain an operation is about. Errors: `EFAULT`, `ESRCH`, `EPERM`.
fn named<H: Policy + GuestMemory>(host: &H, argument: GuestHandle<u8>) -> Result<Target> {
    let request: MemoryDomain = guest::read(host, argument.cast())?;
    authority::target(host, request.domain)
}

/// Errors: `EDOM` for a start beyond the field, `EFAULT`, `ENOSYS` for foreign pages (the batch serves those), `ESRCH`,
/// `EACCES` for a PV target.
fn add_to_physmap<H: Policy + GuestMemory>(host: &H, start: u64, argument: GuestHandle<AddToPhysmap>) -> Reply {
    if start > u64::from(u16::MAX) {
        return Err(Errno::EDOM.into());
    }
    let request = guest::read(host, argument)?;
    if request.space == MapSpace::GMFN_FOREIGN {
        return Err(Errno::ENOSYS.into());
    }
    authority::find(host, request.domain)?;
    Err(Errno::EACCES.into())
}

/// Errors: `EDOM` for a start beyond the field, `EFAULT`, `EOPNOTSUPP` for a range, `ESRCH`, `EACCES` for a PV target.
fn add_to_physmap_batch<H: Policy + GuestMemory>(
    host: &H,
    start: u64,
    argument: GuestHandle<AddToPhysmapBatch>,
) -> Reply {
    if start > u64::from(u16::MAX) {
        return Err(Errno::EDOM.into());
    }
    let request = guest::read(host, argument)?;
    if u32::from(request.space) == MapSpace::GMFN_RANGE.0 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    authority::find(host, request.domain)?;
    Err(Errno::EACCES.into())
}

/// Errors: `EFAULT`, `ESRCH`, `EACCES` for a PV target.
fn remove_from_physmap<H: Policy + GuestMemory>(host: &H, argument: GuestHandle<RemoveFromPhysmap>) -> Reply {
    let request = guest::read(host, argument)?;
    authority::find(host, request.domain)?;
    Err(Errno::EACCES.into())
}

/// Populate-on-demand is for translated domains. Errors: `EFAULT`, `ESRCH`, `EPERM`, `EINVAL` for a PV target.
fn pod_target<H: Policy + GuestMemory>(host: &H, argument: GuestHandle<PodTarget>) -> Reply {
    let request = guest::read(host, argument)?;
    authority::find(host, request.domain)?;
    authority::control_domain(host)?;
    Err(Errno::EINVAL.into())
}

/// Errors: `EFAULT`, `EINVAL` for fields that must be zero and for an unknown domain, `EPERM`, and those of
/// [`MemoryHost::claim_pages`].
fn claim_pages<H: MemoryHost + Policy + GuestMemory>(host: &mut H, argument: GuestHandle<MemoryReservation>) -> Reply {
    let request = guest::read(host, argument)?;
    if !request.extent_start.is_null() || request.extent_order != 0 || request.flags.0 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let found = authority::find_by_number(host, request.domain).map_err(|_| Errno::EINVAL)?;
    let target = found.controlled(authority::control_domain(host)?);
    host.claim_pages(target, request.extent_count)?;
    Ok(0)
}

/// Without an IOMMU there are no such ranges. Errors: `EFAULT`, `EINVAL` for an unknown flag.
fn reserved_device_memory<H: GuestMemory>(host: &H, argument: GuestHandle<ReservedDeviceMemoryMap>) -> Reply {
    let mut request = guest::read(host, argument)?;
    if request.flags & !RESERVED_MEMORY_ALL != 0 {
        return Err(Errno::EINVAL.into());
    }
    request.entry_count = 0;
    guest::write(host, argument, &request)?;
    Ok(0)
}

/// Page rights are watched in translated domains only. Errors: `EFAULT`, `ESRCH`, `EPERM` for the caller itself, `EINVAL`
/// for a PV target.
fn access_operation<H: Policy + GuestMemory>(host: &H, argument: GuestHandle<AccessOperation>) -> Reply {
    let request = guest::read(host, argument)?;
    authority::find_remote(host, request.domain)?;
    Err(Errno::EINVAL.into())
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(MemoryOperation {
    works: INCREASE_RESERVATION DECREASE_RESERVATION MAXIMUM_RAM_PAGE CURRENT_RESERVATION MAXIMUM_RESERVATION
        MACHPHYS_MFN_LIST POPULATE_PHYSMAP MEMORY_MAP MACHINE_MEMORY_MAP EXCHANGE MACHPHYS_MAPPING SET_MEMORY_MAP
        MAXIMUM_GPFN CLAIM_PAGES ACQUIRE_RESOURCE GET_VNUMAINFO;
    (absent "for translated domains only, and there are none"): ADD_TO_PHYSMAP REMOVE_FROM_PHYSMAP ADD_TO_PHYSMAP_BATCH
        SET_POD_TARGET GET_POD_TARGET;
    (absent "no memory sharing, paging or access control"): GET_SHARING_FREED_PAGES GET_SHARING_SHARED_PAGES PAGING_OP
        ACCESS_OP SHARING_OP;
    (absent "no 32-bit PV guests"): MACHPHYS_COMPAT_MFN_LIST;
    (absent "no IOMMU"): RESERVED_DEVICE_MEMORY_MAP;
    (absent "an addition of Qubes"): GET_MFN_FROM_PFN;
});
