//! Guest memory that remembers what was read: a second read of a byte within one call fails the test.

use std::cell::RefCell;

use abi::{Errno, GuestHandle, GuestVirtual, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Where the fake guest's memory begins.
pub const BASE: u64 = 0x10_0000;
/// Its size; everything else faults.
pub const SIZE: usize = 0x8000;

/// A guest's mapped memory.
pub struct Memory {
    bytes: RefCell<Vec<u8>>,
    /// Bytes that the call under test read already.
    read: RefCell<Vec<bool>>,
    /// Bytes from which on memory can be read but not written.
    read_only_from: u64,
}

impl Memory {
    pub fn new() -> Self {
        Self {
            bytes: RefCell::new(vec![0; SIZE]),
            read: RefCell::new(vec![false; SIZE]),
            read_only_from: BASE + SIZE as u64,
        }
    }

    fn range(&self, at: GuestVirtual, len: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(at.0.checked_sub(BASE)?).ok()?;
        let end = start.checked_add(len)?;
        (end <= SIZE).then_some(start..end)
    }

    /// A new call begins: the guest may have changed anything since.
    pub fn forget_reads(&self) {
        self.read.borrow_mut().fill(false);
    }

    /// Makes everything from this address on read-only.
    pub fn protect_from(&mut self, address: u64) {
        self.read_only_from = address;
    }

    /// The test writes as the guest.
    pub fn put<T: IntoBytes + Immutable + ?Sized>(&self, at: u64, value: &T) {
        let range = self.range(GuestVirtual(at), value.as_bytes().len()).expect("test address");
        self.bytes.borrow_mut()[range].copy_from_slice(value.as_bytes());
    }

    /// The test reads as the guest.
    pub fn get<T: FromBytes>(&self, at: u64) -> T {
        let range = self.range(GuestVirtual(at), size_of::<T>()).expect("test address");
        T::read_from_bytes(&self.bytes.borrow()[range]).expect("size matches")
    }

    pub fn copy_in(&self, from: GuestVirtual, to: &mut [u8]) -> Result<()> {
        let range = self.range(from, to.len()).ok_or(Errno::EFAULT)?;
        for seen in &mut self.read.borrow_mut()[range.clone()] {
            assert!(!*seen, "double fetch at {from:?}");
            *seen = true;
        }
        to.copy_from_slice(&self.bytes.borrow()[range]);
        Ok(())
    }

    pub fn copy_out(&self, to: GuestVirtual, from: &[u8]) -> Result<()> {
        let range = self.range(to, from.len()).ok_or(Errno::EFAULT)?;
        if !from.is_empty() && to.0 + from.len() as u64 > self.read_only_from {
            return Err(Errno::EFAULT);
        }
        self.bytes.borrow_mut()[range].copy_from_slice(from);
        Ok(())
    }
}

/// A handle to the fake guest's memory at an offset.
pub fn at<T>(offset: u64) -> GuestHandle<T> {
    GuestHandle::new(BASE + offset)
}

/// A handle nothing is mapped at.
pub fn nowhere<T>() -> GuestHandle<T> {
    GuestHandle::new(0x7000_0000)
}

/// A handle into the hypervisor's range.
pub fn hypervisor<T>() -> GuestHandle<T> {
    GuestHandle::new(abi::frame::HYPERVISOR_START + 0x1000)
}
