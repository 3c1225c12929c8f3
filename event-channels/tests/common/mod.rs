//! A host for tests: guest memory is ordinary memory behind counted guards, vCPUs are (domain, vcpu) pairs, and physical
//! interrupts only note what was asked of them.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[cfg(not(loom))]
pub mod fifo_guest;

use std::{
    cell::RefCell,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use abi::{DomainId, Errno, Pirq, Port, Result, VcpuId};
use event_channels::{
    EventPage, InfoPlace, Kick, Limits, PirqControl, PirqSharing, Platform, Ports, SharedInfo, VcpuInfo, Wake,
};

pub struct Fake;

impl Platform for Fake {
    type SharedInfo = Arc<SharedInfo>;
    type VcpuInfo = InfoGuard;
    type Page = PageGuard;
    type Target = (u16, u32);
}

pub enum InfoGuard {
    Slot(Arc<SharedInfo>, usize),
    Own(Arc<VcpuInfo>),
}

impl Deref for InfoGuard {
    type Target = VcpuInfo;
    fn deref(&self) -> &VcpuInfo {
        match self {
            InfoGuard::Slot(shared, index) => &shared.vcpu_info[*index],
            InfoGuard::Own(info) => info,
        }
    }
}

/// A guest page; the counter says how many guards of all pages are alive.
pub struct PageGuard(pub Arc<EventPage>, Arc<AtomicUsize>);

impl Deref for PageGuard {
    type Target = EventPage;
    fn deref(&self) -> &EventPage {
        &self.0
    }
}

impl Drop for PageGuard {
    fn drop(&mut self) {
        self.1.fetch_sub(1, SeqCst);
    }
}

pub fn new_page() -> Arc<EventPage> {
    Arc::new(std::array::from_fn(|_| Default::default()))
}

pub struct Domain {
    pub ports: Arc<Ports<Fake>>,
    pub shared: Arc<SharedInfo>,
    pub pinned: Arc<AtomicUsize>,
    pub vcpus: u32,
}

impl Domain {
    pub fn new(id: u16, vcpus: u32) -> Self {
        Self::with_limits(id, Limits { vcpus, max_port: u32::MAX, pirqs: 16 })
    }

    pub fn with_limits(id: u16, limits: Limits) -> Self {
        let shared = Arc::new(SharedInfo::default());
        let ports = Ports::<Fake>::new(DomainId(id), limits, shared.clone()).unwrap();
        for vcpu in 0..limits.vcpus {
            let index = vcpu as usize;
            let (guard, place) = if index < shared.vcpu_info.len() {
                (InfoGuard::Slot(shared.clone(), index), InfoPlace::SharedPage)
            } else {
                (InfoGuard::Own(Arc::new(VcpuInfo::default())), InfoPlace::Dummy)
            };
            ports.add_vcpu(VcpuId(vcpu), (id, vcpu), guard, place).unwrap();
        }
        Self { ports, shared, pinned: Arc::default(), vcpus: limits.vcpus }
    }

    pub fn pin(&self, page: &Arc<EventPage>) -> Result<PageGuard> {
        self.pinned.fetch_add(1, SeqCst);
        Ok(PageGuard(page.clone(), self.pinned.clone()))
    }

    pub fn pinned(&self) -> usize {
        self.pinned.load(SeqCst)
    }

    pub fn pending(&self, port: Port) -> bool {
        self.shared.pending[port.0 as usize / 64].load(SeqCst) >> (port.0 % 64) & 1 != 0
    }

    pub fn clear_pending(&self, port: Port) {
        self.shared.pending[port.0 as usize / 64].fetch_and(!(1 << (port.0 % 64)), SeqCst);
    }

    pub fn mask(&self, port: Port) {
        self.shared.mask[port.0 as usize / 64].fetch_or(1 << (port.0 % 64), SeqCst);
    }

    /// What a guest's upcall handler does first; true when there was an upcall.
    pub fn take_upcall(&self, vcpu: u32) -> bool {
        self.shared.vcpu_info[vcpu as usize].upcall_pending.swap(0, SeqCst) != 0
    }
}

/// Physical interrupts that allow everything below 8 and note each call.
#[derive(Default)]
pub struct FakePirqs {
    pub calls: RefCell<Vec<String>>,
    pub refuse: Option<Errno>,
}

impl PirqControl for FakePirqs {
    fn permitted(&self, pirq: Pirq) -> bool {
        pirq.0 < 8
    }
    fn bind(&self, pirq: Pirq, sharing: PirqSharing) -> Result<()> {
        self.calls.borrow_mut().push(format!("bind {pirq} {sharing:?}"));
        self.refuse.map_or(Ok(()), Err)
    }
    fn unbind(&self, pirq: Pirq) {
        self.calls.borrow_mut().push(format!("unbind {pirq}"));
    }
    fn set_affinity(&self, pirq: Pirq, vcpu: VcpuId) {
        self.calls.borrow_mut().push(format!("move {pirq} {vcpu}"));
    }
}

/// Who is woken, in order.
pub fn woken(wake: Wake<Fake>) -> Vec<(u16, u32)> {
    let mut targets = Vec::new();
    wake.discharge(|kick| match kick {
        Kick::Vcpu(target) => targets.push(target),
        Kick::Consumer { consumer, target, .. } => targets.push((target.0, 1000 + u32::from(consumer.number()))),
    });
    targets
}

/// A bound pair: (port of `near`, port of `far`), with the events of binding taken.
pub fn pair(near: &Domain, far: &Domain) -> (Port, Port) {
    let unbound = far.ports.alloc_unbound(near.ports.domain()).unwrap();
    let (bound, wake) = near.ports.bind_interdomain(&far.ports, unbound).unwrap();
    let _ = woken(wake);
    near.clear_pending(bound);
    let vcpu = &near.shared.vcpu_info[0];
    vcpu.upcall_pending.store(0, SeqCst);
    vcpu.pending_selector.store(0, SeqCst);
    (bound, unbound)
}

pub fn close(domain: &Domain, port: Port) -> Result<()> {
    domain.ports.close(port, &FakePirqs::default())
}

pub fn teardown(domain: &Domain) {
    while domain.ports.teardown(&FakePirqs::default(), || false) != event_channels::Progress::Done {}
    domain.ports.release_vcpu_infos();
}
