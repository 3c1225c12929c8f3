//! What a domain's ports know of one vCPU: how to name it, its VIRQs, what it polls, and where its events go.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::Acquire;

use abi::{Errno, Result, VcpuId, Virq};
use locks::{Level, Lock};

use crate::{Platform, Ports, UpcallMask, VcpuInfo, ports::EventAbi, queue::Queues, sync::AtomicU32};

/// Where a vCPU's block lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InfoPlace {
    /// In the shared page.
    SharedPage,
    /// In memory the guest cannot see: vCPUs from 32 on, until they register. They must not be initialised.
    Dummy,
    /// Where the guest registered it; final.
    Registered,
    /// Given back in teardown; events go nowhere.
    Released,
}

pub(crate) struct VcpuSlot<P: Platform> {
    pub(crate) target: P::Target,
    /// Port of each VIRQ, 0 for none; global ones are vCPU 0's. Written with the table locked.
    pub(crate) virqs: [AtomicU32; Virq::COUNT as usize],
    /// What the vCPU polls; see `poll.rs`.
    pub(crate) polled: AtomicU32,
    pub(crate) delivery: Lock<Delivery<P>>,
}

/// The way an event takes to one vCPU, under [`Level::EventQueue`].
pub(crate) struct Delivery<P: Platform> {
    info: Option<P::VcpuInfo>,
    place: InfoPlace,
    /// Present while the domain uses the FIFO ABI.
    pub(crate) queues: Option<Queues<P>>,
}

impl<P: Platform> Delivery<P> {
    /// Reports an event; true when nothing was pending before.
    pub(crate) fn mark_pending(&self) -> bool {
        self.info.as_ref().is_some_and(|info| info.mark_pending())
    }

    /// 2-level: points the guest to a word of the bitmap; true when the vCPU must be kicked.
    pub(crate) fn select(&self, word: usize) -> bool {
        self.info.as_ref().is_some_and(|info| info.select(word) && info.mark_pending())
    }
}

impl<P: Platform> VcpuSlot<P> {
    /// Port of a VIRQ, 0 for none.
    pub(crate) fn virq_port(&self, virq: Virq) -> u32 {
        self.virqs.get(virq.0 as usize).map_or(0, |port| port.load(Acquire))
    }
}

impl<P: Platform> Ports<P> {
    /// Adds a vCPU. `info` is its block for the start: vCPUs below 32 have theirs in the shared page, others a dummy.
    /// Errors: `EINVAL` beyond the domain's limit, `EEXIST`.
    pub fn add_vcpu(&self, vcpu: VcpuId, target: P::Target, info: P::VcpuInfo, place: InfoPlace) -> Result<()> {
        let table = self.table.lock();
        let cell = self.vcpus.get(vcpu.0 as usize).ok_or(Errno::EINVAL)?;
        if cell.is_completed() {
            return Err(Errno::EEXIST);
        }
        let queues = (self.event_abi() == EventAbi::Fifo).then(|| Queues::new(Arc::clone(&table.array)));
        cell.call_once(|| VcpuSlot {
            target,
            virqs: core::array::from_fn(|_| AtomicU32::new(0)),
            polled: AtomicU32::new(0),
            delivery: Lock::new(Level::EventQueue, Delivery { info: Some(info), place, queues }),
        });
        Ok(())
    }

    /// Where a vCPU's block lies. Errors: `ENOENT`.
    pub fn info_place(&self, vcpu: VcpuId) -> Result<InfoPlace> {
        Ok(self.vcpu(vcpu).ok_or(Errno::ENOENT)?.delivery.lock().place)
    }

    /// Moves a vCPU's block to where the guest wants it (`VCPUOP_register_vcpu_info`): content is taken over, upcalls are
    /// masked if the old block was the dummy, and everything is marked pending so that nothing gets lost.
    ///
    /// Only for the calling vCPU or one that is down; the host checks the place itself. The host's own guard for the
    /// vCPU must be replaced too. Errors: `ENOENT`, `EINVAL` when the block was moved before or is given back.
    pub fn move_vcpu_info(&self, vcpu: VcpuId, info: P::VcpuInfo) -> Result<()> {
        let slot = self.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        let mut delivery = slot.delivery.lock();
        let old = match delivery.place {
            InfoPlace::SharedPage | InfoPlace::Dummy => delivery.info.take(),
            InfoPlace::Registered | InfoPlace::Released => return Err(Errno::EINVAL),
        };
        if let Some(old) = &old {
            info.copy_from(old);
        }
        if delivery.place == InfoPlace::Dummy {
            info.set_upcall_mask(UpcallMask::Masked);
        }
        info.mark_everything();
        delivery.info = Some(info);
        delivery.place = InfoPlace::Registered;
        drop(delivery);
        drop(old);
        Ok(())
    }

    /// Gives back all blocks, the last step of taking a domain down; its vCPUs do not run any more.
    pub fn release_vcpu_infos(&self) {
        for slot in self.all_vcpus() {
            let mut delivery = slot.delivery.lock();
            delivery.place = InfoPlace::Released;
            let info = delivery.info.take();
            drop(delivery);
            drop(info);
        }
    }

    /// Reads a vCPU's block, for dumps and for a vCPU that does not run. Errors: `ENOENT`.
    pub fn with_vcpu_info<R>(&self, vcpu: VcpuId, read: impl FnOnce(&VcpuInfo) -> R) -> Result<R> {
        let delivery = self.vcpu(vcpu).ok_or(Errno::ENOENT)?.delivery.lock();
        delivery.info.as_ref().map(|info| read(info)).ok_or(Errno::ENOENT)
    }
}
