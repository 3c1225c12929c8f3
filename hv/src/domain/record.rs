//! A domain.
//!
//! Made in one step that undoes itself on failure ([`Domain::create`]), given its vCPUs, published, filled by its builder.
//! When it has been taken down and its last frame is free it leaves the list, and the record goes when no CPU can be
//! using it ([`super::retired`]). Locks: `control` around slow changes; the parts lock themselves.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{
    AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};

use abi::{DomainId, Errno, Mfn, Result, VcpuId, sched::ShutdownReason};
use event_channels::{InfoPlace, Limits as PortLimits, Ports, VcpuInfo};
use grant_tables::{GrantTable, Limits as GrantLimits};
use hypercalls::op::domctl::TscState;
use locks::{Level, Lock};
use pv_mmu::{SharedAccess, release_shared};
use spin::Once;

use super::{
    DomainMemory, GuestVcpuInfo, HvPlatform, Identity, Life, Shutdown, Vcpu,
    list::{self, NewId},
    per_domain::PerDomain,
    retired,
    rights::{Extent, Rights},
};
use crate::{
    interrupt::flush::CpuMask,
    memory::{frame_table, mmu::Machine, recycle, window},
    sched::share::Share,
    serve::{
        grant_memory::{GrantMemory, GrantPage},
        policy::Policies,
    },
};

/// vCPUs that have their event block in the shared page.
const LEGACY_VCPUS: u32 = 32;

/// What a new domain is to be.
#[derive(Clone, Copy)]
pub struct NewDomain {
    /// What tools know it by.
    pub identity: Identity,
    /// How much of the machine it gets.
    pub extent: Extent,
    /// Whether it may control others.
    pub is_control: bool,
    /// vCPUs it will have.
    pub vcpus: u32,
    /// Frames it may have.
    pub maximum_frames: u64,
    /// Sizes of its grant table.
    pub grants: GrantLimits,
    /// Highest event port it can have.
    pub max_port: u32,
    /// Physical interrupts it can name.
    pub pirqs: u32,
}

/// Changes that take the control lock.
pub struct Control {
    /// Deadlines of its watchdogs.
    pub watchdogs: [Option<u64>; 2],
    /// Pauses of the toolstack.
    pub pauses: u32,
    /// What tools know it by.
    pub identity: Identity,
    /// What tools were told of its time stamp counter.
    pub tsc: TscState,
    /// The CPU it is to see when it has started; `None` for what all guests see.
    pub wanted_policy: Option<Box<Policies>>,
}

/// A page of the hypervisor's that it shares with a domain; given up when dropped, free when the guest lets go too.
pub struct SharedPage {
    frame: Mfn,
    owner: DomainId,
}

impl SharedPage {
    /// A scrubbed page below 4 GiB, where guests' interfaces have room for its address. Errors: `ENOMEM`.
    fn new(owner: DomainId) -> Result<Self> {
        let frame = recycle::take(frame_allocator::Order(0), Mfn(1 << 20))?;
        frame_table::frames().get(frame).ok_or(Errno::ENOMEM)?.assign_shared(owner, SharedAccess::ReadWrite);
        Ok(Self { frame, owner })
    }

    /// Its frame.
    pub fn frame(&self) -> Mfn {
        self.frame
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        let released = release_shared(&Machine, self.frame, self.owner);
        debug_assert!(released.is_ok(), "a shared page had lost its owner");
    }
}

