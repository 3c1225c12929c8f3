//! How much of the machine dom0 gets: frames, vCPUs, interrupts. Source: reference inventory §4.1 and §4.3.

use core::ops::Range;

use abi::{
    DomainId,
    xen_x86::{ArchDomainConfig, EmulationFlags},
};
use grant_tables::{Limits, Version};

use crate::{
    boot::{loader::LoaderInfo, options},
    cpu,
    domain::{Identity, NewDomain, rights::Extent},
    interrupt::io_apic,
    memory::{frame_table, physical},
};

/// Frames that no `dom0_mem` gets: what the hypervisor's heap may need to grow while dom0 starts.
const OWN_RESERVE: u64 = (4 << 20) >> 12;
/// Low memory is the boot code's of other CPUs and never given out.
const LOW_FRAMES: u64 = 256;
/// Most vCPUs of one domain, as in Xen.
const MOST_VCPUS: u32 = 8192;
/// Interrupts that each CPU's vectors have room for. Xen counts so, and dom0 sizes tables by it.
const INTERRUPTS_PER_CPU: u32 = 208;
/// Interrupts that the bitmap of `PHYSDEVOP_pirq_eoi_gmfn` has bits for.
const MOST_INTERRUPTS: u32 = 8 * 4096;

/// Frames of dom0.
#[derive(Clone, Copy)]
pub struct Frames {
    /// At its start.
    pub initial: u64,
    /// Ever.
    pub maximum: u64,
}

/// CPUs that run.
pub fn online_cpus() -> u32 {
    cpu::all().filter(|cpu| cpu.is_online()).count().max(1) as u32
}

/// The record that dom0 starts from; its frames are set later, when it is known what the record itself takes.
pub fn new_domain() -> NewDomain {
    let options = options::get();
    let cpus = online_cpus();
    NewDomain {
        identity: Identity {
            arch: ArchDomainConfig { emulation_flags: EmulationFlags::PIT, ..ArchDomainConfig::default() },
            ..Identity::default()
        },
        extent: Extent::Hardware,
        is_control: true,
        vcpus: options.dom0_vcpus.count(cpus, MOST_VCPUS),
        maximum_frames: u64::from(u32::MAX),
        grants: Limits {
            frames: options.grants.max_frames,
            maptrack_frames: options.grants.max_maptrack_frames,
            version: if options.grants.max_version == Some(2) { Version::Two } else { Version::One },
        },
        max_port: u32::MAX,
        pirqs: interrupts(cpus, io_apic::line_count()),
    }
}

/// Numbers for physical interrupts, counted as Xen counts them: the lines, and messages by the order of the CPU count.
fn interrupts(cpus: u32, lines: u32) -> u32 {
    let messages = (u32::BITS - cpus.leading_zeros()).saturating_mul(INTERRUPTS_PER_CPU);
    let machine = cpus.saturating_mul(INTERRUPTS_PER_CPU).max(8 * lines);
    lines.saturating_add(messages).min(machine).min(MOST_INTERRUPTS)
}

/// Frames by `dom0_mem`, from what is free now and what the modules still occupy.
pub fn frames(info: &LoaderInfo) -> Frames {
    let in_modules: u64 = module_frames(info).filter(|&frame| is_reusable(frame)).count() as u64;
    let available = (physical::free_frames() + in_modules).saturating_sub(OWN_RESERVE);
    let pages = options::get().dom0_memory.pages(available);
    // Without a limit of its own Xen reports the largest 32-bit number, and dom0's kernel cuts it down for itself.
    let maximum = pages.max.unwrap_or(u64::MAX).min(u64::from(u32::MAX));
    Frames { initial: pages.initial, maximum }
}

/// Frames that a byte range touches.
pub fn touched(start: u64, length: u64) -> Range<u64> {
    start >> 12..(start + length).div_ceil(4096)
}

/// Every frame that a module touches, once.
fn module_frames(info: &LoaderInfo) -> impl Iterator<Item = u64> {
    info.modules().enumerate().flat_map(move |(index, module)| {
        touched(module.start, module.length).filter(move |frame| {
            !info.modules().take(index).any(|earlier| touched(earlier.start, earlier.length).contains(frame))
        })
    })
}

/// Whether a module's frame is memory that boot kept aside and that is nobody's yet.
pub fn is_reusable(frame: u64) -> bool {
    let owner = frame_table::frames().get(abi::Mfn(frame)).map(|info| info.reference().owner());
    frame >= LOW_FRAMES && owner == Some(DomainId::INVALID)
}

/// Gives the memory of the modules to the allocator, except for what dom0 has been given as it is.
pub fn release_modules(info: &LoaderInfo) {
    let mut run: Range<u64> = 0..0;
    for frame in module_frames(info).filter(|&frame| is_reusable(frame)) {
        if frame != run.end {
            release(&run);
            run = frame..frame;
        }
        run.end += 1;
    }
    release(&run);
}

fn release(run: &Range<u64>) {
    if !run.is_empty()
        && let Err(errno) = physical::release_range(run.start, run.end)
    {
        log::warn!("Frames {:#x} to {:#x} of the boot modules stay unused ({})", run.start, run.end, errno.name());
    }
}
