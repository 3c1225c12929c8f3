//! One virtual CPU.
//!
//! What others may touch is atomic or locked and stands in [`Vcpu`]; what belongs to whoever runs it stands in
//! [`VcpuState`], reached by the CPU on which the vCPU is resident, or by anybody while it is resident nowhere and kept
//! from running by the domain's control lock.

#![expect(unsafe_code, reason = "hands out the running vCPU's state")]

use core::cell::{Cell, UnsafeCell};
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use abi::{Mfn, Result, VcpuId};
use event_channels::VcpuInfo;
use hypercalls::behalf::Behalf;
use pv_cpu::{registers::Registers, vcpu::VirtualCpu};
use pv_mmu::DropQueue;
use scheduler::EntityId;

use super::Domain;
use crate::{
    cpu::extended_state::ExtendedState, sched::entities, serve::exchange::ExchangeStep, serve::instructions::OwnMsrs,
    time::vcpu_time::VcpuTime,
};

/// Why a vCPU may not run; it is runnable when none is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunFlags(pub u32);

impl RunFlags {
    /// Not brought up, or taken down.
    pub const DOWN: RunFlags = RunFlags(1 << 0);
    /// Waits for an event.
    pub const BLOCKED: RunFlags = RunFlags(1 << 1);
    /// Waits for one of the ports it polls, or a deadline.
    pub const POLLING: RunFlags = RunFlags(1 << 2);
    /// A toolstack has its domain paused.
    pub const PAUSED: RunFlags = RunFlags(1 << 3);
    /// Its domain has stopped.
    pub const STOPPED: RunFlags = RunFlags(1 << 4);
    /// Somebody works on its state ([`super::Held`]).
    pub const HELD: RunFlags = RunFlags(1 << 5);
}

/// What the vCPU must do before it enters its guest again; see [`Vcpu::note`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PendingWork(pub u32);

impl PendingWork {
    /// An NMI waits.
    pub const NMI: PendingWork = PendingWork(1 << 0);
    /// Its clock parameters or runstate area must be written to guest memory once its kernel's tables are in place.
    pub const AREAS: PendingWork = PendingWork(1 << 1);
    /// A selector could not be loaded when it was switched in; its failsafe callback is to be told.
    pub const FAILSAFE: PendingWork = PendingWork(1 << 3);
    /// It has polled; the poll is over when it runs again.
    pub const POLL: PendingWork = PendingWork(1 << 2);

    const fn in_attention(self) -> u64 {
        (self.0 as u64) << 32
    }
}

/// A vCPU as everybody sees it.
pub struct Vcpu {
    /// Its domain.
    pub domain: &'static Domain,
    /// Its number there.
    pub id: VcpuId,
    /// What keeps it from entering its guest at once: [`RunFlags`] in the low half, [`PendingWork`] in the high half. One
    /// word, so that the gate looks once.
    attention: AtomicU64,
    /// Whether it was given its first context.
    pub initialised: AtomicBool,
    /// CPU whose run queue it belongs to.
    pub processor: AtomicU32,
    /// Whether a CPU runs it now (it may still be resident on one that does not).
    pub running: AtomicBool,
    /// Whether a CPU has its registers loaded, or is about to load them or has yet to store them.
    pub resident: AtomicBool,
    /// Whether a run queue has it, or it moves between two: from its making to its domain's teardown.
    pub is_queued: AtomicBool,
    /// Index of the CPU that holds it, plus one; zero when none does.
    pub holder: AtomicU32,
    /// Its number in the scheduler.
    pub entity: EntityId,
    _number: entities::Number,
    /// Hard affinity that it was told, one bit a CPU.
    pub affinity: AtomicU64,
    /// Soft affinity, likewise.
    pub soft_affinity: AtomicU64,
    /// CPU that `SCHEDOP_pin_override` binds it to; [`Vcpu::NOT_BOUND`] for none. Changes under the lock of
    /// [`crate::sched::pools`].
    pub bound_to: AtomicU32,
    /// Table drops it has not finished.
    pub drops: DropQueue,
    /// Its share of time: runstate, timers, areas in guest memory.
    pub time: VcpuTime,
    /// The block that events are reported in; changes once, when the guest registers its own.
    info: AtomicInfo,
    state: UnsafeCell<VcpuState>,
}

// SAFETY: `state` is handed out by `Vcpu::state` alone, whose callers answer for exclusive use; all else is Sync.
unsafe impl Sync for Vcpu {}

/// A reference that changes atomically.
struct AtomicInfo(core::sync::atomic::AtomicPtr<VcpuInfo>);

/// What belongs to whoever runs the vCPU.
pub struct VcpuState {
    /// Registers while it is not resident.
    pub registers: Registers,
    /// Everything PV about it.
    pub virtual_cpu: VirtualCpu,
    /// Top-level table of its kernel; holds a reference and a type.
    pub kernel_root: Cell<Option<Mfn>>,
    /// Top-level table of its user mode; holds a reference and a type.
    pub user_root: Cell<Option<Mfn>>,
    /// GDT frames it set, in order; each holds a reference and a type.
    pub descriptor_frames: Cell<[Option<Mfn>; 14]>,
    /// Entries of the GDT.
    pub descriptor_entries: Cell<u32>,
    /// Linear address and entries of the LDT.
    pub local_table: Cell<(u64, u32)>,
    /// x87, SSE, AVX state.
    pub extended: ExtendedState,
    /// MSRs of its own.
    pub msrs: OwnMsrs,
    /// The step of `XENMEM_exchange` it is in; empty between calls.
    pub exchange: ExchangeStep,
    /// On whose behalf its present call works.
    pub behalf: Behalf,
}

impl Vcpu {
    /// No CPU that it is bound to.
    pub const NOT_BOUND: u32 = u32::MAX;

