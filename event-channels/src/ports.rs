//! One domain's ports: where they live, how one is found, and the domain's event ABI.
//!
//! Ports come in buckets that are allocated on demand, published once and never freed before the domain is, so finding
//! a port takes no lock. What can be told from outside: a port whose bucket exists is closed, any other invalid.

use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use abi::{DomainId, Errno, Pirq, Port as Number, Result, VcpuId, event_channel};
use locks::{Level, Lock};
use spin::Once;

use crate::{
    Platform, memory,
    port::{Binding, Port},
    sync::{AtomicU32, BUCKET_PORTS},
    table::Table,
    vcpu::VcpuSlot,
};

/// Sizes fixed when the domain is created.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// vCPUs the domain may have; at most 8192.
    pub vcpus: u32,
    /// Highest port number (`createdomain.max_evtchn_port`, inclusive).
    pub max_port: u32,
    /// Physical interrupts the domain may name: 0 to `pirqs - 1`.
    pub pirqs: u32,
}

/// vCPU ids must fit the notify word, beside priority and consumer.
const MAX_VCPUS: u32 = 8192;

/// How events are written into guest memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EventAbi {
    TwoLevel = 0,
    Fifo = 1,
}

impl EventAbi {
    /// Ports the ABI can name.
    pub(crate) const fn ports(self) -> u32 {
        match self {
            EventAbi::TwoLevel => event_channel::TWO_LEVEL_PORTS,
            EventAbi::Fifo => event_channel::FIFO_PORTS,
        }
    }
}

pub(crate) type Bucket<P> = [Port<P>; BUCKET_PORTS];

/// One domain's event channels. Shared by its vCPUs, its peers and the hypervisor; every method takes its own locks.
///
/// Two domains that are bound to each other hold each other alive until one end is closed, so a dying domain's ports
/// must be taken down with [`Ports::teardown`].
pub struct Ports<P: Platform> {
    domain: DomainId,
    abi: AtomicU32,
    /// vCPUs inside a poll; senders look at nothing else while it is 0.
    pub(crate) pollers: AtomicU32,
    /// Events given up because a hostile guest moved its own words; for the debug dump.
    pub(crate) lost: AtomicU32,
    pub(crate) max_port: u32,
    pub(crate) shared: P::SharedInfo,
    pub(crate) buckets: Box<[Once<Box<Bucket<P>>>]>,
    pub(crate) vcpus: Box<[Once<VcpuSlot<P>>]>,
    /// Port of each bound physical interrupt, 0 for none.
    pub(crate) pirqs: Box<[AtomicU32]>,
    pub(crate) table: Lock<Table<P>>,
}

impl<P: Platform> Ports<P> {
    /// The ports of a new domain, all closed, 2-level ABI, without vCPUs. Errors: `ENOMEM`; `EINVAL` for `limits`.
    pub fn new(domain: DomainId, limits: Limits, shared: P::SharedInfo) -> Result<Arc<Self>> {
        if limits.vcpus == 0 || limits.vcpus > MAX_VCPUS {
            return Err(Errno::EINVAL);
        }
        let count = limits.max_port.min(EventAbi::Fifo.ports() - 1) as usize + 1;
        let buckets = count.div_ceil(BUCKET_PORTS);
        let ports = memory::shared(Self {
            domain,
            abi: AtomicU32::new(EventAbi::TwoLevel as u32),
            pollers: AtomicU32::new(0),
            lost: AtomicU32::new(0),
            max_port: limits.max_port,
            shared,
            buckets: memory::boxed_slice(buckets, Once::new)?,
            vcpus: memory::boxed_slice(limits.vcpus as usize, Once::new)?,
            pirqs: memory::boxed_slice(limits.pirqs as usize, || AtomicU32::new(0))?,
            table: Lock::new(Level::EventPorts, Table::new(buckets)?),
        })?;
        ports.reserve_port_zero()?;
        Ok(ports)
    }

    fn reserve_port_zero(&self) -> Result<()> {
        let mut table = self.table.lock();
        let bucket = self.bucket_or_allocate(&mut table, 0)?;
        if let Some(zero) = bucket.first() {
            *zero.binding.lock() = Binding::Reserved;
        }
        table.reserve_zero();
        Ok(())
    }

    /// Whose ports these are.
    pub fn domain(&self) -> DomainId {
        self.domain
    }

    /// Events given up so far because the guest kept changing words it had no business with.
    pub fn lost_events(&self) -> u32 {
        self.lost.load(Relaxed)
    }

    /// The port with this number, unless it is invalid.
    #[inline]
    pub(crate) fn port(&self, number: Number) -> Option<&Port<P>> {
        let index = number.0 as usize;
        self.buckets.get(index / BUCKET_PORTS)?.get()?.get(index % BUCKET_PORTS)
    }

    /// The port with this number, or `EINVAL`.
    #[inline]
    pub(crate) fn valid_port(&self, number: Number) -> Result<&Port<P>> {
        self.port(number).ok_or(Errno::EINVAL)
    }

    #[inline]
    pub(crate) fn vcpu(&self, vcpu: VcpuId) -> Option<&VcpuSlot<P>> {
        self.vcpus.get(vcpu.0 as usize)?.get()
    }

    /// All vCPUs that exist.
    pub(crate) fn all_vcpus(&self) -> impl Iterator<Item = &VcpuSlot<P>> {
        self.vcpus.iter().filter_map(Once::get)
    }

    #[inline]
    pub(crate) fn event_abi(&self) -> EventAbi {
        if self.abi.load(SeqCst) == EventAbi::TwoLevel as u32 { EventAbi::TwoLevel } else { EventAbi::Fifo }
    }

    /// With the table locked.
    pub(crate) fn set_event_abi(&self, abi: EventAbi) {
        self.abi.store(abi as u32, SeqCst);
    }

    /// The port a physical interrupt is bound to.
    pub fn pirq_port(&self, pirq: Pirq) -> Option<Number> {
        let number = self.pirqs.get(pirq.0 as usize)?.load(Acquire);
        (number != 0).then_some(Number(number))
    }
}
