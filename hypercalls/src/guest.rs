//! The only reader and writer of guest pointers.
//!
//! A [`GuestHandle`] becomes a value by exactly one copy of the whole object; handlers work on the copy, so a guest
//! that changes its memory meanwhile changes nothing. The range is checked against the hypervisor's addresses before
//! each copy; the beginning of an array before the first. Source: Xen public header `arch-x86/xen.h`.

use abi::{Errno, GuestHandle, GuestVirtual, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Copies between the hypervisor and the calling guest's address space. Implementations stop at the first byte that
/// is not mapped (or not writable) for the guest and answer `EFAULT`; ranges reach them already checked.
pub trait GuestMemory {
    /// Fills `to` from guest memory at `from`.
    fn copy_in(&self, from: GuestVirtual, to: &mut [u8]) -> Result<()>;
    /// Writes all of `from` to guest memory at `to`.
    fn copy_out(&self, to: GuestVirtual, from: &[u8]) -> Result<()>;

    /// [`Self::copy_in`] for one value, whose size is known when this is compiled: a host may know a shorter way.
    #[inline(always)]
    fn copy_value_in<T: FromBytes + IntoBytes>(&self, from: GuestVirtual) -> Result<T> {
        let mut value = T::new_zeroed();
        self.copy_in(from, value.as_mut_bytes())?;
        Ok(value)
    }

    /// [`Self::copy_out`] for one value.
    #[inline(always)]
    fn copy_value_out<T: IntoBytes + Immutable>(&self, to: GuestVirtual, value: &T) -> Result<()> {
        self.copy_out(to, value.as_bytes())
    }
}

/// Whether the caller has used up its turn: an interrupt, a wake-up or a timer wants this CPU.
pub trait Preemption {
    /// True when a long call should return [`crate::outcome::Failure::Preempted`] at the next clean point.
    fn preempted(&self) -> bool;
}

/// Copies one `T` in. Errors: `EFAULT`.
#[inline(always)]
pub fn read<T: FromBytes + IntoBytes>(memory: &impl GuestMemory, handle: GuestHandle<T>) -> Result<T> {
    if !handle.address().is_guest_range(size_of::<T>() as u64) {
        return Err(Errno::EFAULT);
    }
    memory.copy_value_in(handle.address())
}

/// Copies one `T` into a place that exists already, for those too large to travel. Errors: `EFAULT`.
pub fn read_into<T: FromBytes + IntoBytes>(
    memory: &impl GuestMemory,
    handle: GuestHandle<T>,
    value: &mut T,
) -> Result<()> {
    copy_in_bytes(memory, handle.address(), value.as_mut_bytes())
}

/// Copies one `T` out. Errors: `EFAULT`.
#[inline(always)]
pub fn write<T: IntoBytes + Immutable>(memory: &impl GuestMemory, handle: GuestHandle<T>, value: &T) -> Result<()> {
    if !handle.address().is_guest_range(size_of::<T>() as u64) {
        return Err(Errno::EFAULT);
    }
    memory.copy_value_out(handle.address(), value)
}

/// Copies elements `first..first + into.len()` of an array in. Errors: `EFAULT`.
pub fn read_array<T: FromBytes + IntoBytes>(
    memory: &impl GuestMemory,
    handle: GuestHandle<T>,
    first: u64,
    into: &mut [T],
) -> Result<()>
where
    [T]: IntoBytes + FromBytes,
{
    copy_in_bytes(memory, handle.element(first).address(), into.as_mut_bytes())
}

/// Checks that an array of `count` elements begins outside the hypervisor's range and has a size, as Xen does before it
/// starts on a batch: where it runs out of the guest's addresses, the copy of that element fails. Errors: `EFAULT`.
#[inline]
pub fn check_array<T>(handle: GuestHandle<T>, count: u64) -> Result<()> {
    count.checked_mul(size_of::<T>() as u64).ok_or(Errno::EFAULT)?;
    if handle.address().is_guest_range(0) { Ok(()) } else { Err(Errno::EFAULT) }
}

/// Copies plain bytes in. Errors: `EFAULT`.
#[inline]
pub fn copy_in_bytes(memory: &impl GuestMemory, from: GuestVirtual, to: &mut [u8]) -> Result<()> {
    if !from.is_guest_range(to.len() as u64) {
        return Err(Errno::EFAULT);
    }
    memory.copy_in(from, to)
}

/// Copies plain bytes out. Errors: `EFAULT`.
#[inline]
pub fn copy_out_bytes(memory: &impl GuestMemory, to: GuestVirtual, from: &[u8]) -> Result<()> {
    if !to.is_guest_range(from.len() as u64) {
        return Err(Errno::EFAULT);
    }
    memory.copy_out(to, from)
}
