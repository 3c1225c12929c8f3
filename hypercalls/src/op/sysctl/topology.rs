//! sysctl: where CPUs, memory and devices are. There is one memory node.

use abi::physdev::PciDevice;
use abi::sysctl_machine::{
    CpuTopology, CpuTopologyInfo, NO_CORE, NO_DEVICE, NO_NODE, NO_SOCKET, NodeMemory, NumaInfo, PciTopologyInfo,
};
use abi::{Errno, Result};

use super::{MachineHost, Request};
use crate::guest::{self, GuestMemory, Preemption};
use crate::op::physdev::PciAddress;

/// Where a CPU is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuPlace {
    /// Its core's number in the socket.
    pub core: u32,
    /// Its socket's number.
    pub socket: u32,
}

/// The only node, and how far it is from itself.
const NODE: u32 = 0;
const OWN_DISTANCE: u32 = 10;

/// cputopoinfo(16); without an array it counts. Errors: `EFAULT`.
pub(super) fn cpus<H: GuestMemory + MachineHost>(host: &H, request: &Request) -> Result<()> {
    let mut asked: CpuTopologyInfo = request.argument()?;
    let known = host.cpu_numbers();
    if asked.cpus.is_null() {
        asked.count = known;
        return request.answer(host, &asked);
    }
    asked.count = asked.count.min(known);
    for cpu in 0..asked.count {
        let place = match host.cpu_place(cpu) {
            Some(CpuPlace { core, socket }) => CpuTopology { core, socket, node: NODE },
            None => CpuTopology { core: NO_CORE, socket: NO_SOCKET, node: NO_NODE },
        };
        guest::write(host, asked.cpus.element(u64::from(cpu)), &place)?;
    }
    request.answer(host, &asked)
}

/// numainfo(17); without arrays it counts. Errors: `EFAULT`.
pub(super) fn nodes<H: GuestMemory + MachineHost>(host: &H, request: &Request) -> Result<()> {
    let mut asked: NumaInfo = request.argument()?;
    if asked.memory.is_null() && asked.distances.is_null() {
        asked.count = 1;
        return request.answer(host, &asked);
    }
    asked.count = asked.count.min(1);
    if asked.count == 1 {
        if !asked.memory.is_null() {
            let facts = host.machine();
            let bytes = |frames: u64| frames.saturating_mul(abi::frame::PAGE_SIZE as u64);
            let memory = NodeMemory { size: bytes(facts.frame_limit), free: bytes(facts.free_frames) };
            guest::write(host, asked.memory, &memory)?;
        }
        if !asked.distances.is_null() {
            guest::write(host, asked.distances, &OWN_DISTANCE)?;
        }
    }
    request.answer(host, &asked)
}

/// Functions between two looks at the clock.
const STRIDE: u32 = 16;

/// pcitopoinfo(22): the nodes of PCI functions; stops after a while, the count says where. Errors: `EINVAL` without
/// functions or places for the answers, `EFAULT`.
pub(super) fn devices<H: GuestMemory + Preemption + MachineHost>(host: &H, request: &Request) -> Result<()> {
    let mut asked: PciTopologyInfo = request.argument()?;
    if asked.devices.is_null() || asked.nodes.is_null() {
        return Err(Errno::EINVAL);
    }
    let mut done = 0;
    while done < asked.count && !(done != 0 && done.is_multiple_of(STRIDE) && host.preempted()) {
        let device: PciDevice = guest::read(host, asked.devices.element(u64::from(done)))?;
        let address = PciAddress { segment: device.segment, bus: device.bus, devfn: device.devfn };
        // No firmware table that names nodes is read.
        let node = if host.pci_is_known(address) { NO_NODE } else { NO_DEVICE };
        guest::write(host, asked.nodes.element(u64::from(done)), &node)?;
        done += 1;
    }
    asked.count = done;
    request.answer(host, &asked)
}
