//! grant_table_op: lending frames between domains. Source: Xen public header `grant_table.h`.
//!
//! The rules of entries, pins and mappings are crate `grant-tables`; here are the call's own: arrays are checked whole,
//! elements copied in once, statuses written back one by one, and a preempted batch goes on behind its last finished
//! element. The call answers 0 whatever the statuses say; an error number means that the array, not an element, is bad.

use core::mem::offset_of;

use abi::grant_table::{
    CacheFlush, Copy, GetStatusFrames, GetVersion, GrantStatus, GrantTableOperation, MapGrantRef, QuerySize,
    SetVersion, SetupTable, SwapGrantRef, Transfer, UnmapAndReplace, UnmapGrantRef,
};
use abi::{DomainId, Errno, Gfn, GrantRef, GuestHandle, Result};
use grant_tables::{
    Caches, Contents, CopyBatch, DomainCache, GrantTable, Growth, Mappings, Transfers, UnmapBatch, UnmapRequest,
    Version,
    cache::{self, Flushed},
    map, transfer,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::authority::{self, Policy};
use crate::guest::{self, GuestMemory, Preemption};
use crate::outcome::{Failure, Reply};
use crate::table::{Row, rows};

/// The running vCPU as the grant calls need it.
pub trait GrantCalls: Mappings + Contents + Transfers + Caches + Policy + GuestMemory + Preemption {
    /// Whether frames may be transferred at all (`gnttab=no-transfer` on the command line says no).
    fn transfers_allowed(&self) -> bool;
}

/// What each operation is here.
pub const ROWS: &[Row] = rows!(GrantTableOperation {
    works: MAP_GRANT_REF UNMAP_GRANT_REF SETUP_TABLE TRANSFER COPY QUERY_SIZE UNMAP_AND_REPLACE SET_VERSION
        GET_STATUS_FRAMES GET_VERSION SWAP_GRANT_REF CACHE_FLUSH;
    (absent "Xen has none either"): DUMP_TABLE;
});

/// Unmap operations that share a flush.
const UNMAP_BATCH: usize = 32;
/// Low bits of the command word are the operation, the others the progress of a preempted `cache_flush`.
const COMMAND_BITS: u32 = 12;

/// An array of a call, and the word that names the operation.
#[derive(Clone, Copy)]
struct Batch<T> {
    command: u32,
    array: GuestHandle<T>,
    count: u32,
}

impl<T> Batch<T> {
    /// The call to make again once the first `done` elements are finished.
    #[cold]
    fn resume(&self, done: u32, progress: u32) -> Failure {
        let command = u64::from(self.command) | u64::from(progress) << COMMAND_BITS;
        let array = self.array.element(u64::from(done)).address().0;
        Failure::Preempted([command, array, u64::from(self.count - done), 0, 0, 0])
    }

    /// The only element. Errors: `EINVAL` for another count.
    fn single(&self) -> Result<GuestHandle<T>> {
        if self.count == 1 { Ok(self.array) } else { Err(Errno::EINVAL) }
    }

    /// Runs `step` on each element, unless preempted before.
    #[inline]
    fn each(&self, preemption: &impl Preemption, mut step: impl FnMut(GuestHandle<T>) -> Result<()>) -> Reply {
        guest::check_array(self.array, u64::from(self.count))?;
        for index in 0..self.count {
            if index != 0 && preemption.preempted() {
                return Err(self.resume(index, 0));
            }
            step(self.array.element(u64::from(index)))?;
        }
        Ok(0)
    }
}

/// grant_table_op(20). Errors: `EINVAL` a count above 2^31 - 1 or stray bits in the command, `EFAULT` an array that is not
/// the guest's, `ENOSYS` an unknown operation, and those of the operations.
#[inline]
pub fn grant_table<H: GrantCalls>(host: &H, command: u32, array: GuestHandle<u8>, count: u32) -> Reply {
    if count > i32::MAX as u32 {
        return Err(Errno::EINVAL.into());
    }
    let progress = command >> COMMAND_BITS;
    let operation = GrantTableOperation(command & ((1 << COMMAND_BITS) - 1));
    if progress != 0 && operation != GrantTableOperation::CACHE_FLUSH {
        return Err(Errno::EINVAL.into());
    }
    let command = operation.0;
    match operation {
        GrantTableOperation::MAP_GRANT_REF => map_all(host, &Batch { command, array: array.cast(), count }),
        GrantTableOperation::UNMAP_GRANT_REF => unmap_all(host, &Batch { command, array: array.cast(), count }),
        GrantTableOperation::COPY => copy_all(host, &Batch { command, array: array.cast(), count }),
        GrantTableOperation::UNMAP_AND_REPLACE => replace_all(host, &Batch { command, array: array.cast(), count }),
        GrantTableOperation::TRANSFER => transfer_all(host, &Batch { command, array: array.cast(), count }),
        GrantTableOperation::SWAP_GRANT_REF => swap_all(host, &Batch { command, array: array.cast(), count }),
        GrantTableOperation::CACHE_FLUSH => flush_all(host, &Batch { command, array: array.cast(), count }, progress),
        GrantTableOperation::SETUP_TABLE => setup_table(host, &Batch { command, array: array.cast(), count }),
        GrantTableOperation::QUERY_SIZE => query_size(host, &Batch { command, array: array.cast(), count }),
        GrantTableOperation::GET_STATUS_FRAMES => status_frames(host, &Batch { command, array: array.cast(), count }),
        GrantTableOperation::SET_VERSION => set_version(host, array.cast()),
        GrantTableOperation::GET_VERSION => get_version(host, array.cast()),
        _ => Err(Errno::ENOSYS.into()),
    }
}

fn status_of(result: core::result::Result<(), GrantStatus>) -> GrantStatus {
    result.err().unwrap_or(GrantStatus::OKAY)
}

/// Writes the status field at `offset` of an element.
#[inline]
fn write_status<T>(
    memory: &impl GuestMemory,
    element: GuestHandle<T>,
    offset: usize,
    status: GrantStatus,
) -> Result<()> {
    let field = element.address().0.wrapping_add(offset as u64);
    guest::write(memory, GuestHandle::new(field), &status)
}

#[inline]
fn map_all<H: GrantCalls>(host: &H, batch: &Batch<MapGrantRef>) -> Reply {
    let mut domains = DomainCache::default();
    batch.each(host, |element| {
        let mut operation = guest::read(host, element)?;
        match map(host, &mut domains, &operation) {
            Ok(mapped) => {
                operation.status = GrantStatus::OKAY;
                operation.handle = mapped.handle;
                operation.device_bus_address = mapped.device_bus_address.0;
            }
            Err(status) => operation.status = status,
        }
        guest::write(host, element, &operation)
    })
}

#[inline]
fn unmap_all<H: GrantCalls>(host: &H, batch: &Batch<UnmapGrantRef>) -> Reply {
    let read = |operation: &UnmapGrantRef| UnmapRequest::from(operation);
    let status = offset_of!(UnmapGrantRef, status);
    match batch.count {
        0 | 1 => take_down_all::<H, _, 1>(host, batch, status, read),
        _ => take_down_all::<H, _, UNMAP_BATCH>(host, batch, status, read),
    }
}

fn replace_all<H: GrantCalls>(host: &H, batch: &Batch<UnmapAndReplace>) -> Reply {
    let read = |operation: &UnmapAndReplace| UnmapRequest::from(operation);
    take_down_all::<H, _, UNMAP_BATCH>(host, batch, offset_of!(UnmapAndReplace, status), read)
}

/// Unmaps in batches of `N`, preemptible between two batches: before that everything owed is settled.
#[inline]
fn take_down_all<H: GrantCalls, T: FromBytes + IntoBytes, const N: usize>(
    host: &H,
    batch: &Batch<T>,
    status: usize,
    read: impl Fn(&T) -> UnmapRequest,
) -> Reply {
    guest::check_array(batch.array, u64::from(batch.count))?;
    let mut owed = UnmapBatch::<H, N>::new(host);
    for index in 0..batch.count {
        if index != 0 && index % N as u32 == 0 {
            owed.finish();
            if host.preempted() {
                return Err(batch.resume(index, 0));
            }
        }
        let element = batch.array.element(u64::from(index));
        let result = owed.unmap(&read(&guest::read(host, element)?));
        write_status(host, element, status, result)?;
    }
    Ok(0)
}

#[inline]
fn copy_all<H: GrantCalls>(host: &H, batch: &Batch<Copy>) -> Reply {
    let mut copies = CopyBatch::new(host);
    batch.each(host, |element| {
        let operation = guest::read(host, element)?;
        let status = copies.copy(&operation);
        write_status(host, element, offset_of!(Copy, status), status)
    })
}

fn transfer_all<H: GrantCalls>(host: &H, batch: &Batch<Transfer>) -> Reply {
    if !host.transfers_allowed() {
        return Err(Errno::EOPNOTSUPP.into());
    }
    batch.each(host, |element| {
        let operation = guest::read(host, element)?;
        let status = status_of(transfer(host, &operation));
        write_status(host, element, offset_of!(Transfer, status), status)
    })
}

fn swap_all<H: GrantCalls>(host: &H, batch: &Batch<SwapGrantRef>) -> Reply {
    batch.each(host, |element| {
        let operation = guest::read(host, element)?;
        let status = status_of(host.own_table().swap(operation.reference_a, operation.reference_b));
        write_status(host, element, offset_of!(SwapGrantRef, status), status)
    })
}

/// Unlike the other batches an error ends this one: its elements have no status. `progress` is how far the search for a
/// grant of the first element got.
fn flush_all<H: GrantCalls>(host: &H, batch: &Batch<CacheFlush>, progress: u32) -> Reply {
    guest::check_array(batch.array, u64::from(batch.count))?;
    let mut progress = GrantRef(progress);
    for index in 0..batch.count {
        if index != 0 && host.preempted() {
            return Err(batch.resume(index, 0));
        }
        let operation = guest::read(host, batch.array.element(u64::from(index)))?;
        while let Flushed::SearchFrom(next) = cache::flush(host, &operation, progress)? {
            progress = next;
            if host.preempted() {
                return Err(batch.resume(index, progress.0));
            }
        }
        progress = GrantRef(0);
    }
    Ok(0)
}

/// Runs `action` on the table of a domain the caller may manage: its own, one whose device model it is, or any for a
/// control domain. Errors: `BAD_DOMAIN`, `PERMISSION_DENIED`.
fn on_table<H: GrantCalls, R>(
    host: &H,
    id: DomainId,
    action: impl FnOnce(&GrantTable<H::Page>) -> R,
) -> core::result::Result<R, GrantStatus> {
    let found = authority::find(host, id).map_err(|_| GrantStatus::BAD_DOMAIN)?;
    let target = found.target(host).map_err(|_| GrantStatus::PERMISSION_DENIED)?;
    if target.is_caller() {
        Ok(action(host.own_table()))
    } else {
        host.domain(target.id()).map(|domain| action(&domain)).ok_or(GrantStatus::BAD_DOMAIN)
    }
}

/// Why growing a table did not end in a table of the wanted size.
enum Stopped {
    Refused(GrantStatus),
    Preempted,
}

/// setup_table. Errors: `EINVAL` a count but 1, `EFAULT`.
fn setup_table<H: GrantCalls>(host: &H, batch: &Batch<SetupTable>) -> Reply {
    let element = batch.single()?;
    let operation = guest::read(host, element)?;
    guest::check_array(operation.frame_list, u64::from(operation.frames))?;
    let status = match on_table(host, operation.domain, |table| set_up(host, table, &operation)) {
        Ok(Err(Stopped::Preempted)) => return Err(batch.resume(0, 0)),
        Ok(Err(Stopped::Refused(status))) | Err(status) => status,
        Ok(Ok(())) => GrantStatus::OKAY,
    };
    write_status(host, element, offset_of!(SetupTable, status), status)?;
    Ok(0)
}

/// Grows a table a page at a time, so that progress survives preemption by itself, and lists its frames.
fn set_up<H: GrantCalls>(
    host: &H,
    table: &GrantTable<H::Page>,
    operation: &SetupTable,
) -> core::result::Result<(), Stopped> {
    if operation.frames > table.limits().frames {
        return Err(Stopped::Refused(GrantStatus::GENERAL_ERROR));
    }
    loop {
        match table.grow(operation.frames, host) {
            Ok(Growth::Done) => break,
            Ok(Growth::More) if host.preempted() => return Err(Stopped::Preempted),
            Ok(Growth::More) => {}
            Err(_) => return Err(Stopped::Refused(GrantStatus::GENERAL_ERROR)),
        }
    }
    list_frames(host, operation.frame_list, operation.frames, |index| {
        table.shared_frame(index).map(|frame| Gfn(frame.0))
    })
    .map_err(Stopped::Refused)
}

/// Writes the first `count` frame numbers to a guest's list. Errors: `BAD_VIRT_ADDR`; one bad address does not keep the
/// others from being written.
fn list_frames<T: FromBytes + IntoBytes + Immutable>(
    memory: &impl GuestMemory,
    list: GuestHandle<T>,
    count: u32,
    frame: impl Fn(u32) -> Option<T>,
) -> core::result::Result<(), GrantStatus> {
    let mut written = Ok(());
    for (index, frame) in (0..count).map_while(|index| Some((index, frame(index)?))) {
        let result = guest::write(memory, list.element(u64::from(index)), &frame);
        written = written.and(result.map_err(|_| GrantStatus::BAD_VIRT_ADDR));
    }
    written
}

/// query_size. Errors: `EINVAL` a count but 1, `EFAULT`.
fn query_size<H: GrantCalls>(host: &H, batch: &Batch<QuerySize>) -> Reply {
    let element = batch.single()?;
    let mut operation = guest::read(host, element)?;
    match on_table(host, operation.domain, |table| (table.frame_count(), table.limits().frames)) {
        Ok((frames, limit)) => {
            operation.frames = frames;
            operation.max_frames = limit;
            operation.status = GrantStatus::OKAY;
        }
        Err(status) => operation.status = status,
    }
    guest::write(host, element, &operation)?;
    Ok(0)
}

/// get_status_frames: a version 1 table has none. Errors: `EINVAL` a count but 1, `EFAULT`.
fn status_frames<H: GrantCalls>(host: &H, batch: &Batch<GetStatusFrames>) -> Reply {
    let element = batch.single()?;
    let operation = guest::read(host, element)?;
    guest::check_array(operation.frame_list, u64::from(operation.frames))?;
    let listed = on_table(host, operation.domain, |table| {
        if operation.frames > table.status_frame_count() {
            return Err(GrantStatus::GENERAL_ERROR);
        }
        list_frames(host, operation.frame_list, operation.frames, |index| {
            table.status_frame(index).map(|frame| frame.0)
        })
    });
    let status = status_of(listed.and_then(|listed| listed));
    write_status(host, element, offset_of!(GetStatusFrames, status), status)?;
    Ok(0)
}

/// set_version. The version in force is written back in every case.
/// Errors: `EFAULT`, `EINVAL` no such version, and those of [`GrantTable::set_version`].
fn set_version<H: GrantCalls>(host: &H, element: GuestHandle<SetVersion>) -> Reply {
    let operation = guest::read(host, element)?;
    let table = host.own_table();
    let result = match Version::from_number(operation.version) {
        Some(wanted) => table.set_version(wanted, host),
        None => Err(Errno::EINVAL),
    };
    guest::write(host, element, &SetVersion { version: table.version().number() })?;
    result?;
    Ok(0)
}

/// get_version. Errors: `EFAULT`, `ESRCH`, `EPERM` for a domain the caller may not manage.
fn get_version<H: GrantCalls>(host: &H, element: GuestHandle<GetVersion>) -> Reply {
    let mut operation = guest::read(host, element)?;
    let target = authority::target(host, operation.domain)?;
    operation.version = if target.is_caller() {
        host.own_table().version().number()
    } else {
        host.domain(target.id()).ok_or(Errno::ESRCH)?.version().number()
    };
    guest::write(host, element, &operation)?;
    Ok(0)
}
