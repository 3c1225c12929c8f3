//! Starting the other CPUs, one at a time.
//!
//! Context: boot CPU, before guests run. Source: Intel SDM volume 3, §9.4 (INIT, start-up, start-up).

#![expect(unsafe_code, reason = "trampoline assembly")]

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use abi::{Mfn, Result};

use super::{Cpu, block, extended_state, start};
use crate::{
    interrupt::local_apic,
    memory::{entry, physical, window},
    platform::firmware::Firmware,
    time::{clock, delay},
};

/// Page below 1 MiB that holds the trampoline; kept out of the allocator with the rest of low memory.
const PAGE: u64 = 0x8000;
/// Offsets of the parameters in that page.
const ROOT: u64 = 4096 - 24;
const STACK: u64 = 4096 - 16;
const TARGET: u64 = 4096 - 8;
/// Longest wait for a CPU to report, microseconds.
const PATIENCE: u64 = 1_000_000;

core::arch::global_asm!(
    include_str!("trampoline.S"),
    root = const ROOT,
    stack = const STACK,
    target = const TARGET,
    options(att_syntax)
);

unsafe extern "C" {
    static trampoline_start: u8;
    static trampoline_end: u8;
}

/// Which CPUs may run.
#[derive(Clone, Copy)]
pub struct Limit {
    /// At most so many.
    pub cpus: usize,
    /// Which threads.
    pub threads: Threads,
}

/// Which threads of a core are used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// All.
    All,
    /// The first one.
    FirstOfCore,
}

impl Threads {
    /// Whether the CPU with this APIC id is used.
    fn include(self, apic_id: u32) -> bool {
        self == Threads::All || apic_id & ((1 << thread_bits()) - 1) == 0
    }
}

/// How many APIC ids a core has.
pub fn threads_per_core() -> u32 {
    1 << thread_bits().min(8)
}

/// How many low bits of an APIC id tell threads of a core apart. Source: CPUID leaf 0xB, level 0 (Intel); leaf
/// 0x8000001E where the extension is there (AMD). As on Xen, an AMD CPU without it has no threads that are known of.
fn thread_bits() -> u32 {
    let cpuid = raw_cpuid::CpuId::new();
    let is_amd = cpuid.get_vendor_info().is_some_and(|vendor| vendor.as_str() == "AuthenticAMD");
    if is_amd {
        let extended = cpuid.get_extended_processor_and_feature_identifiers();
        let core = cpuid
            .get_processor_topology_info()
            .filter(|_| extended.is_some_and(|found| found.has_topology_extensions()));
        return core.map_or(0, |core| u32::from(core.threads_per_core()).max(1).ilog2());
    }
    let levels = cpuid.get_extended_topology_info();
    let threads = levels.and_then(|mut all| all.find(|level| level.level_type() == raw_cpuid::TopologyType::SMT));
    threads.map_or(0, |level| level.shift_right_for_next_apic_id())
}

/// Makes records of all usable CPUs of the firmware and starts them. Returns how many run. Errors: `ENOMEM`.
pub fn start_others(firmware: &Firmware, limit: Limit) -> Result<usize> {
    let tables = StartTables::build()?;
    let own = local_apic::id();
    for processor in firmware.madt.processors.iter().filter(|processor| processor.enabled && processor.apic_id != own) {
        if super::count() >= limit.cpus.min(super::record::MAX_CPUS) {
            break;
        }
        if !limit.threads.include(processor.apic_id) {
            continue;
        }
        let cpu = start::prepare(processor.apic_id, processor.acpi_id)?;
        if !start_one(cpu, &tables) {
            log::error!("CPU {} (APIC {:#x}) did not start; going on without it.", cpu.index, cpu.apic_id);
        }
    }
    tables.free();
    Ok(super::all().filter(|cpu| cpu.is_online()).count())
}

/// A top-level table that maps the hypervisor and, for the jump, the trampoline's page at its own address.
struct StartTables {
    frames: [Mfn; 4],
}

impl StartTables {
    fn build() -> Result<Self> {
        let mut frames = [Mfn(0); 4];
        for frame in &mut frames {
            *frame = physical::allocate(frame_allocator::Order(0), Mfn(1 << 20))?;
            window::zero(*frame);
        }
        let [root, level3, level2, level1] = frames;
        window::copy_frame(root, physical::root());
        let link = |table: Mfn, index: usize, value: u64| {
            if let Some(slot) = window::words(table).get(index) {
                slot.store(value, Relaxed);
            }
        };
        link(root, 0, level3.address().0 | entry::TABLE);
        link(level3, 0, level2.address().0 | entry::TABLE);
        link(level2, 0, level1.address().0 | entry::TABLE);
        link(level1, (PAGE >> 12) as usize, PAGE | entry::PRESENT | entry::WRITABLE | entry::ACCESSED | entry::DIRTY);
        Ok(Self { frames })
    }

    fn free(self) {
        for frame in self.frames {
            physical::free(frame, frame_allocator::Order(0));
        }
    }
}

fn start_one(cpu: &'static Cpu, tables: &StartTables) -> bool {
    write_trampoline(cpu, tables);
    local_apic::send_init(cpu.apic_id);
    delay::microseconds(1_000);
    for _ in 0..2 {
        local_apic::send_startup(cpu.apic_id, (PAGE >> 12) as u8);
        if wait_online(cpu, 300) {
            return true;
        }
    }
    wait_online(cpu, PATIENCE)
}

fn wait_online(cpu: &Cpu, microseconds: u64) -> bool {
    let end = clock::now() + microseconds * 1000;
    while clock::now() < end {
        if cpu.online.load(Acquire) {
            return true;
        }
        core::hint::spin_loop();
    }
    cpu.online.load(Acquire)
}

fn write_trampoline(cpu: &Cpu, tables: &StartTables) {
    let (start, end) = (&raw const trampoline_start, &raw const trampoline_end);
    // SAFETY: the two symbols bound the bytes of the trampoline in our own read-only data.
    let code = unsafe { core::slice::from_raw_parts(start, end as usize - start as usize) };
    window::write_physical(PAGE, code);
    let stack = block::main_stack(cpu.index);
    window::write_physical(PAGE + ROOT, &tables.frames[0].address().0.to_le_bytes());
    window::write_physical(PAGE + STACK, &stack.to_le_bytes());
    window::write_physical(PAGE + TARGET, &(started as *const () as u64).to_le_bytes());
}

/// First Rust code of every CPU but the first, on its main stack.
extern "C" fn started() -> ! {
    start::leave_start_tables();
    start::enter_service_early();
    extended_state::enable_all();
    start::enter_service();
    crate::sched::idle::enter()
}
