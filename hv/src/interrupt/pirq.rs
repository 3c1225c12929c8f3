//! A domain's physical interrupts: its numbers for them, the page that tells it which need an end-of-interrupt call,
//! and their connection to its event channels.
//!
//! Lock: [`Level::PhysicalInterrupt`], one a domain, around its numbers; taken with the domain's event ports locked
//! ([`PirqControl`]) or with nothing locked (map, unmap, end of interrupt). An interrupt's binding changes only with the
//! lock of the domain that has it. Source: Xen public headers `physdev.h`, `event_channel.h`.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, SeqCst},
};

use abi::{Errno, Mfn, Pirq, Result, VcpuId};
use device_interrupts::{Irq, NumberKind, Outcome, Permission, Pirqs, PortUse};
use event_channels::{PirqControl, PirqSharing};
use hypercalls::op::physdev::{EoiStyle, MappedPirq};
use locks::{Level, Lock};
use pv_mmu::{FrameType, get_page_and_type, put_page_and_type};

use super::{device, io_apic};
use crate::{
    domain::{Domain, Kicked},
    memory::{mmu::Machine, window},
};

/// No page: the frame number in [`DomainInterrupts::page`] otherwise.
const NO_PAGE: u64 = u64::MAX;
/// With the frame number: an end-of-interrupt call unmasks the event channel too.
const UNMASKS: u64 = 1 << 63;
const FRAME: u64 = UNMASKS - 1;
/// Numbers that a page of bits can hold.
const NUMBERS_IN_PAGE: u32 = 8 * 4096;

/// All of one domain's.
pub struct DomainInterrupts {
    numbers: Lock<Pirqs>,
    /// The page of bits, one a number; set once.
    page: AtomicU64,
}

impl DomainInterrupts {
    /// Numbers 0 to `pirqs` - 1, none mapped; no right to any line. Errors: `ENOMEM`.
    pub fn new(pirqs: u32) -> Result<Self> {
        let numbers = Pirqs::new(pirqs.min(NUMBERS_IN_PAGE), io_apic::line_count())?;
        Ok(Self { numbers: Lock::new(Level::PhysicalInterrupt, numbers), page: AtomicU64::new(NO_PAGE) })
    }

    /// Gives the right to all lines but the machine's own timer's.
    pub fn permit_all_lines(&self) {
        self.numbers.lock().permit_all_lines();
    }

    /// Gives the right to a line, or takes it away.
    pub fn permit_line(&self, line: Irq, permission: Permission) {
        self.numbers.lock().permit_line(line, permission);
    }

    /// Whether the domain may map a line.
    pub fn may_use_line(&self, line: Irq) -> bool {
        self.numbers.lock().may_use_line(line)
    }

    /// One more than the highest number.
    pub fn limit(&self) -> u32 {
        self.numbers.lock().limit()
    }

    /// The interrupt a number is mapped to.
    pub fn irq(&self, pirq: Pirq) -> Option<Irq> {
        self.numbers.lock().irq(pirq)
    }

    /// Sets a free number aside. Errors: `ENOSPC`.
    pub fn reserve(&self, kind: NumberKind) -> Result<Pirq> {
        self.numbers.lock().reserve(kind)
    }

    /// Maps a line. `is_permitted` says whether who asks may use it. Errors: as `Pirqs::choose` and `Pirqs::map`,
    /// `EPERM` in between.
    pub fn map_line(&self, line: Irq, wanted: i32, is_permitted: bool) -> Result<MappedPirq> {
        let mut numbers = self.numbers.lock();
        let pirq = numbers.choose(line, wanted, NumberKind::Line)?;
        if !is_permitted {
            return Err(Errno::EPERM);
        }
        let (Outcome::Mapped(pirq) | Outcome::Untouched(pirq)) = numbers.map(pirq, line)?;
        Ok(MappedPirq { pirq: pirq.0 as i32, vectors: 1 })
    }

    /// Maps a message that `program` makes a device send to an interrupt nobody has; it is called with the interrupt,
    /// its vector and a destination. Errors: `ENOSPC`, `EINVAL` no such number, `EBUSY` it is cut off, and those of
    /// `program`.
    pub fn map_message(
        &self,
        wanted: i32,
        program: impl FnOnce((Irq, super::vector::Vector), u8) -> Result<()>,
    ) -> Result<MappedPirq> {
        let mut numbers = self.numbers.lock();
        let (irq, vector) = device::take_message()?;
        let outcome = (|| {
            let pirq = numbers.choose(irq, wanted, NumberKind::Message)?;
            if numbers.irq(pirq).is_some() {
                return Ok(Outcome::Untouched(pirq));
            }
            if pirq.0 >= numbers.limit() {
                return Err(Errno::EINVAL);
            }
            program((irq, vector), device::destination(0))?;
            numbers.map(pirq, irq).inspect_err(|_| super::msi::unmap(irq))
        })();
        if !matches!(outcome, Ok(Outcome::Mapped(_))) {
            device::give_back_message(irq);
        }
        let (Outcome::Mapped(pirq) | Outcome::Untouched(pirq)) = outcome?;
        Ok(MappedPirq { pirq: pirq.0 as i32, vectors: 1 })
    }

    /// Ends a mapping of `domain`, whose interrupts these are; an event channel that is bound stays so, in vain.
    /// Errors: `EINVAL` not mapped.
    pub fn unmap(&self, domain: &Domain, pirq: Pirq) -> Result<()> {
        let mut numbers = self.numbers.lock();
        let port = if domain.ports.pirq_port(pirq).is_some() { PortUse::Bound } else { PortUse::Unbound };
        let irq = numbers.unmap(pirq, port)?;
        release(irq, domain);
        Ok(())
    }