/// A domain.
pub struct Domain {
    /// Its id.
    pub id: DomainId,
    /// What no other domain has, before or after.
    pub serial: u64,
    /// What it may do with the machine.
    pub rights: Rights,
    /// Its account of frames.
    pub memory: DomainMemory,
    /// Its event channels.
    pub ports: Arc<Ports<HvPlatform>>,
    /// Its grant table.
    pub grants: GrantTable<GrantPage>,
    /// The page it shares with the hypervisor. After the ports, which write to it to their end.
    pub shared_page: SharedPage,
    /// Enabled `vm_assist` types, one bit each.
    pub assists: AtomicU64,
    /// Slow changes.
    pub control: Lock<Control>,
    /// Tables of the per-domain slot.
    pub per_domain: PerDomain,
    /// GDT/LDT bookkeeping and interrupts by pirq live in the modules that serve them.
    pub interrupts: crate::interrupt::pirq::DomainInterrupts,
    /// vCPUs it may have.
    pub max_vcpus: u32,
    /// The next domain in the list.
    pub(super) next: AtomicPtr<Domain>,
    /// The next one whose id leaves the same remainder.
    pub(super) next_like: AtomicPtr<Domain>,
    /// Where the record was allocated, for its end.
    pub(super) own: AtomicPtr<Domain>,
    /// The next record that waits to be freed.
    pub(super) retired_next: AtomicPtr<Domain>,
    is_retired: AtomicBool,
    /// Whether a toolstack has let it run.
    pub is_started: AtomicBool,
    /// The CPU it sees, if it was given one before it started.
    pub policy: Once<Box<Policies>>,
    /// Its share of the CPUs.
    pub share: Share,
    /// Whether which of its pages change is being noted.
    pub logs_dirty: AtomicBool,
    /// Whether a debugger is attached.
    pub is_debugged: AtomicBool,
    /// Its port that is told when it suspends; 0 for none.
    pub suspend_port: AtomicU32,
    /// Seconds by which its time of day differs from the host's.
    pub time_offset: AtomicI64,
    vcpus: Once<Box<[Vcpu]>>,
    dirty_cpus: AtomicU64,
    life: AtomicU32,
    shutdown: AtomicU32,
    /// Earliest deadline of its watchdogs; all ones for none. Written under `control`.
    pub watchdog_due: AtomicU64,
    /// How far [`super::tear_down`] got.
    pub teardown_step: AtomicU64,
    /// Number of its CPU pool.
    pub pool: AtomicU32,
    /// Memory nodes that a toolstack told it to use, one bit each.
    pub nodes: AtomicU64,
    /// Its latch of port 0xCF8.
    pub config_address: AtomicU32,
    /// The code of `SCHEDOP_shutdown_code`, for a later shutdown.
    pub latched_code: AtomicU32,
}

/// A domain that nobody knows yet; undone when dropped.
pub struct Unpublished {
    domain: &'static Domain,
    id: Option<NewId>,
}

impl Unpublished {
    /// The domain.
    pub fn domain(&self) -> &'static Domain {
        self.domain
    }

    /// Makes it known.
    pub fn publish(mut self) -> &'static Domain {
        if let Some(id) = self.id.take() {
            list::publish(self.domain, id);
        }
        self.domain
    }
}

impl Drop for Unpublished {
    fn drop(&mut self) {
        if self.id.is_some() {
            for vcpu in self.domain.vcpus() {
                crate::sched::queue::remove(vcpu);
            }
            retired::discard(self.domain);
        }
    }
}

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

