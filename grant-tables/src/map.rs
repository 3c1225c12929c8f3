//! `GNTTABOP_map_grant_ref`: maps an entry of another domain, or of the caller itself, into the caller.
//!
//! Every step is a value that undoes itself when dropped: handle, pin, references. The page-table entry is written last,
//! and after it nothing can fail. There is no IOMMU: a device mapping is counted and holds its reference, nothing else.

use abi::{
    GrantHandle, GuestVirtual, MachineAddress,
    grant_table::{GrantStatus, MapFlags, MapGrantRef},
};

use crate::{
    domains::DomainCache,
    entry::{Pins, Purpose},
    host::{Access, Host, Mappings, Place},
    maptrack::Mapping,
    pin::{Held, Pin, Use},
};

/// Outputs of a successful map operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapped {
    /// Names the mapping.
    pub handle: GrantHandle,
    /// Machine address of the frame.
    pub device_bus_address: MachineAddress,
}

/// Decodes the address of a host mapping. Errors: `GENERAL_ERROR` for a misaligned page-table entry.
#[inline]
pub(crate) fn place(address: u64, flags: MapFlags) -> Result<Place, GrantStatus> {
    if !flags.contains(MapFlags::CONTAINS_PTE) {
        Ok(Place::Virtual(GuestVirtual(address)))
    } else if address.is_multiple_of(size_of::<u64>() as u64) {
        Ok(Place::Entry(MachineAddress(address)))
    } else {
        Err(GrantStatus::GENERAL_ERROR)
    }
}

/// Runs one map operation. Errors: `BAD_GNTREF` without host or device flag or for a reference out of range,
/// `BAD_DOMAIN`, `NO_SPACE` without a free handle, and those of pinning and of [`Mappings::map`].
#[inline]
pub fn map<H: Mappings>(host: &H, domains: &mut DomainCache<H>, request: &MapGrantRef) -> Result<Mapped, GrantStatus> {
    let flags = request.flags;
    let on_host = flags.contains(MapFlags::HOST_MAP);
    let on_device = flags.contains(MapFlags::DEVICE_MAP);
    if !on_host && !on_device {
        return Err(GrantStatus::BAD_GNTREF);
    }
    let granter = domains.table(host, request.domain).ok_or(GrantStatus::BAD_DOMAIN)?;
    let reservation = host.own_table().maptrack().reserve(host.vcpu(), host).ok_or(GrantStatus::NO_SPACE)?;

    let access = if flags.contains(MapFlags::READONLY) { Access::Read } else { Access::Write };
    let mut pins = Pins::default();
    if on_host {
        pins = pins.with(Pins::host(access));
    }
    if on_device {
        pins = pins.with(Pins::device(access));
    }
    let wanted = Use { grantee: host.current(), access, pins, purpose: Purpose::Map };
    let pin = Pin::new(granter, host, request.reference, wanted)?;

    let device = if on_device { Some(hold(host, &pin, granter.owner(), access)?) } else { None };
    if on_host {
        let held = hold(host, &pin, granter.owner(), access)?;
        host.map(place(request.host_address, flags)?, pin.frame(), flags)?;
        held.keep();
    }
    if let Some(device) = device {
        device.keep();
    }
    let frame = pin.keep();
    let mapping = Mapping::new(request.domain, request.reference, flags);
    Ok(Mapped { handle: reservation.publish(mapping, frame), device_bus_address: frame.address() })
}

#[inline]
fn hold<'h, H: Host>(
    host: &'h H,
    pin: &Pin<'_, 'h, H>,
    owner: abi::DomainId,
    access: Access,
) -> Result<Held<'h, H>, GrantStatus> {
    Held::again(host, owner, pin.frame(), access)
}
