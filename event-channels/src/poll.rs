//! Polling (`SCHEDOP_poll`): a vCPU sleeps until one of some ports has an event, whatever their masks say.
//!
//! Order that loses no wake-up: the host marks the vCPU blocked, calls [`Ports::begin_poll`], then tests the ports with
//! [`Ports::is_pending`], then lets it sleep; a sender sets the event first and looks for pollers afterwards. Waking is
//! harmless when it comes twice or for nothing.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use abi::{Errno, Port as Number, Result, VcpuId};

use crate::{
    Platform, Ports, Wake,
    delivery::Raised,
    sync::full_fence,
    vcpu::VcpuSlot,
    wake::{Detail, Kicks},
};

const NOT_POLLING: u32 = 0;
/// Polls for several ports: any event of the domain wakes it. Not a valid port.
const ANY_PORT: u32 = u32::MAX;

impl<P: Platform> VcpuSlot<P> {
    fn polls_for(&self, port: Number) -> bool {
        let polled = self.polled.load(Acquire);
        polled == port.0 || polled == ANY_PORT
    }
}

impl<P: Platform> Ports<P> {
    /// From now on any new event of the domain wakes the vCPU. Errors: `ENOENT`.
    pub fn begin_poll(&self, vcpu: VcpuId) -> Result<()> {
        let slot = self.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        if slot.polled.swap(ANY_PORT, SeqCst) == NOT_POLLING {
            self.pollers.fetch_add(1, SeqCst);
        }
        full_fence();
        Ok(())
    }

    /// Narrows a poll to one port; without effect when the vCPU has been woken already.
    pub fn poll_only(&self, vcpu: VcpuId, port: Number) {
        if let Some(slot) = self.vcpu(vcpu)
            && port.0 != NOT_POLLING
        {
            let _ = slot.polled.compare_exchange(ANY_PORT, port.0, SeqCst, Relaxed);
        }
    }

    /// Ends a poll, however it ended; always called before the vCPU does anything else.
    pub fn end_poll(&self, vcpu: VcpuId) {
        if let Some(slot) = self.vcpu(vcpu) {
            self.stop_polling(slot);
        }
    }

    fn stop_polling(&self, slot: &VcpuSlot<P>) {
        if slot.polled.swap(NOT_POLLING, SeqCst) != NOT_POLLING {
            self.pollers.fetch_sub(1, SeqCst);
        }
    }

    /// The wake for an event of a vCPU's port that became pending while somebody polls.
    #[cold]
    pub(crate) fn wake_with_pollers(self: &Arc<Self>, vcpu: VcpuId, raised: Raised, port: Number) -> Wake<P> {
        if self.all_vcpus().any(|slot| slot.polls_for(port)) {
            return Wake(Kicks::More(Detail::pollers(vcpu, port, raised), Arc::clone(self)));
        }
        let target = self.vcpu(vcpu).filter(|_| raised.upcall).map(|slot| slot.target.clone());
        target.map_or(Wake::nobody(), |target| Wake(Kicks::Vcpu(target)))
    }

    pub(crate) fn wake_pollers(&self, port: Number, mut wake: impl FnMut(P::Target)) {
        for slot in self.all_vcpus() {
            if slot.polls_for(port) {
                self.stop_polling(slot);
                wake(slot.target.clone());
            }
        }
    }
}