impl Domain {
    /// Makes a domain without vCPUs. Errors: `ENOMEM`, `EINVAL` for impossible sizes.
    pub fn create(id: NewId, wanted: NewDomain) -> Result<Unpublished> {
        let number = id.id();
        let shared_page = SharedPage::new(number)?;
        let limits = PortLimits { vcpus: wanted.vcpus, max_port: wanted.max_port, pirqs: wanted.pirqs };
        let ports = Ports::new(number, limits, window::shared_info(shared_page.frame()))?;
        let grants =
            GrantTable::new(number, wanted.grants, 1, wanted.vcpus, &GrantMemory).map_err(|_| Errno::ENOMEM)?;
        let place = boxed(Domain {
            id: number,
            serial: NEXT_SERIAL.fetch_add(1, Relaxed),
            rights: Rights::new(wanted.extent, wanted.is_control),
            memory: DomainMemory::new(wanted.maximum_frames),
            ports,
            grants,
            shared_page,
            assists: AtomicU64::new(0),
            control: Lock::new(
                Level::DomainControl,
                Control {
                    watchdogs: [None; 2],
                    pauses: 0,
                    identity: wanted.identity,
                    tsc: TscState::default(),
                    wanted_policy: None,
                },
            ),
            per_domain: PerDomain::new(wanted.vcpus)?,
            interrupts: crate::interrupt::pirq::DomainInterrupts::new(wanted.pirqs)?,
            max_vcpus: wanted.vcpus,
            next: AtomicPtr::new(core::ptr::null_mut()),
            next_like: AtomicPtr::new(core::ptr::null_mut()),
            own: AtomicPtr::new(core::ptr::null_mut()),
            retired_next: AtomicPtr::new(core::ptr::null_mut()),
            is_retired: AtomicBool::new(false),
            is_started: AtomicBool::new(false),
            policy: Once::new(),
            share: Share::new(),
            logs_dirty: AtomicBool::new(false),
            is_debugged: AtomicBool::new(false),
            suspend_port: AtomicU32::new(0),
            time_offset: AtomicI64::new(0),
            vcpus: Once::new(),
            dirty_cpus: AtomicU64::new(0),
            life: AtomicU32::new(Life::Alive as u32),
            shutdown: AtomicU32::new(Shutdown::RUNNING.0),
            watchdog_due: AtomicU64::new(u64::MAX),
            teardown_step: AtomicU64::new(0),
            pool: AtomicU32::new(crate::sched::pools::DEFAULT),
            nodes: AtomicU64::new(1),
            config_address: AtomicU32::new(0),
            latched_code: AtomicU32::new(u32::MAX),
        })?;
        let address = core::ptr::from_mut(place);
        let domain: &'static Domain = place;
        domain.own.store(address, Release);
        for info in &domain.shared().vcpu_info {
            info.set_upcall_mask(event_channels::UpcallMask::Masked);
        }
        Ok(Unpublished { domain, id: Some(id) })
    }

    /// Makes all its vCPUs, down; done again, it does nothing. Errors: `ENOMEM`, `ENOSPC` more than there can be.
    pub fn make_vcpus(&'static self) -> Result<()> {
        if self.vcpus.is_completed() {
            return Ok(());
        }
        let mut vcpus = Vec::new();
        vcpus.try_reserve_exact(self.max_vcpus as usize).map_err(|_| Errno::ENOMEM)?;
        for id in 0..self.max_vcpus {
            let (info, _) = self.first_info(id);
            vcpus.push(Vcpu::new(self, VcpuId(id), info)?);
        }
        // Under the lock, so that each has the flags of the pauses that there are, and two callers do not both make them.
        let control = self.control.lock();
        if self.vcpus.is_completed() {
            return Ok(());
        }
        if control.pauses != 0 {
            vcpus.iter().for_each(|vcpu| _ = vcpu.stop(super::RunFlags::PAUSED));
        }
        let vcpus = self.vcpus.call_once(|| vcpus.into_boxed_slice());
        drop(control);
        for vcpu in vcpus {
            let (info, place) = self.first_info(vcpu.id.0);
            // Every vCPU starts with upcalls masked.
            info.set_upcall_mask(event_channels::UpcallMask::Masked);
            vcpu.processor.store(crate::serve::vcpus::place(vcpu.id.0), Relaxed);
            crate::sched::queue::add(vcpu)?;
            self.ports.add_vcpu(vcpu.id, vcpu, GuestVcpuInfo::permanent(info), place)?;
        }
        Ok(())
    }

    /// Where a vCPU's events go until the guest registers a place.
    fn first_info(&self, id: u32) -> (&'static VcpuInfo, InfoPlace) {
        match window::shared_info(self.shared_page.frame()).vcpu_info.get(id as usize) {
            Some(info) if id < LEGACY_VCPUS => (info, InfoPlace::SharedPage),
            _ => (dummy_info(), InfoPlace::Dummy),
        }
    }

