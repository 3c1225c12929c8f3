//! The machine's size, and how busy it is.

use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed},
};

use hypercalls::{
    authority::ControlDomain,
    op::{
        physdev::PciAddress,
        sysctl::{CpuPlace, IdleLimit, MachineFacts, MachineHost},
    },
};
use pv_cpu::cpuid::Vendor;

use super::topology;
use crate::{
    cpu,
    memory::{claims, frame_table, physical, setup},
    platform::pci,
    serve::{Caller, policy},
    time::clock,
};

/// Deepest idle states that were allowed; CPUs never go deeper than the first, so the limits only are remembered.
static IDLE_STATE: AtomicU32 = AtomicU32::new(1);
static IDLE_SUBSTATE: AtomicU32 = AtomicU32::new(u32::MAX);

fn limit(which: IdleLimit) -> &'static AtomicU32 {
    match which {
        IdleLimit::State => &IDLE_STATE,
        IdleLimit::Substate => &IDLE_SUBSTATE,
    }
}

impl MachineHost for Caller<'_> {
    fn machine(&self) -> MachineFacts {
        let shape = topology::shape();
        MachineFacts {
            threads_per_core: shape.threads_per_core,
            cores_per_socket: shape.cores_per_socket,
            cpus: cpu::all().filter(|cpu| cpu.is_online()).count() as u32,
            kilohertz: clock::frequency_khz() as u32,
            frames: setup::usable_frames(),
            free_frames: physical::free_frames(),
            claimed_frames: claims::outstanding(),
            frame_limit: frame_table::limit().0,
            features: features(),
        }
    }

    fn cpu_numbers(&self) -> u32 {
        cpu::count() as u32
    }

    fn idle_time(&self, index: u32) -> Option<u64> {
        let cpu = cpu::by_index(index as usize).filter(|cpu| cpu.is_online())?;
        let now = clock::now();
        let busy = cpu.queue.lock().busy_time(now);
        Some(now.saturating_sub(cpu.in_service_since.load(Acquire)).saturating_sub(busy))
    }

    fn service_time(&self, index: u32) -> Option<u64> {
        let cpu = cpu::by_index(index as usize).filter(|cpu| cpu.is_online())?;
        Some(clock::now().saturating_sub(cpu.in_service_since.load(Acquire)))
    }

    fn cpu_place(&self, index: u32) -> Option<CpuPlace> {
        cpu::by_index(index as usize).filter(|cpu| cpu.is_online()).map(topology::place)
    }

    fn free_frames(&self, first: u64, end: u64) -> u64 {
        physical::free_frames_in(first..end)
    }

    fn pci_is_known(&self, device: PciAddress) -> bool {
        pci::with(|pci| pci.known(device).is_ok())
    }

    fn idle_limit(&self, which: IdleLimit) -> u32 {
        limit(which).load(Relaxed)
    }

    fn set_idle_limit(&mut self, _authority: ControlDomain, which: IdleLimit, state: u32) {
        limit(which).store(state, Relaxed);
    }
}

/// The first words of the host's feature set: what the CPU has, without what mirrors the state of an operating system and
/// what does not work here.
fn features() -> [u32; 8] {
    /// SYSENTER, which AMD's CPUs do not have in long mode.
    const SYSENTER: u32 = 1 << 11;
    const OSXSAVE: u32 = 1 << 27;
    const OSPKE: u32 = 1 << 4;
    /// Bits of leaf 1 that AMD repeats in leaf 0x80000001.
    const REPEATED: u32 = 0x0183_F3FF;
    let leaf = |leaf: u32, subleaf: u32| policy::host(leaf, subleaf);
    let (basic_max, extended_max) = (leaf(0, 0).eax, leaf(0x8000_0000, 0).eax);
    let within = |number: u32, subleaf: u32| {
        let max = if number >> 31 == 0 { basic_max } else { extended_max };
        if number <= max { leaf(number, subleaf) } else { Default::default() }
    };
    let (one, seven, extended) = (within(1, 0), within(7, 0), within(0x8000_0001, 0));
    let hidden = match Vendor::from_leaf(leaf(0, 0)) {
        Vendor::Amd | Vendor::Hygon => SYSENTER,
        _ => 0,
    };
    [
        one.edx & !hidden,
        one.ecx & !OSXSAVE,
        extended.edx & !REPEATED,
        extended.ecx,
        within(0xD, 1).eax,
        seven.ebx,
        seven.ecx & !OSPKE,
        within(0x8000_0007, 0).edx,
    ]
}
