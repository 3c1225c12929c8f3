//! sysctl: how large the machine is, how busy its CPUs are, how much memory is free.

use abi::Result;
use abi::sysctl_machine::{AvailHeap, CpuInfo, GetCpuInfo, PhysInfo, PhysicalCapabilities};

use super::power::IdleLimit;
use super::{CpuPlace, Request};
use crate::authority::ControlDomain;
use crate::guest::{self, GuestMemory};
use crate::op::domctl::LifecycleHost;
use crate::op::physdev::PciAddress;

/// The machine's size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MachineFacts {
    /// Threads of a core.
    pub threads_per_core: u32,
    /// Cores of a socket.
    pub cores_per_socket: u32,
    /// CPUs in service.
    pub cpus: u32,
    /// Frequency of the time stamp counter.
    pub kilohertz: u32,
    /// Usable frames.
    pub frames: u64,
    /// Of them free.
    pub free_frames: u64,
    /// Set aside for domains that are being built.
    pub claimed_frames: u64,
    /// Number behind the highest usable frame.
    pub frame_limit: u64,
    /// The first words of the host's feature set.
    pub features: [u32; 8],
}

/// Facts about the machine.
pub trait MachineHost {
    /// Its size.
    fn machine(&self) -> MachineFacts;
    /// CPUs that are known, in service or not; their numbers lie below this.
    fn cpu_numbers(&self) -> u32;
    /// Nanoseconds for which a CPU had nothing to do; `None` unless it is in service.
    fn idle_time(&self, cpu: u32) -> Option<u64>;
    /// Nanoseconds since a CPU came into service; `None` unless it is.
    fn service_time(&self, cpu: u32) -> Option<u64>;
    /// Where a CPU is; `None` unless it is in service.
    fn cpu_place(&self, cpu: u32) -> Option<CpuPlace>;
    /// Free frames with numbers from `first` up to, not including, `end`.
    fn free_frames(&self, first: u64, end: u64) -> u64;
    /// Whether a PCI function was announced.
    fn pci_is_known(&self, device: PciAddress) -> bool;
    /// The deepest idle state that CPUs may enter.
    fn idle_limit(&self, which: IdleLimit) -> u32;
    /// Changes it.
    fn set_idle_limit(&mut self, authority: ControlDomain, which: IdleLimit, state: u32);
}

/// Nodes that an interface of Xen's on x86 can name.
const HIGHEST_NODE: u32 = 63;

/// physinfo(3). Errors: `EFAULT`.
pub(super) fn physical<H: GuestMemory + MachineHost + LifecycleHost>(host: &H, request: &Request) -> Result<()> {
    let facts = host.machine();
    let mut capabilities = PhysicalCapabilities(PhysicalCapabilities::PV.0 | PhysicalCapabilities::GNTTAB_V1.0);
    if host.max_grant_version() >= 2 {
        capabilities.0 |= PhysicalCapabilities::GNTTAB_V2.0;
    }
    let answer = PhysInfo {
        threads_per_core: facts.threads_per_core,
        cores_per_socket: facts.cores_per_socket,
        cpus: facts.cpus,
        max_cpu_id: host.cpu_numbers().saturating_sub(1),
        nodes: 1,
        max_node_id: HIGHEST_NODE,
        kilohertz: facts.kilohertz,
        capabilities,
        total_pages: facts.frames,
        free_pages: facts.free_frames,
        outstanding_pages: facts.claimed_frames,
        max_mfn: facts.frame_limit.saturating_sub(1),
        hardware: facts.features,
        ..PhysInfo::default()
    };
    request.answer(host, &answer)
}

/// getcpuinfo(8). Errors: `EFAULT`.
pub(super) fn idle_times<H: GuestMemory + MachineHost>(host: &H, request: &Request) -> Result<()> {
    let mut asked: GetCpuInfo = request.argument()?;
    let count = asked.max.min(host.cpu_numbers());
    for cpu in 0..count {
        let info = CpuInfo { idle_time: host.idle_time(cpu).unwrap_or(0) };
        guest::write(host, asked.info.element(u64::from(cpu)), &info)?;
    }
    asked.count = count;
    request.answer(host, &asked)
}

/// availheap(9): free memory at addresses of between so and so many bits, on a node. Errors: `EFAULT`.
pub(super) fn free_memory<H: GuestMemory + MachineHost>(host: &H, request: &Request) -> Result<()> {
    let mut asked: AvailHeap = request.argument()?;
    let is_here = asked.node == -1 || asked.node == 0;
    let first = frame_at(asked.min_bits.saturating_sub(1));
    let end = if asked.max_bits == 0 { u64::MAX } else { frame_at(asked.max_bits) };
    let first = if asked.min_bits == 0 { 0 } else { first };
    let frames = if is_here && first < end { host.free_frames(first, end) } else { 0 };
    asked.bytes = frames.saturating_mul(abi::frame::PAGE_SIZE as u64);
    request.answer(host, &asked)
}

/// The frame at the first address that needs more than `bits` bits.
fn frame_at(bits: u32) -> u64 {
    1_u64.checked_shl(bits).map_or(u64::MAX, |address| address / abi::frame::PAGE_SIZE as u64)
}
