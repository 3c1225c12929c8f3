//! The part of physdev_op by which dom0 tells of PCI functions and configuration windows.

use abi::Result;
use hypercalls::{
    authority::ControlDomain,
    op::physdev::{ConfigurationWindow, PciAddress, PciFunction, PciHost},
};

use super::Caller;
use crate::{
    interrupt::{msi, msix_table},
    platform::pci,
};

impl PciHost for Caller<'_> {
    fn pci_add(&mut self, _authority: ControlDomain, device: PciAddress, function: PciFunction) -> Result<()> {
        // A virtual function comes with its physical one, which need not have been announced.
        if let Some((bus, devfn)) = function.physical {
            let physical = PciAddress { segment: device.segment, bus, devfn };
            pci::with(|pci| pci.add(physical, pci::Kind::Physical))?;
        }
        let kind = if function.physical.is_some() { pci::Kind::Virtual } else { pci::Kind::Physical };
        pci::with(|pci| pci.add(device, kind))
    }

    fn pci_remove(&mut self, _authority: ControlDomain, device: PciAddress) -> Result<()> {
        msi::remove_function(device)
    }

    fn pci_restore_messages(&mut self, _authority: ControlDomain, device: PciAddress) -> Result<()> {
        msi::restore(device)
    }

    fn pci_prepare_table(&mut self, _authority: ControlDomain, device: PciAddress) -> Result<()> {
        msix_table::prepare(device, &self.domain.rights)
    }

    fn pci_release_table(&mut self, _authority: ControlDomain, device: PciAddress) -> Result<()> {
        msix_table::unprepare(device)
    }

    fn pci_window(&mut self, _authority: ControlDomain, window: ConfigurationWindow) -> Result<()> {
        pci::judge_window(window, &self.domain.rights)
    }
}
