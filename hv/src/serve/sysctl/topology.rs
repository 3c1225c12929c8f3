//! Threads, cores and sockets, as the local APIC ids tell them apart. Source: Intel SDM volume 3, §9.9; AMD APM volume 3,
//! CPUID functions 8000_0008 and 8000_001E.

use abi::sysctl_machine::NO_CORE;
use hypercalls::op::sysctl::CpuPlace;
use pv_cpu::cpuid::{Leaf, Vendor};
use spin::Once;

use crate::{
    cpu::{self, Cpu},
    serve::policy,
};

/// How many bits of an APIC id tell threads of a core, and CPUs of a socket, apart.
#[derive(Clone, Copy)]
struct Shifts {
    thread: u32,
    socket: u32,
}

/// CPUs that share with the first one.
pub struct Shape {
    /// Its core.
    pub threads_per_core: u32,
    /// Its socket, in cores.
    pub cores_per_socket: u32,
}

fn shifts() -> Shifts {
    static SHIFTS: Once<Shifts> = Once::new();
    *SHIFTS.call_once(read_shifts)
}

fn read_shifts() -> Shifts {
    const TOPOLOGY: u32 = 0xB;
    const HYPERTHREADING: u32 = 1 << 28;
    let leaf0 = policy::host(0, 0);
    if leaf0.eax >= TOPOLOGY {
        let (threads, cores) = (policy::host(TOPOLOGY, 0), policy::host(TOPOLOGY, 1));
        if threads.ebx & 0xFFFF != 0 {
            return Shifts { thread: threads.eax & 0x1F, socket: (cores.eax & 0x1F).max(threads.eax & 0x1F) };
        }
    }
    let one = policy::host(1, 0);
    let logical = if one.edx & HYPERTHREADING != 0 { one.ebx >> 16 & 0xFF } else { 1 };
    let socket = bits_for(logical);
    let is_amd = matches!(Vendor::from_leaf(leaf0), Vendor::Amd | Vendor::Hygon);
    let thread = if is_amd { amd_thread_bits() } else { bits_for(logical / intel_cores(leaf0).max(1)) };
    Shifts { thread: thread.min(socket), socket }
}

fn amd_thread_bits() -> u32 {
    const NODES: u32 = 0x8000_001E;
    if policy::host(0x8000_0000, 0).eax < NODES { 0 } else { bits_for((policy::host(NODES, 0).ebx >> 8 & 0xFF) + 1) }
}

fn intel_cores(leaf0: Leaf) -> u32 {
    if leaf0.eax < 4 { 1 } else { (policy::host(4, 0).eax >> 26) + 1 }
}

/// Bits that numbers below `count` need.
fn bits_for(count: u32) -> u32 {
    count.max(1).next_power_of_two().trailing_zeros()
}

/// Whether this is one of AMD's CPUs that has a single core: Xen numbers their sockets, not their cores.
fn is_without_cores() -> bool {
    const SIZES: u32 = 0x8000_0008;
    let is_amd = matches!(Vendor::from_leaf(policy::host(0, 0)), Vendor::Amd | Vendor::Hygon);
    is_amd && (policy::host(0x8000_0000, 0).eax < SIZES || policy::host(SIZES, 0).ecx & 0xFF == 0)
}

/// Where a CPU is.
pub fn place(cpu: &Cpu) -> CpuPlace {
    if is_without_cores() {
        return CpuPlace { core: NO_CORE, socket: cpu.apic_id };
    }
    let Shifts { thread, socket } = shifts();
    let core = (cpu.apic_id & !u32::MAX.checked_shl(socket).unwrap_or(0)) >> thread;
    CpuPlace { core, socket: cpu.apic_id.checked_shr(socket).unwrap_or(0) }
}

/// Who shares with the boot CPU, of those in service.
pub fn shape() -> Shape {
    let Some(first) = cpu::by_index(0).map(place) else { return Shape { threads_per_core: 1, cores_per_socket: 1 } };
    let online = || cpu::all().filter(|cpu| cpu.is_online()).map(place);
    let threads = online().filter(|place| *place == first).count().max(1) as u32;
    let cpus = online().filter(|place| place.socket == first.socket).count().max(1) as u32;
    Shape { threads_per_core: threads, cores_per_socket: (cpus / threads).max(1) }
}
