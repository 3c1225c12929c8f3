//! event_channel_op: the caller's ports and those of others.

use alloc::sync::Arc;

use abi::{DomainId, Errno, Gfn, Mfn, Result, Virq};
use event_channels::{Platform, Ports, Wake};
use hypercalls::{authority::Target, op::event::EventHost};
use pv_mmu::{FrameType, get_page_and_type};

use super::Caller;
use crate::{
    domain::{self, GuestEventPage, HvPlatform, Kicked},
    interrupt::pirq::DomainPirqs,
    memory::mmu::Machine,
};

impl EventHost for Caller<'_> {
    type Platform = HvPlatform;
    type Pirqs = DomainPirqs;

    #[inline(always)]
    fn ports(&self) -> &Arc<Ports<HvPlatform>> {
        &self.domain.ports
    }

    fn ports_of(&self, domain: DomainId) -> Option<Arc<Ports<HvPlatform>>> {
        domain::find(domain).map(|domain| Arc::clone(&domain.ports))
    }

    #[inline]
    fn pirqs_of(&self, domain: DomainId) -> DomainPirqs {
        if domain == self.domain.id {
            return DomainPirqs::of(self.domain);
        }
        DomainPirqs::of(domain::find(domain).unwrap_or(self.domain))
    }

    fn is_paused_by_toolstack(&self, target: Target) -> bool {
        domain::find(target.id()).is_some_and(domain::Domain::is_paused)
    }

    fn pin_event_page(&self, frame: Gfn) -> Result<<HvPlatform as Platform>::Page> {
        let frame = Mfn(frame.0);
        get_page_and_type(&Machine, frame, self.domain.id, FrameType::Writable).map_err(|_| Errno::EINVAL)?;
        Ok(GuestEventPage::new(frame))
    }

    fn virq_bound(&self, virq: Virq) {
        domain::virqs::bound(virq, self.domain);
    }

    #[inline]
    fn wake(&self, wake: Wake<HvPlatform>) {
        wake.kick();
    }
}
