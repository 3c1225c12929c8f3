//! The part of physdev_op by which dom0 tells the hypervisor about PCI: functions found and gone, windows, MSI state.

use abi::physdev::{
    MMCFG_RESERVED, ManagePci, ManagePciExt, PciDevice, PciDeviceAdd, PciDeviceFlags, PciMmcfgReserved,
    PhysdevOperation, RestoreMsi,
};
use abi::{Errno, GuestHandle, Result};

use crate::authority::{self, ControlDomain, Policy};
use crate::guest::{self, GuestMemory};
use crate::outcome::Reply;

/// A PCI function's address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PciAddress {
    /// Segment (domain) of the host bridge.
    pub segment: u16,
    /// Bus.
    pub bus: u8,
    /// Device in bits 7:3, function in bits 2:0.
    pub devfn: u8,
}

/// What dom0 knows about a function it announces.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PciFunction {
    /// A function beyond the eighth of its device (ARI).
    pub extended: bool,
    /// Bus and devfn of the physical function behind a virtual one.
    pub physical: Option<(u8, u8)>,
    /// Proximity domain of the firmware tables.
    pub proximity: Option<u32>,
}

/// A memory window onto configuration space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConfigurationWindow {
    /// Machine address of bus 0.
    pub address: u64,
    /// Segment.
    pub segment: u16,
    /// First bus.
    pub first_bus: u8,
    /// Last bus.
    pub last_bus: u8,
    /// Whether the memory map reserves it, so that it may be used.
    pub reserved: bool,
}

/// The machine's PCI functions.
pub trait PciHost {
    /// Takes note of a function. Errors: `ENODEV`, `ENOMEM`, `EINVAL`.
    fn pci_add(&mut self, authority: ControlDomain, device: PciAddress, function: PciFunction) -> Result<()>;
    /// Forgets one. Errors: `ENODEV` if it was not known.
    fn pci_remove(&mut self, authority: ControlDomain, device: PciAddress) -> Result<()>;
    /// Writes the function's message interrupts back into it, after a reset. Errors: `ENODEV`, `EINVAL`.
    fn pci_restore_messages(&mut self, authority: ControlDomain, device: PciAddress) -> Result<()>;
    /// The function's memory ranges will stay where they are: finds and guards its MSI-X table.
    /// Errors: `ENODEV`, `EBUSY`.
    fn pci_prepare_table(&mut self, authority: ControlDomain, device: PciAddress) -> Result<()>;
    /// They may move again. Errors: `ENODEV`, `EBUSY`.
    fn pci_release_table(&mut self, authority: ControlDomain, device: PciAddress) -> Result<()>;
    /// Learns whether a window may be used. Errors: `ENODEV` for buses the firmware states no window of, `EIO` for
    /// another address than it states.
    fn pci_window(&mut self, authority: ControlDomain, window: ConfigurationWindow) -> Result<()>;
}