    /// A vCPU that is down and has no context. Errors: `ENOMEM`.
    pub fn new(domain: &'static Domain, id: VcpuId, info: &'static VcpuInfo) -> Result<Self> {
        let info = core::sync::atomic::AtomicPtr::new(core::ptr::from_ref(info).cast_mut());
        let number = entities::Number::take()?;
        Ok(Self {
            domain,
            id,
            attention: AtomicU64::new(u64::from(RunFlags::DOWN.0)),
            initialised: AtomicBool::new(false),
            processor: AtomicU32::new(0),
            running: AtomicBool::new(false),
            resident: AtomicBool::new(false),
            is_queued: AtomicBool::new(false),
            holder: AtomicU32::new(0),
            entity: number.id(),
            _number: number,
            affinity: AtomicU64::new(u64::MAX),
            soft_affinity: AtomicU64::new(u64::MAX),
            bound_to: AtomicU32::new(Self::NOT_BOUND),
            drops: DropQueue::new(),
            time: VcpuTime::new(),
            info: AtomicInfo(info),
            state: UnsafeCell::new(VcpuState {
                registers: Registers::default(),
                virtual_cpu: VirtualCpu::default(),
                kernel_root: Cell::new(None),
                user_root: Cell::new(None),
                descriptor_frames: Cell::new([None; 14]),
                descriptor_entries: Cell::new(0),
                local_table: Cell::new((0, 0)),
                extended: ExtendedState::new()?,
                msrs: OwnMsrs::default(),
                exchange: ExchangeStep::default(),
                behalf: Behalf::Caller,
            }),
        })
    }

    /// The block that events are reported in.
    #[inline(always)]
    pub fn info(&self) -> &'static VcpuInfo {
        // SAFETY: only references that live as long as the domain are stored (`new`, `set_info`).
        unsafe { &*self.info.0.load(Acquire) }
    }

    /// Points the exit gate at the block the guest registered; it stays mapped until the domain is gone.
    pub fn set_info(&self, info: &'static VcpuInfo) {
        self.info.0.store(core::ptr::from_ref(info).cast_mut(), core::sync::atomic::Ordering::Release);
    }

    /// The state of a vCPU.
    ///
    /// # Safety
    /// 1. The vCPU is resident on this CPU and the caller is what handles its current entry; or it is resident nowhere
    ///    and the caller keeps it from running.
    /// 2. No other reference from this function is alive.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "exclusive by the caller's duties")]
    pub unsafe fn state(&self) -> &mut VcpuState {
        // SAFETY: duties 1 and 2.
        unsafe { &mut *self.state.get() }
    }

    /// Whether it may enter its guest as far as it alone is concerned: it is runnable, and no work is noted.
    #[inline(always)]
    pub fn is_undisturbed(&self) -> bool {
        self.attention() == 0
    }

    /// Why it may not enter its guest, as bits for the gate, which asks for several reasons at once; 0: it may.
    #[inline(always)]
    pub fn attention(&self) -> u64 {
        self.attention.load(Acquire)
    }

    /// The reasons why it may not run.
    #[inline]
    pub fn run_flags(&self) -> RunFlags {
        RunFlags(self.attention.load(Acquire) as u32)
    }

    /// The CPU that it is bound to for a while.
    pub fn bound_cpu(&self) -> Option<u32> {
        Some(self.bound_to.load(Acquire)).filter(|&cpu| cpu != Self::NOT_BOUND)
    }

    /// Where it may run, one bit a CPU: on the CPU that it is bound to, else where it was told.
    pub fn hard_affinity(&self) -> u64 {
        self.bound_cpu().map_or_else(|| self.affinity.load(Acquire), |cpu| 1 << (cpu & 63))
    }

    /// Whether no queue has it: its domain's teardown has it and it never runs again, or it is still being made.
    pub fn is_evicted(&self) -> bool {
        !self.is_queued.load(Acquire)
    }

    /// Whether somebody works, or wants to work, on its state.
    pub fn is_held(&self) -> bool {
        self.run_flags().0 & RunFlags::HELD.0 != 0
    }

    /// Whether nothing keeps it from running.
    #[inline]
    pub fn is_runnable(&self) -> bool {
        self.run_flags().0 == 0
    }

    /// Whether it may go on where it is resident: nothing keeps it from running, and the scheduler gave it the CPU. One
    /// that is resident on an idle CPU may be runnable a moment before the scheduler hears of it.
    #[inline]
    pub fn has_cpu(&self) -> bool {
        self.is_runnable() && self.running.load(Relaxed)
    }

    /// Sets reasons not to run; those that stood before.
    pub fn stop(&self, flags: RunFlags) -> RunFlags {
        RunFlags(self.attention.fetch_or(u64::from(flags.0), AcqRel) as u32)
    }

    /// Clears reasons not to run; those that stood before.
    pub fn release(&self, flags: RunFlags) -> RunFlags {
        RunFlags(self.attention.fetch_and(!u64::from(flags.0), AcqRel) as u32)
    }

    /// Notes work for the next entry; true when it was not noted before.
    pub fn note(&self, work: PendingWork) -> bool {
        self.attention.fetch_or(work.in_attention(), AcqRel) & work.in_attention() == 0
    }

    /// The work that is noted.
    pub fn pending(&self) -> PendingWork {
        PendingWork((self.attention.load(Acquire) >> 32) as u32)
    }

    /// Takes the work that is noted.
    pub fn take_pending(&self) -> PendingWork {
        PendingWork((self.attention.fetch_and(u64::from(u32::MAX), AcqRel) >> 32) as u32)
    }
}

impl core::fmt::Debug for Vcpu {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "d{}v{}", self.domain.id, self.id)
    }
}
