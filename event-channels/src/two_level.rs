//! The 2-level ABI: a pending and a mask bitmap in the shared page, and a selector word per vCPU.
//!
//! Order: pending bit; if it was clear and the port is not masked, selector bit; if that was clear, upcall_pending, then
//! kick. Unmasking clears the mask bit first and looks at the pending bit second, so one side always sees the other.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use abi::Port as Number;

use crate::{
    Platform, Ports, Wake,
    delivery::Raised,
    port::Port,
    ports::EventAbi,
    sync::{AtomicU64, full_fence},
};

/// Word and bit of a port in either bitmap.
const fn place(number: Number) -> (usize, u64) {
    (number.0 as usize / 64, 1 << (number.0 % 64))
}

fn test(bitmap: &[AtomicU64], number: Number) -> bool {
    let (word, bit) = place(number);
    bitmap.get(word).is_some_and(|word| word.load(SeqCst) & bit != 0)
}

impl<P: Platform> Ports<P> {
    #[inline(always)]
    pub(crate) fn two_level_set_pending(self: &Arc<Self>, number: Number, port: &Port<P>) -> Wake<P> {
        let (word, bit) = place(number);
        let Some(word) = self.shared.pending.get(word) else {
            return Wake::nobody();
        };
        // Decided at once, which lets it be one instruction.
        if word.fetch_or(bit, SeqCst) & bit != 0 {
            full_fence();
            return if self.event_abi() == EventAbi::Fifo { self.changed_over(number, port) } else { Wake::nobody() };
        }
        full_fence();
        if self.event_abi() == EventAbi::Fifo {
            return self.changed_over(number, port);
        }
        // The two reasons to do anything for the vCPU, in the order that masking and polling rely on.
        let is_masked = self.two_level_is_masked(number);
        full_fence();
        if is_masked && self.pollers.load(SeqCst) == 0 {
            return Wake::nobody();
        }
        self.two_level_newly_pending(number, port, is_masked)
    }

    /// The guest has just changed over to the other ABI, and may have looked at its words for the last time.
    #[cold]
    fn changed_over(self: &Arc<Self>, number: Number, port: &Port<P>) -> Wake<P> {
        self.fifo_set_pending(number, port)
    }

    #[inline]
    fn two_level_newly_pending(self: &Arc<Self>, number: Number, port: &Port<P>, is_masked: bool) -> Wake<P> {
        let vcpu = port.notify().vcpu();
        let Some(slot) = self.vcpu(vcpu) else {
            return Wake::nobody();
        };
        let upcall = !is_masked && slot.delivery.lock().select(place(number).0);
        self.wake_for(vcpu, slot, Raised { newly: true, upcall }, number)
    }

    #[inline(always)]
    pub(crate) fn two_level_unmask(self: &Arc<Self>, number: Number, port: &Port<P>) -> Wake<P> {
        let (word, bit) = place(number);
        let Some(mask) = self.shared.mask.get(word) else {
            return Wake::nobody();
        };
        if mask.fetch_and(!bit, SeqCst) & bit == 0 {
            return Wake::nobody();
        }
        full_fence();
        if !self.two_level_is_pending(number) {
            return Wake::nobody();
        }
        self.two_level_let_through(number, port)
    }

    /// A pending event whose mask has just gone.
    #[inline(never)]
    fn two_level_let_through(self: &Arc<Self>, number: Number, port: &Port<P>) -> Wake<P> {
        let vcpu = port.notify().vcpu();
        let Some(slot) = self.vcpu(vcpu) else {
            return Wake::nobody();
        };
        let upcall = slot.delivery.lock().select(place(number).0);
        self.wake_for(vcpu, slot, Raised { newly: false, upcall }, number)
    }

    pub(crate) fn two_level_is_pending(&self, number: Number) -> bool {
        test(&self.shared.pending, number)
    }

    pub(crate) fn two_level_is_masked(&self, number: Number) -> bool {
        full_fence();
        test(&self.shared.mask, number)
    }

    pub(crate) fn two_level_clear_pending(&self, number: Number) {
        let (word, bit) = place(number);
        if let Some(word) = self.shared.pending.get(word) {
            word.fetch_and(!bit, SeqCst);
        }
    }
}
