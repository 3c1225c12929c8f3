//! Event channels of a domain, on real memory and real vCPUs.
//!
//! Guards of guest pages hold a reference and a writable type, so the page stays the domain's and stays plain memory
//! for as long as the hypervisor writes to it.

use core::ops::Deref;

use abi::Mfn;
use event_channels::{EventPage, Kick, Platform, SharedInfo, VcpuInfo, Wake};
use pv_mmu::put_page_and_type;

use super::Vcpu;
use crate::{
    memory::{frame_table, mmu::Machine, window},
    sched,
};

/// The types that `event_channels` is built with.
pub struct HvPlatform;

impl Platform for HvPlatform {
    type SharedInfo = &'static SharedInfo;
    type VcpuInfo = GuestVcpuInfo;
    type Page = GuestEventPage;
    type Target = &'static Vcpu;
}

/// Gives back the references of a guest page.
struct PageHold(Mfn);

impl Drop for PageHold {
    fn drop(&mut self) {
        if let Some(info) = frame_table::frames().get(self.0) {
            put_page_and_type(&Machine, self.0, info);
        }
    }
}

/// A vCPU's block, in the shared page, in a dummy, or in a page of the guest.
pub struct GuestVcpuInfo {
    info: &'static VcpuInfo,
    _hold: Option<PageHold>,
}

impl GuestVcpuInfo {
    /// A block in memory that lives as long as the domain.
    pub fn permanent(info: &'static VcpuInfo) -> Self {
        Self { info, _hold: None }
    }

    /// A block at `offset` of a guest page, whose reference and writable type the caller has taken. `None` when the
    /// block would leave the page or is misaligned; the references are given back then.
    pub fn in_guest_page(frame: Mfn, offset: u32) -> Option<Self> {
        let hold = PageHold(frame);
        Some(Self { info: window::vcpu_info(frame, offset)?, _hold: Some(hold) })
    }

    /// The block itself, for fast reads at the exit gate.
    pub fn get(&self) -> &'static VcpuInfo {
        self.info
    }
}

impl Deref for GuestVcpuInfo {
    type Target = VcpuInfo;

    fn deref(&self) -> &VcpuInfo {
        self.info
    }
}

/// A guest page of FIFO words.
pub struct GuestEventPage {
    words: &'static EventPage,
    _hold: PageHold,
}

impl GuestEventPage {
    /// The page whose reference and writable type the caller has taken.
    pub fn new(frame: Mfn) -> Self {
        Self { words: window::words32(frame), _hold: PageHold(frame) }
    }
}

impl Deref for GuestEventPage {
    type Target = EventPage;

    fn deref(&self) -> &EventPage {
        self.words
    }
}

/// Carrying out wake-ups.
pub trait Kicked {
    /// Wakes or interrupts whoever the event is for.
    fn kick(self);
}

impl Kicked for Wake<HvPlatform> {
    #[inline(always)]
    fn kick(self) {
        self.discharge(|kick| {
            // The hypervisor has no consumers of its own yet, so there is only one kind of kick.
            if let Kick::Vcpu(vcpu) = kick {
                sched::wake::event(vcpu);
            }
        });
    }
}
