//! The record of a CPU: what it shares with others, and the list of all records.
//!
//! Records are made before their CPU starts and live for good. Fields are atomics or locks; what a CPU keeps to itself is
//! in [`super::block::CpuInfo`].

use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use abi::{Errno, Mfn, Result};
use locks::Lock;
use pv_mmu::DropQueue;
use scheduler::{Deadlines, Queue};
use spin::Once;

use super::block;
use crate::{
    arch::descriptors::TaskState,
    sched::{queue, timers},
};

/// Most CPUs that are used; the width of affinity masks.
pub const MAX_CPUS: usize = 64;

/// Work that waits for a CPU's next pass through the exit gate; bits of [`Cpu::work`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Work(pub u32);

impl Work {
    /// Choose again what runs here.
    pub const SCHEDULE: Work = Work(1 << 0);
    /// A timer may be due.
    pub const TIMER: Work = Work(1 << 1);
    /// The current vCPU has an event, an NMI or a deferred update to take in.
    pub const VCPU: Work = Work(1 << 2);
    /// The console has input or a debug key to handle.
    pub const CONSOLE: Work = Work(1 << 3);
    /// Somebody waits for this CPU to hold no reference to a domain.
    pub const PASS: Work = Work(1 << 4);
    /// Print the registers of the guest that runs here.
    pub const REGISTERS: Work = Work(1 << 8);
    /// Go out of service, or come back ([`super::hotplug`]).
    pub const SERVICE: Work = Work(1 << 5);
    /// Meet all other CPUs ([`super::rendezvous`]).
    pub const RENDEZVOUS: Work = Work(1 << 7);
    /// Let the next one run first.
    pub const YIELD: Work = Work(1 << 6);
}

/// One processor.
pub struct Cpu {
    /// Position in the list, and in affinity masks.
    pub index: usize,
    /// Local APIC id.
    pub apic_id: u32,
    /// ACPI processor id, as dom0 names CPUs.
    pub acpi_id: u32,
    /// Task state that this CPU's descriptor table points to.
    pub task_state: TaskState,
    /// Frame of its descriptor page.
    pub descriptor_frame: Mfn,
    /// Pending [`Work`].
    pub work: AtomicU32,
    /// Whether it takes part.
    pub online: AtomicBool,
    /// Whether it ever took part: a CPU that did not start at boot never will.
    pub has_started: AtomicBool,
    /// Whether it is to take part: differs from `online` while it goes or comes.
    pub wanted: AtomicBool,
    /// When it came into service, nanoseconds of system time.
    pub in_service_since: AtomicU64,
    /// Flush clock when it last flushed everything.
    pub flushed_at: AtomicU32,
    /// Flushes that others asked for.
    pub flush_requests: AtomicU32,
    /// The last request that was answered.
    pub flush_answers: AtomicU32,
    /// Page-table root in use, so that others know whether a flush concerns it.
    pub root: AtomicU64,
    /// Whether it waits in the idle loop.
    pub idle: AtomicBool,
    /// vCPUs that wait to run here.
    pub queue: Lock<Queue>,
    /// Deadlines of the vCPUs whose timers it looks after.
    pub deadlines: Lock<Deadlines>,
    /// Table drops of work that no vCPU stands for.
    pub drops: DropQueue,
    /// What the local APIC timer is set to, nanoseconds of system time.
    pub next_deadline: AtomicU64,
    /// When it last took its timer interrupt, while the watchdog is on.
    pub beat: AtomicU64,
    /// When the current vCPU must give way to those that wait.
    pub slice_end: AtomicU64,
}

static CPUS: [Once<Cpu>; MAX_CPUS] = [const { Once::new() }; MAX_CPUS];
static COUNT: AtomicUsize = AtomicUsize::new(0);

impl Cpu {
    /// Adds a CPU to the list. Errors: `ENOSPC` when the list is full, `ENOMEM`.
    pub fn add(apic_id: u32, acpi_id: u32, descriptor_frame: Mfn) -> Result<&'static Cpu> {
        let index = COUNT.load(Relaxed);
        let slot = CPUS.get(index).ok_or(Errno::ENOSPC)?;
        let queue = queue::create(index)?;
        let deadlines = timers::create()?;
        let cpu = slot.call_once(|| Cpu {
            index,
            apic_id,
            acpi_id,
            task_state: TaskState::new(index),
            descriptor_frame,
            work: AtomicU32::new(0),
            online: AtomicBool::new(false),
            has_started: AtomicBool::new(false),
            wanted: AtomicBool::new(true),
            in_service_since: AtomicU64::new(0),
            flushed_at: AtomicU32::new(0),
            flush_requests: AtomicU32::new(0),
            flush_answers: AtomicU32::new(0),
            root: AtomicU64::new(0),
            idle: AtomicBool::new(false),
            queue,
            deadlines,
            drops: DropQueue::new(),
            next_deadline: AtomicU64::new(u64::MAX),
            slice_end: AtomicU64::new(u64::MAX),
            beat: AtomicU64::new(0),
        });
        COUNT.store(index + 1, Release);
        Ok(cpu)
    }

    /// Asks for `work` at this CPU's next pass through the gate; true when it had none of that kind waiting.
    #[inline]
    pub fn raise(&self, work: Work) -> bool {
        self.work.fetch_or(work.0, AcqRel) & work.0 == 0
    }

    /// Whether it takes part now.
    pub fn is_online(&self) -> bool {
        self.online.load(Acquire)
    }
}

/// The CPU this code runs on.
#[inline(always)]
pub fn this() -> &'static Cpu {
    block::this_info().cpu()
}

/// All CPUs that were found.
pub fn all() -> impl Iterator<Item = &'static Cpu> {
    CPUS.iter().take(COUNT.load(Acquire)).filter_map(Once::get)
}

/// The CPU at a position of the list.
#[inline]
pub fn by_index(index: usize) -> Option<&'static Cpu> {
    CPUS.get(index)?.get()
}

/// How many CPUs were found.
pub fn count() -> usize {
    COUNT.load(Acquire)
}