    /// All vCPUs.
    pub fn vcpus(&'static self) -> &'static [Vcpu] {
        self.vcpus.get().map_or(&[], |vcpus| &vcpus[..])
    }

    /// One vCPU.
    #[inline]
    pub fn vcpu(&'static self, id: VcpuId) -> Option<&'static Vcpu> {
        self.vcpus().get(id.0 as usize)
    }

    /// The shared page.
    pub fn shared(&self) -> &'static event_channels::SharedInfo {
        window::shared_info(self.shared_page.frame())
    }

    /// CPUs that may hold translations of this domain's tables.
    pub fn dirty_cpus(&self) -> CpuMask {
        CpuMask(self.dirty_cpus.load(Acquire))
    }

    /// Notes that a CPU has loaded one of this domain's tables. Before the load.
    pub fn mark_dirty(&self, cpu: usize) {
        self.dirty_cpus.fetch_or(1 << cpu, AcqRel);
    }

    /// Notes that a CPU has loaded another's table and flushed.
    pub fn clear_dirty(&self, cpu: usize) {
        self.dirty_cpus.fetch_and(!(1 << cpu), AcqRel);
    }

    /// The entry of slot 260 in this domain's top-level tables.
    pub fn per_domain_entry(&self) -> u64 {
        self.per_domain.top_entry()
    }

    /// Whether its resources are being taken back.
    pub fn is_dying(&self) -> bool {
        self.life.load(Acquire) != Life::Alive as u32
    }

    /// Moves on in its life; false when it was there or further.
    pub fn advance(&self, to: super::Life) -> bool {
        self.life.fetch_max(to as u32, SeqCst) < to as u32
    }

    /// Whether all that is left is frames that others have in use.
    pub fn is_dead(&self) -> bool {
        self.life.load(SeqCst) == Life::Dead as u32
    }

    /// Books a frame less. Context: any lock may be held.
    pub fn release_frame(&self) {
        self.memory.release_one();
        if self.is_gone() {
            retired::reap_soon();
        }
    }

    /// Whether nothing is left of it but the record.
    fn is_gone(&self) -> bool {
        self.memory.total() == 0 && self.is_dead()
    }

    /// Claims the right to retire the record; true once, when nothing else is left.
    pub(super) fn claim_retirement(&self) -> bool {
        self.is_gone() && !self.is_retired.swap(true, AcqRel)
    }

    /// Whether and why it has stopped.
    pub fn shutdown(&self) -> Shutdown {
        Shutdown(self.shutdown.load(Acquire))
    }

    /// Notes why it stops; the first reason wins. True for the caller whose reason counts.
    pub fn begin_shutdown(&self, reason: ShutdownReason) -> bool {
        let wanted = Shutdown::of(reason).0;
        self.shutdown.compare_exchange(Shutdown::RUNNING.0, wanted, AcqRel, Acquire).is_ok()
    }

    /// It runs again.
    pub(super) fn forget_shutdown(&self) {
        self.shutdown.store(Shutdown::RUNNING.0, Release);
        self.latched_code.store(u32::MAX, Release);
    }

    /// Whether the `vm_assist` type is on.
    #[inline]
    pub fn has_assist(&self, kind: u32) -> bool {
        self.assists.load(Relaxed) >> kind & 1 != 0
    }

    /// Turns a `vm_assist` type on.
    pub fn enable_assist(&self, kind: u32) {
        self.assists.fetch_or(1 << kind, Release);
    }

    /// A descriptor page lost its mapping: no vCPU may go on using it as part of its LDT.
    pub fn drop_descriptor_mappings(&'static self, _frame: Mfn) {
        for vcpu in self.vcpus() {
            crate::serve::descriptors::drop_local_table(vcpu);
        }
    }
}

/// A block that nobody reads, for vCPUs that have none of their own.
pub(super) fn dummy_info() -> &'static VcpuInfo {
    static DUMMY: Once<VcpuInfo> = Once::new();
    DUMMY.call_once(VcpuInfo::default)
}

/// Puts a value on the heap, to be freed as a box of its own. Errors: `ENOMEM`.
fn boxed<T>(value: T) -> Result<&'static mut T> {
    let mut place = Vec::new();
    place.try_reserve_exact(1).map_err(|_| Errno::ENOMEM)?;
    place.push(value);
    let one: Box<[T; 1]> = place.into_boxed_slice().try_into().map_err(|_| Errno::ENOMEM)?;
    let [value] = Box::leak(one);
    Ok(value)
}
