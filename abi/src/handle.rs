//! Guest handles: a guest's claim that an object of some type lies at some address.
//!
//! A handle can be passed on and offset, never followed; only the one copy-in of `hypercalls::guest` turns the claim
//! into an owned value, and it checks the whole range first. Source: Xen public header `arch-x86/xen.h` (`XEN_GUEST_HANDLE`).

use core::marker::PhantomData;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::frame::GuestVirtual;

/// A claimed guest-virtual address of an array of `T`; 8 bytes, as in the interface.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct GuestHandle<T> {
    address: u64,
    target: PhantomData<T>,
}

impl<T> GuestHandle<T> {
    /// A claim about `address`.
    pub const fn new(address: u64) -> Self {
        Self { address, target: PhantomData }
    }

    /// Whether the guest passed a null pointer, which many calls give a meaning of its own.
    pub const fn is_null(self) -> bool {
        self.address == 0
    }

    /// The claimed address.
    pub const fn address(self) -> GuestVirtual {
        GuestVirtual(self.address)
    }

    /// The same address, claimed to hold another type.
    pub const fn cast<U>(self) -> GuestHandle<U> {
        GuestHandle::new(self.address)
    }

    /// The claim about element `index`; wraps as the guest's own arithmetic would, and the copy checks the outcome.
    pub const fn element(self, index: u64) -> Self {
        Self::new(self.address.wrapping_add(index.wrapping_mul(size_of::<T>() as u64)))
    }
}

impl<T> Clone for GuestHandle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for GuestHandle<T> {}

impl<T> Default for GuestHandle<T> {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T> PartialEq for GuestHandle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl<T> Eq for GuestHandle<T> {}

impl<T> core::fmt::Debug for GuestHandle<T> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "GuestHandle({:#x})", self.address)
    }
}