/// Errors: `ENOSYS` for an unknown operation, `EFAULT`, `EPERM` unless a control domain calls, and the host's.
pub(super) fn announce<H>(host: &mut H, operation: PhysdevOperation, argument: GuestHandle<u8>) -> Reply
where
    H: PciHost + Policy + GuestMemory,
{
    match operation {
        PhysdevOperation::PCI_DEVICE_ADD => add(host, argument.cast())?,
        PhysdevOperation::MANAGE_PCI_ADD => {
            let request: ManagePci = guest::read(host, argument.cast())?;
            let authority = authority::control_domain(host)?;
            host.pci_add(authority, on_first_segment(request.bus, request.devfn), PciFunction::default())?;
        }
        PhysdevOperation::MANAGE_PCI_ADD_EXT => add_extended(host, argument.cast())?,
        PhysdevOperation::MANAGE_PCI_REMOVE => {
            let request: ManagePci = guest::read(host, argument.cast())?;
            let authority = authority::control_domain(host)?;
            host.pci_remove(authority, on_first_segment(request.bus, request.devfn))?;
        }
        PhysdevOperation::RESTORE_MSI => {
            let request: RestoreMsi = guest::read(host, argument.cast())?;
            let authority = authority::control_domain(host)?;
            host.pci_restore_messages(authority, on_first_segment(request.bus, request.devfn))?;
        }
        PhysdevOperation::PCI_MMCFG_RESERVED => {
            // Privilege comes before the pointer here, unlike elsewhere.
            let authority = authority::control_domain(host)?;
            let request: PciMmcfgReserved = guest::read(host, argument.cast())?;
            if request.flags & !MMCFG_RESERVED != 0 {
                return Err(Errno::EINVAL.into());
            }
            host.pci_window(authority, window(&request))?;
        }
        PhysdevOperation::PCI_DEVICE_REMOVE
        | PhysdevOperation::RESTORE_MSI_EXT
        | PhysdevOperation::PREPARE_MSIX
        | PhysdevOperation::RELEASE_MSIX => on_device(host, operation, argument.cast())?,
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

fn on_first_segment(bus: u8, devfn: u8) -> PciAddress {
    PciAddress { segment: 0, bus, devfn }
}

fn window(request: &PciMmcfgReserved) -> ConfigurationWindow {
    ConfigurationWindow {
        address: request.address,
        segment: request.segment,
        first_bus: request.start_bus,
        last_bus: request.end_bus,
        reserved: request.flags & MMCFG_RESERVED != 0,
    }
}

fn on_device<H: PciHost + Policy + GuestMemory>(
    host: &mut H,
    operation: PhysdevOperation,
    argument: GuestHandle<PciDevice>,
) -> Result<()> {
    let PciDevice { segment, bus, devfn } = guest::read(host, argument)?;
    let authority = authority::control_domain(host)?;
    let device = PciAddress { segment, bus, devfn };
    match operation {
        PhysdevOperation::PCI_DEVICE_REMOVE => host.pci_remove(authority, device),
        PhysdevOperation::RESTORE_MSI_EXT => host.pci_restore_messages(authority, device),
        PhysdevOperation::PREPARE_MSIX => host.pci_prepare_table(authority, device),
        _ => host.pci_release_table(authority, device),
    }
}

/// The proximity domain lies behind the structure, and only if a flag says so.
fn add<H: PciHost + Policy + GuestMemory>(host: &mut H, argument: GuestHandle<PciDeviceAdd>) -> Result<()> {
    let request = guest::read(host, argument)?;
    let proximity = if request.flags.contains(PciDeviceFlags::PROXIMITY) {
        Some(guest::read(host, argument.element(1).cast::<u32>())?)
    } else {
        None
    };
    let is_virtual = request.flags.contains(PciDeviceFlags::VIRTUAL_FUNCTION);
    let function = PciFunction {
        extended: request.flags.contains(PciDeviceFlags::EXTENDED_FUNCTION),
        physical: is_virtual.then_some((request.physical_bus, request.physical_devfn)),
        proximity,
    };
    let authority = authority::control_domain(host)?;
    let device = PciAddress { segment: request.segment, bus: request.bus, devfn: request.devfn };
    host.pci_add(authority, device, function)
}

/// Errors: `EINVAL` for flags other than 0 and 1.
fn add_extended<H: PciHost + Policy + GuestMemory>(host: &mut H, argument: GuestHandle<ManagePciExt>) -> Result<()> {
    let request = guest::read(host, argument)?;
    if request.is_extended_function > 1 || request.is_virtual_function > 1 {
        return Err(Errno::EINVAL);
    }
    let is_virtual = request.is_virtual_function != 0;
    let function = PciFunction {
        extended: request.is_extended_function != 0,
        physical: is_virtual.then_some((request.physical_bus, request.physical_devfn)),
        proximity: None,
    };
    let authority = authority::control_domain(host)?;
    host.pci_add(authority, on_first_segment(request.bus, request.devfn), function)
}
