//! Memory maps: the machine-to-physical table's place (5, 12), the domain's E820 (9, 13) and the machine's (10).

use alloc::vec::Vec;

use abi::frame::HYPERVISOR_START;
use abi::memory::{E820Entry, ForeignMemoryMap, MachphysMapping, MachphysMfnList, MemoryMap};
use abi::{Errno, GuestHandle, Mfn, Result};
use zerocopy::FromZeros;

use super::reservation::ReservationHost;
use crate::authority::{self, Policy, Target};
use crate::guest::{self, GuestMemory};
use crate::outcome::Reply;

/// Maps the host keeps.
pub trait MemoryMapHost: ReservationHost {
    /// First frame of the 2 MiB piece `index` of the machine-to-physical table, if that piece is there: a piece
    /// stands for 1 GiB of machine memory.
    fn machine_to_physical_piece(&self, index: u64) -> Option<Mfn>;
    /// Entry `index` of the machine's map, with the ranges taken out that no domain may touch.
    fn machine_map_entry(&self, index: u32) -> Option<E820Entry>;
    /// Entry `index` of the map the caller's domain was given.
    fn domain_map_entry(&self, index: u32) -> Option<E820Entry>;
    /// Gives a domain its map, charged to it. Errors: `ENOMEM`, `ESRCH` if it went away.
    fn set_domain_map(&mut self, target: Target, map: Vec<E820Entry>) -> Result<()>;
}

/// Most entries of a map.
const ENTRIES_MAX: u32 = 1024;
/// Bytes of the machine-to-physical table's window.
const TABLE_WINDOW: u64 = 1 << 38;
/// Frames that one 2 MiB piece of the table describes.
const FRAMES_PER_PIECE: u64 = (2 << 20) / size_of::<u64>() as u64;

/// machphys_mfn_list(5): one frame number per piece of the table; a hole repeats the number before it. Errors: `EFAULT`.
pub fn machphys_mfn_list<H: MemoryMapHost + GuestMemory>(host: &H, argument: GuestHandle<MachphysMfnList>) -> Reply {
    let mut request = guest::read(host, argument)?;
    let pieces = host.page_limit().div_ceil(FRAMES_PER_PIECE).min(u64::from(request.max_extents));
    let mut last = Mfn(0);
    for index in 0..pieces {
        last = host.machine_to_physical_piece(index).unwrap_or(last);
        guest::write(host, request.extent_start.element(index), &last)?;
    }
    request.extent_count = pieces as u32;
    guest::write(host, argument, &request)?;
    Ok(0)
}

/// machphys_mapping(12): where the table lies; its end by content for the hardware domain, by window for others.
/// Errors: `EFAULT`.
pub fn machphys_mapping<H>(host: &H, argument: GuestHandle<MachphysMapping>) -> Reply
where
    H: MemoryMapHost + Policy + GuestMemory,
{
    let entries = if host.is_hardware_domain() { host.page_limit() } else { TABLE_WINDOW / size_of::<u64>() as u64 };
    let answer = MachphysMapping {
        start: HYPERVISOR_START,
        end: HYPERVISOR_START + TABLE_WINDOW,
        max_mfn: Mfn(entries.saturating_sub(1)),
    };
    guest::write(host, argument, &answer)?;
    Ok(0)
}

/// memory_map(9): what the toolstack set, cut to the room there is. Errors: `EFAULT`, `ENOSYS` if nothing was set.
pub fn memory_map<H: MemoryMapHost + GuestMemory>(host: &H, argument: GuestHandle<MemoryMap>) -> Reply {
    let mut request = guest::read(host, argument)?;
    if host.domain_map_entry(0).is_none() {
        return Err(Errno::ENOSYS.into());
    }
    let mut count = 0;
    while count < request.entry_count
        && let Some(entry) = host.domain_map_entry(count)
    {
        guest::write(host, request.buffer.element(u64::from(count)), &entry)?;
        count += 1;
    }
    request.entry_count = count;
    guest::write(host, argument, &request)?;
    Ok(0)
}

/// machine_memory_map(10): the whole map, or its length if the buffer is null.
/// Errors: `EPERM` unless a control domain asks, `EFAULT`, `EINVAL` if it does not fit.
pub fn machine_memory_map<H>(host: &H, argument: GuestHandle<MemoryMap>) -> Reply
where
    H: MemoryMapHost + Policy + GuestMemory,
{
    authority::control_domain(host)?;
    let mut request = guest::read(host, argument)?;
    let stores = !request.buffer.is_null();
    if stores {
        // First of all, and with room for one more than there are, as Xen has it.
        let last = request.entry_count.checked_sub(1).ok_or(Errno::EINVAL)?;
        if host.machine_map_entry(last).is_some() {
            return Err(Errno::EINVAL.into());
        }
        guest::check_array(request.buffer, u64::from(request.entry_count))?;
    }
    let mut count = 0;
    while let Some(entry) = host.machine_map_entry(count) {
        if stores {
            guest::write(host, request.buffer.element(u64::from(count)), &entry)?;
        }
        count += 1;
    }
    request.entry_count = count;
    guest::write(host, argument, &request)?;
    Ok(0)
}

/// set_memory_map(13). Errors: `EFAULT`, `EINVAL` for too many entries, `ESRCH`, `EPERM`, `ENOMEM`.
pub fn set_memory_map<H>(host: &mut H, argument: GuestHandle<ForeignMemoryMap>) -> Reply
where
    H: MemoryMapHost + Policy + GuestMemory,
{
    let request = guest::read(host, argument)?;
    if request.map.entry_count > ENTRIES_MAX {
        return Err(Errno::EINVAL.into());
    }
    let target = authority::target(host, request.domain)?;
    let count = request.map.entry_count as usize;
    let mut map = Vec::new();
    map.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    map.resize(count, E820Entry::new_zeroed());
    guest::read_array(host, request.map.buffer, 0, map.as_mut_slice())?;
    host.set_domain_map(target, map)?;
    Ok(0)
}
