//! A guest kernel that uses the FIFO ABI as the public header describes it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use abi::{Port, VcpuId};
use event_channels::EventPage;

use super::{Domain, new_page, woken};

pub const PENDING: u32 = 1 << 31;
pub const MASKED: u32 = 1 << 30;
pub const LINKED: u32 = 1 << 29;
pub const LINK: u32 = 0x1_FFFF;

/// A domain that uses the FIFO ABI, and what its kernel sees.
pub struct Guest {
    pub domain: Domain,
    pub control: Vec<Arc<EventPage>>,
    pub array: Vec<Arc<EventPage>>,
    /// Head of each queue as the kernel remembers it.
    heads: Vec<[u32; 16]>,
}

impl Guest {
    pub fn new(id: u16, vcpus: u32) -> Self {
        let domain = Domain::new(id, vcpus);
        let control: Vec<_> = (0..vcpus).map(|_| new_page()).collect();
        for (vcpu, page) in control.iter().enumerate() {
            domain.ports.init_control(VcpuId(vcpu as u32), 0, || domain.pin(page)).unwrap();
        }
        let mut guest = Self { domain, control, array: Vec::new(), heads: vec![[0; 16]; vcpus as usize] };
        assert!(guest.expand().is_empty());
        guest
    }

    pub fn expand(&mut self) -> Vec<(u16, u32)> {
        let page = new_page();
        self.array.push(page.clone());
        let mut kicked = Vec::new();
        let domain = &self.domain;
        domain.ports.expand_array(|| domain.pin(&page), |wake| kicked.extend(woken(wake))).unwrap();
        kicked
    }

    pub fn word(&self, port: Port) -> &AtomicU32 {
        &self.array[port.0 as usize / 1024][port.0 as usize % 1024]
    }

    /// The kernel's loop: takes events in order of priority, clearing LINKED before PENDING.
    pub fn consume(&mut self, vcpu: u32) -> Vec<u32> {
        let control = self.control[vcpu as usize].clone();
        let mut events = Vec::new();
        self.domain.take_upcall(vcpu);
        let mut ready = control[0].swap(0, SeqCst);
        while ready != 0 {
            let priority = ready.trailing_zeros() as usize;
            let head = &mut self.heads[vcpu as usize][priority];
            if *head == 0 {
                *head = control[2 + priority].load(SeqCst);
            }
            let port = *head;
            let old = self.array[port as usize / 1024][port as usize % 1024]
                .fetch_update(SeqCst, SeqCst, |word| Some(word & !(LINKED | LINK)))
                .unwrap();
            self.heads[vcpu as usize][priority] = old & LINK;
            if old & LINK == 0 {
                ready &= !(1 << priority);
            }
            if old & PENDING != 0 && old & MASKED == 0 {
                self.word(Port(port)).fetch_and(!PENDING, SeqCst);
                events.push(port);
            }
            ready |= control[0].swap(0, SeqCst);
        }
        events
    }
}
