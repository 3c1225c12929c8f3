//! An event becomes pending: the one entry to both ABIs, and what follows for the vCPU.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use abi::{Errno, Port as Number, Result, VcpuId};

use crate::{
    Platform, Ports, Wake,
    port::{Binding, Notify, Port},
    ports::EventAbi,
    sync::full_fence,
    vcpu::VcpuSlot,
    wake::Kicks,
};

/// What making an event pending did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Raised {
    /// It was not pending before.
    pub(crate) newly: bool,
    /// The vCPU had nothing pending before and must be kicked.
    pub(crate) upcall: bool,
}

impl<P: Platform> Ports<P> {
    /// Makes the event of a port pending. The caller holds the port's lock or that of the port's peer.
    #[inline(always)]
    pub(crate) fn set_pending(self: &Arc<Self>, number: Number, port: &Port<P>) -> Wake<P> {
        match self.event_abi() {
            EventAbi::TwoLevel => self.two_level_set_pending(number, port),
            EventAbi::Fifo => self.fifo_set_pending(number, port),
        }
    }

    /// The wake for what was done to a vCPU's words.
    #[inline(always)]
    pub(crate) fn wake_for(
        self: &Arc<Self>,
        vcpu: VcpuId,
        slot: &VcpuSlot<P>,
        raised: Raised,
        number: Number,
    ) -> Wake<P> {
        full_fence();
        if raised.newly && self.pollers.load(SeqCst) != 0 {
            return self.wake_with_pollers(vcpu, raised, number);
        }
        if raised.upcall { Wake(Kicks::Vcpu(slot.target.clone())) } else { Wake::nobody() }
    }

    /// Lets the events of a port through again, and delivers one that is pending. Ports that are free, reserved or the
    /// hypervisor's are left alone. Errors: `EINVAL` for an invalid port.
    #[inline(always)]
    pub fn unmask(self: &Arc<Self>, number: Number) -> Result<Wake<P>> {
        let port = self.valid_port(number)?;
        let binding = port.binding.lock();
        if !is_usable(&binding, port.notify()) {
            return Ok(Wake::nobody());
        }
        Ok(match self.event_abi() {
            EventAbi::TwoLevel => self.two_level_unmask(number, port),
            EventAbi::Fifo => self.fifo_unmask(number, port),
        })
    }

    /// Whether a port has an event for the guest. Errors: `EINVAL` for a port it cannot have events on.
    pub fn is_pending(&self, number: Number) -> Result<bool> {
        let port = self.valid_port(number)?;
        let binding = port.binding.lock();
        full_fence();
        if !is_usable(&binding, port.notify()) {
            return Err(Errno::EINVAL);
        }
        Ok(match self.event_abi() {
            EventAbi::TwoLevel => self.two_level_is_pending(number),
            EventAbi::Fifo => self.fifo_is_pending(number, port),
        })
    }

    /// Whether the guest holds off the events of a port; also true for ports it cannot have events on. Errors: `EINVAL`.
    pub fn is_masked(&self, number: Number) -> Result<bool> {
        let port = self.valid_port(number)?;
        let binding = port.binding.lock();
        Ok(!is_usable(&binding, port.notify())
            || match self.event_abi() {
                EventAbi::TwoLevel => self.two_level_is_masked(number),
                EventAbi::Fifo => self.fifo_is_masked(number, port),
            })
    }

    /// Sets the FIFO priority of a port; it applies from the next event on. Errors, in this order: `EINVAL` invalid port,
    /// `ENOSYS` 2-level ABI, `EACCES` free or the hypervisor's, `EINVAL` priority above 15.
    pub fn set_priority(&self, number: Number, priority: u32) -> Result<()> {
        let port = self.valid_port(number)?;
        let binding = port.binding.lock();
        if self.event_abi() == EventAbi::TwoLevel {
            return Err(Errno::ENOSYS);
        }
        if !is_usable(&binding, port.notify()) {
            return Err(Errno::EACCES);
        }
        if priority > abi::event_channel::FIFO_PRIORITY_MIN {
            return Err(Errno::EINVAL);
        }
        port.set_notify(port.notify().with_priority(priority));
        Ok(())
    }
}

/// Whether a port's bits in guest memory mean anything.
#[inline]
fn is_usable<P: Platform>(binding: &Binding<P>, notify: Notify) -> bool {
    notify.consumer().is_none() && binding.is_bound()
}