    /// The guest has served an interrupt. Errors: `EINVAL` a number that means nothing.
    pub fn end_of_interrupt(&self, domain: &Domain, pirq: Pirq) -> Result<()> {
        let (is_known, irq) = {
            let numbers = self.numbers.lock();
            (numbers.is_known(pirq), numbers.irq(pirq))
        };
        if !is_known {
            return Err(Errno::EINVAL);
        }
        let page = self.page.load(Acquire);
        if page != NO_PAGE
            && page & UNMASKS != 0
            && let Some(port) = domain.ports.pirq_port(pirq)
            && let Ok(wake) = domain.ports.unmask(port)
        {
            wake.kick();
        }
        if let Some(irq) = irq {
            device::end_of_interrupt(irq);
        }
        Ok(())
    }

    /// Ends every interrupt that waits for its end while its event channel is open.
    pub fn end_unmasked(&self, domain: &Domain) {
        let numbers = self.numbers.lock();
        for (pirq, irq) in numbers.mapped().filter(|(_, irq)| device::awaits_end(*irq)) {
            let is_open = domain.ports.pirq_port(pirq).is_some_and(|port| domain.ports.is_masked(port) == Ok(false));
            if is_open {
                device::end_of_interrupt(irq);
            }
        }
    }

    /// Keeps a bit per number in a page of the domain's. Errors: `EINVAL` not a writable page of the domain's, `EBUSY`
    /// there is one.
    pub fn set_page(&self, domain: &Domain, frame: Mfn, style: EoiStyle) -> Result<()> {
        let info = get_page_and_type(&Machine, frame, domain.id, FrameType::Writable).map_err(|_| Errno::EINVAL)?;
        let value = frame.0 | if style == EoiStyle::Unmask { UNMASKS } else { 0 };
        if self.page.compare_exchange(NO_PAGE, value, AcqRel, Acquire).is_err() {
            put_page_and_type(&Machine, frame, info);
            return Err(Errno::EBUSY);
        }
        Ok(())
    }

    /// Says in the page whether a number needs an end-of-interrupt call.
    fn tell(&self, pirq: Pirq, irq: Irq) {
        let page = self.page.load(Acquire);
        if page == NO_PAGE {
            return;
        }
        let words = window::words(Mfn(page & FRAME));
        if let Some(word) = words.get(pirq.0 as usize / 64) {
            let bit = 1_u64 << (pirq.0 % 64);
            match device::needs_end(irq) {
                true => word.fetch_or(bit, SeqCst),
                false => word.fetch_and(!bit, SeqCst),
            };
        }
    }

    /// Gives everything back: the last step of `domain`'s ports is done, it will map nothing more.
    pub fn tear_down(&self, domain: &Domain) {
        loop {
            let mut numbers = self.numbers.lock();
            let Some((pirq, irq)) = numbers.mapped().next() else { break };
            // Mapped a line ago.
            let _ = numbers.unmap(pirq, PortUse::Unbound);
            release(irq, domain);
        }
        let page = self.page.swap(NO_PAGE, AcqRel);
        if page != NO_PAGE {
            let frame = Mfn(page & FRAME);
            if let Some(info) = crate::memory::frame_table::frames().get(frame) {
                put_page_and_type(&Machine, frame, info);
            }
        }
    }
}

/// Disconnects an interrupt that a domain had mapped; a message is nobody's then.
fn release(irq: Irq, domain: &Domain) {
    device::unbind(irq, domain);
    if !device::is_line(irq) {
        super::msi::unmap(irq);
        device::give_back_message(irq);
    }
}

/// One domain's interrupts as its event channels see them.
#[derive(Clone, Copy)]
pub struct DomainPirqs(&'static Domain);

impl DomainPirqs {
    /// Those of a domain.
    pub const fn of(domain: &'static Domain) -> Self {
        Self(domain)
    }

    /// Where interrupts for a vCPU go: to the CPU it belongs to now.
    fn destination(self, vcpu: VcpuId) -> u8 {
        let cpu = self.0.vcpu(vcpu).map_or(0, |vcpu| vcpu.processor.load(Acquire));
        device::destination(cpu as usize)
    }
}

impl PirqControl for DomainPirqs {
    fn permitted(&self, pirq: Pirq) -> bool {
        self.0.interrupts.irq(pirq).is_some()
    }

    // Lines are not shared among domains; a second one is told that it is busy, as Xen tells those that will not share.
    fn bind(&self, pirq: Pirq, _sharing: PirqSharing) -> Result<()> {
        let interrupts = &self.0.interrupts;
        let mut numbers = interrupts.numbers.lock();
        let Some(irq) = numbers.irq(pirq) else {
            // Unmapped since the event channel looked; then nobody will close it.
            numbers.port_closed(pirq);
            return Err(Errno::EPERM);
        };
        interrupts.tell(pirq, irq);
        device::bind(irq, self.0, pirq, self.destination(VcpuId(0)))
    }

    fn unbind(&self, pirq: Pirq) {
        let mut numbers = self.0.interrupts.numbers.lock();
        if let Some(irq) = numbers.irq(pirq) {
            device::unbind(irq, self.0);
        }
        numbers.port_closed(pirq);
    }

    fn set_affinity(&self, pirq: Pirq, vcpu: VcpuId) {
        let numbers = self.0.interrupts.numbers.lock();
        if let Some(irq) = numbers.irq(pirq) {
            device::retarget(irq, self.destination(vcpu));
        }
    }
}
