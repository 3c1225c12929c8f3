//! `GNTTABOP_unmap_grant_ref` and `GNTTABOP_unmap_and_replace`, in two phases.
//!
//! Phase one takes page-table entries down and notes what is owed. Phase two, for the whole batch, flushes translations
//! once and only then gives references back and clears the in-use bits, so that nobody can reuse a frame which some CPU
//! still reaches. A batch owes phase two from its first success on, and pays at the latest when it is dropped: also when
//! the caller's array faults half-way, or a panic unwinds.

use abi::{
    GrantHandle, GuestVirtual, Mfn,
    grant_table::{GrantStatus, UnmapAndReplace, UnmapGrantRef},
};

use crate::{
    domains::DomainCache,
    entry::Pins,
    host::{Access, Mappings, Place},
    map::place,
    maptrack::{Handle, Mapping, Parts},
    pin::unpin,
};

/// One unmap operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnmapRequest {
    /// Address of the host mapping, 0 for none.
    pub host_address: u64,
    /// Address of the device mapping, 0 for none.
    pub device_bus_address: u64,
    /// Address whose entry takes the place of the host mapping's, 0 for none.
    pub new_address: u64,
    /// The mapping.
    pub handle: GrantHandle,
}

impl From<&UnmapGrantRef> for UnmapRequest {
    #[inline]
    fn from(operation: &UnmapGrantRef) -> Self {
        Self {
            host_address: operation.host_address,
            device_bus_address: operation.device_bus_address,
            new_address: 0,
            handle: operation.handle,
        }
    }
}

impl From<&UnmapAndReplace> for UnmapRequest {
    #[inline]
    fn from(operation: &UnmapAndReplace) -> Self {
        Self {
            host_address: operation.host_address,
            device_bus_address: 0,
            new_address: operation.new_address,
            handle: operation.handle,
        }
    }
}

/// What phase two owes for one operation.
#[derive(Clone, Copy)]
struct Owed<'h> {
    number: GrantHandle,
    /// Looked up once, in phase one; it cannot be freed while a part of it leaves.
    handle: Handle<'h>,
    frame: Mfn,
    parts: Parts,
}

/// Up to `N` unmap operations that share one flush. `N` of 1 saves setting up a list for single operations.
#[must_use]
pub struct UnmapBatch<'h, H: Mappings, const N: usize> {
    host: &'h H,
    owed: [Option<Owed<'h>>; N],
    count: usize,
}

impl<'h, H: Mappings, const N: usize> UnmapBatch<'h, H, N> {
    /// An empty batch of the calling vCPU.
    #[inline]
    pub fn new(host: &'h H) -> Self {
        Self { host, owed: [const { None }; N], count: 0 }
    }

    /// Phase one of an operation. A full batch is finished first.
    ///
    /// Answers `OKAY` (also if nothing was asked for), `BAD_HANDLE`, `BAD_DEV_ADDR`, or what the page-table entry was
    /// refused with; the device part may be gone when the host part is refused, as in Xen.
    #[inline]
    pub fn unmap(&mut self, request: &UnmapRequest) -> GrantStatus {
        if self.count == N {
            self.finish();
        }
        let Some(handle) = self.host.own_table().maptrack().find(request.handle) else {
            return GrantStatus::BAD_HANDLE;
        };
        let mut owed = Owed { number: request.handle, handle, frame: Mfn::INVALID, parts: Parts::NONE };
        let status = self.take_down(request, handle, &mut owed);
        if !owed.parts.is_empty()
            && let Some(place) = self.owed.get_mut(self.count)
        {
            *place = Some(owed);
            self.count += 1;
        }
        match status {
            Ok(()) => GrantStatus::OKAY,
            Err(status) => status,
        }
    }

    #[inline]
    fn take_down(&self, request: &UnmapRequest, handle: Handle<'_>, owed: &mut Owed<'_>) -> Result<(), GrantStatus> {
        let parts = handle.mapping.parts();
        if request.device_bus_address != 0 && parts.contains(Parts::DEVICE) {
            let frame = handle.claim(Parts::DEVICE).ok_or(GrantStatus::BAD_HANDLE)?;
            if frame.address().0 != request.device_bus_address {
                handle.unclaim(Parts::DEVICE);
                return Err(GrantStatus::BAD_DEV_ADDR);
            }
            owed.frame = frame;
            owed.parts = Parts::DEVICE;
        }
        if request.host_address != 0 && parts.contains(Parts::HOST) {
            let frame = handle.claim(Parts::HOST).ok_or(GrantStatus::BAD_HANDLE)?;
            if let Err(status) = self.clear_entry(request, handle.mapping, frame) {
                handle.unclaim(Parts::HOST);
                return Err(status);
            }
            owed.frame = frame;
            owed.parts = owed.parts.with(Parts::HOST);
        }
        Ok(())
    }

    #[inline]
    fn clear_entry(&self, request: &UnmapRequest, mapping: Mapping, frame: Mfn) -> Result<(), GrantStatus> {
        let flags = mapping.flags();
        match (place(request.host_address, flags)?, request.new_address) {
            (place, 0) => self.host.unmap(place, frame, flags),
            (Place::Virtual(at), donor) => self.host.replace(at, frame, flags, GuestVirtual(donor)),
            // A page-table entry named by machine address cannot be replaced, only cleared.
            (Place::Entry(_), _) => Err(GrantStatus::GENERAL_ERROR),
        }
    }

    /// Phase two for everything so far; the batch is empty afterwards.
    #[inline]
    pub fn finish(&mut self) {
        let count = core::mem::take(&mut self.count);
        let Some(owed) = self.owed.get(..count) else {
            return;
        };
        if owed.iter().flatten().any(|owed| owed.parts.contains(Parts::HOST)) {
            self.host.flush();
        }
        let mut domains = DomainCache::default();
        for owed in owed.iter().flatten() {
            settle(self.host, &mut domains, owed);
        }
    }
}

/// Gives back what one operation held.
#[inline]
fn settle<H: Mappings>(host: &H, domains: &mut DomainCache<H>, owed: &Owed<'_>) {
    let mapping = owed.handle.mapping;
    let access: Access = mapping.access();
    let mut pins = Pins::default();
    if owed.parts.contains(Parts::HOST) {
        host.put(owed.frame, access);
        pins = pins.with(Pins::host(access));
    }
    if owed.parts.contains(Parts::DEVICE) {
        host.put(owed.frame, access);
        pins = pins.with(Pins::device(access));
    }
    // The entry's own reference keeps the granting domain findable until here.
    if let Some(granter) = domains.table(host, mapping.domain()) {
        unpin(granter, host, mapping.reference(), pins);
    }
    host.own_table().maptrack().complete((owed.number, owed.handle), owed.parts, host.vcpu());
}

impl<H: Mappings, const N: usize> Drop for UnmapBatch<'_, H, N> {
    #[inline]
    fn drop(&mut self) {
        self.finish();
    }
}
