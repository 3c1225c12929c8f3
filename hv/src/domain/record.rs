//! A domain.
//!
//! Made in one step that undoes itself on failure ([`Domain::create`]), published, then filled by its builder. Lives
//! until its last reference is gone; until the toolstack's calls exist nothing takes a record away. Locks: `control`
//! around slow changes; the parts lock themselves.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use abi::{DomainId, Errno, Mfn, Result, VcpuId, sched::ShutdownReason};
use event_channels::{InfoPlace, Limits as PortLimits, Ports, VcpuInfo};
use grant_tables::{GrantTable, Limits as GrantLimits};
use locks::{Level, Lock};
use pv_mmu::SharedAccess;
use spin::Once;

use super::{
    DomainMemory, GuestVcpuInfo, HvPlatform, Life, Shutdown, Vcpu,
    per_domain::PerDomain,
    rights::{Extent, Rights},
};
use crate::{
    interrupt::flush::CpuMask,
    memory::{frame_table, recycle, window},
    serve::grant_memory::{GrantMemory, GrantPage},
};

/// vCPUs that have their event block in the shared page.
const LEGACY_VCPUS: u32 = 32;

/// What a new domain is to be.
#[derive(Clone, Copy)]
pub struct NewDomain {
    /// Its id.
    pub id: DomainId,
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
    /// Physical interrupts it can name.
    pub pirqs: u32,
}

/// Changes that take the control lock.
pub struct Control {
    /// `vm_assist` and the like change here only; kept for the audit.
    pub watchdogs: [Option<u64>; 2],
}

/// A domain.
pub struct Domain {
    /// Its id.
    pub id: DomainId,
    /// What it may do with the machine.
    pub rights: Rights,
    /// Its account of frames.
    pub memory: DomainMemory,
    /// Its event channels.
    pub ports: Arc<Ports<HvPlatform>>,
    /// Its grant table.
    pub grants: GrantTable<GrantPage>,
    /// The page it shares with the hypervisor.
    pub shared_info: Mfn,
    /// Enabled `vm_assist` types, one bit each.
    pub assists: AtomicU64,
    /// Slow changes.
    pub control: Lock<Control>,
    /// Tables of the per-domain slot.
    pub per_domain: PerDomain,
    /// GDT/LDT bookkeeping and interrupts by pirq live in the modules that serve them.
    pub interrupts: crate::interrupt::pirq::DomainInterrupts,
    vcpus: Once<Box<[Vcpu]>>,
    dirty_cpus: AtomicU64,
    life: AtomicU32,
    shutdown: AtomicU32,
    /// Earliest deadline of its watchdogs; all ones for none. Written under `control`.
    pub watchdog_due: AtomicU64,
    /// How far [`super::tear_down`] got.
    #[cfg(feature = "fail-points")]
    pub teardown_step: AtomicU64,
    /// Its latch of port 0xCF8.
    pub config_address: AtomicU32,
    /// The code of `SCHEDOP_shutdown_code`, for a later shutdown.
    pub latched_code: AtomicU32,
}

impl Domain {
    /// Makes a domain with all its vCPUs, down. Errors: `ENOMEM`, `EINVAL` for impossible sizes.
    pub fn create(wanted: NewDomain) -> Result<&'static Domain> {
        let shared_info = recycle::take(frame_allocator::Order(0), Mfn(1 << 20))?;
        frame_table::frames().get(shared_info).ok_or(Errno::ENOMEM)?.assign_shared(wanted.id, SharedAccess::ReadWrite);
        let limits = PortLimits { vcpus: wanted.vcpus, max_port: u32::MAX, pirqs: wanted.pirqs };
        let ports = Ports::new(wanted.id, limits, window::shared_info(shared_info))?;
        let grants =
            GrantTable::new(wanted.id, wanted.grants, 1, wanted.vcpus, &GrantMemory).map_err(|_| Errno::ENOMEM)?;
        let domain: &'static Domain = Box::leak(Box::new(Domain {
            id: wanted.id,
            rights: Rights::new(wanted.extent, wanted.is_control),
            memory: DomainMemory::new(wanted.maximum_frames),
            ports,
            grants,
            shared_info,
            assists: AtomicU64::new(0),
            control: Lock::new(Level::DomainControl, Control { watchdogs: [None; 2] }),
            per_domain: PerDomain::new(wanted.vcpus)?,
            interrupts: crate::interrupt::pirq::DomainInterrupts::new(wanted.pirqs)?,
            vcpus: Once::new(),
            dirty_cpus: AtomicU64::new(0),
            life: AtomicU32::new(Life::Alive as u32),
            shutdown: AtomicU32::new(Shutdown::RUNNING.0),
            watchdog_due: AtomicU64::new(u64::MAX),
            #[cfg(feature = "fail-points")]
            teardown_step: AtomicU64::new(0),
            config_address: AtomicU32::new(0),
            latched_code: AtomicU32::new(u32::MAX),
        }));
        domain.add_vcpus(wanted.vcpus)?;
        Ok(domain)
    }

    fn add_vcpus(&'static self, count: u32) -> Result<()> {
        let mut vcpus = Vec::new();
        vcpus.try_reserve_exact(count as usize).map_err(|_| Errno::ENOMEM)?;
        for id in 0..count {
            let (info, _) = self.first_info(id);
            vcpus.push(Vcpu::new(self, VcpuId(id), info)?);
        }
        let vcpus = self.vcpus.call_once(|| vcpus.into_boxed_slice());
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
        match window::shared_info(self.shared_info).vcpu_info.get(id as usize) {
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
        window::shared_info(self.shared_info)
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
    #[cfg(feature = "fail-points")]
    pub fn advance(&self, to: super::Life) -> bool {
        self.life.fetch_max(to as u32, AcqRel) < to as u32
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
