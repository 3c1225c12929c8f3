//! physdev_op: the caller's interrupts and I/O rights, and the machine's interrupt lines.

use abi::{Errno, Gfn, GuestHandle, Mfn, Pirq, Result, physdev::MapPirqType};
use device_interrupts::{Irq, NumberKind, Polarity, Signal, Trigger};
use hypercalls::{
    authority::{ControlDomain, Target},
    op::physdev::{EoiStyle, LineMode, MappedPirq, PciAddress, PhysdevHost, PirqSource},
};
use pv_cpu::vcpu::IoBitmap;

use super::Caller;
use crate::{
    cpu,
    domain::{self, Domain},
    interrupt::{
        device, io_apic,
        msi::{self, Which},
    },
};

/// Xen has room for so many interrupts a CPU.
const INTERRUPTS_PER_CPU: u32 = 208;
/// Vectors of plain MSI that a function can have.
const MOST_VECTORS: i32 = 32;

impl PhysdevHost for Caller<'_> {
    fn pirq_limit(&self) -> u32 {
        self.domain.interrupts.limit()
    }

    fn pirq_eoi(&mut self, pirq: u32) -> Result<()> {
        self.domain.interrupts.end_of_interrupt(self.domain, Pirq(pirq))
    }

    fn pirqs_unmasked(&mut self) -> Result<()> {
        self.domain.interrupts.end_unmasked(self.domain);
        Ok(())
    }

    fn pirq_is_shared(&self, _pirq: u32) -> bool {
        false
    }

    fn pirq_eoi_page(&mut self, frame: Gfn, style: EoiStyle) -> Result<()> {
        self.domain.interrupts.set_page(self.domain, Mfn(frame.0), style)
    }

    fn pirq_map(&mut self, target: Target, source: PirqSource, wanted: i32) -> Result<MappedPirq> {
        let domain = domain::find(target.id()).ok_or(Errno::ESRCH)?;
        match source {
            PirqSource::Line { gsi } => map_line(self.domain, domain, gsi, wanted),
            PirqSource::Message { device, entry, table_base, index } => {
                check_index(index)?;
                // No table has a negative entry; the device is looked for first.
                let entry = u32::try_from(entry).unwrap_or(u32::MAX);
                let which = if table_base == 0 { Which::Plain } else { Which::Entry(entry) };
                map_message(domain, (device, which), table_base, wanted)
            }
            PirqSource::Messages { device, count } => map_messages(domain, device, count, wanted),
        }
    }

    fn pirq_unmap(&mut self, target: Target, pirq: i32) -> Result<()> {
        let domain = domain::find(target.id()).ok_or(Errno::ESRCH)?;
        let pirq = u32::try_from(pirq).map_err(|_| Errno::EINVAL)?;
        domain.interrupts.unmap(domain, Pirq(pirq))
    }

    fn pirq_reserve(&mut self, kind: MapPirqType) -> Result<u32> {
        let kind = if kind == MapPirqType::GSI { NumberKind::Line } else { NumberKind::Message };
        self.domain.interrupts.reserve(kind).map(|pirq| pirq.0)
    }

    fn line_limit(&self) -> u32 {
        io_apic::line_count()
    }

    fn line_setup(&mut self, _authority: ControlDomain, gsi: u32, mode: LineMode) -> Result<()> {
        let signal = Signal {
            trigger: if mode.level { Trigger::Level } else { Trigger::Edge },
            polarity: if mode.low { Polarity::Low } else { Polarity::High },
        };
        device::set_up_line(Irq(gsi), signal)
    }

    fn io_apic_read(&mut self, _authority: ControlDomain, base: u64, register: u32) -> Result<u32> {
        io_apic::guest_read(base, register)
    }

    fn io_apic_write(&mut self, _authority: ControlDomain, base: u64, register: u32, value: u32) -> Result<()> {
        // Old kernels program entries themselves; how the line signals is theirs to say, the rest is not.
        if let Some((line, entry)) = io_apic::guest_write(base, register, value)? {
            let _ = device::set_up_line(Irq(line), entry.signal());
        }
        Ok(())
    }

    fn set_io_privilege(&mut self, level: u8) {
        self.state.virtual_cpu.iopl = level;
    }

    fn set_io_bitmap(&mut self, bitmap: GuestHandle<u8>, ports: u32) {
        self.state.virtual_cpu.io_bitmap = IoBitmap { address: bitmap.address().0, ports };
    }
}

/// The hardware domain's lines are the machine's; another domain passes on what it has itself.
fn map_line(caller: &Domain, domain: &Domain, gsi: i32, wanted: i32) -> Result<MappedPirq> {
    let gsi = u32::try_from(gsi).ok().filter(|gsi| *gsi < io_apic::line_count()).ok_or(Errno::EINVAL)?;
    let line = match caller.interrupts.irq(Pirq(gsi)) {
        Some(irq) => irq,
        None if caller.rights.has_io() => Irq(gsi),
        None => return Err(Errno::EINVAL),
    };
    let is_permitted = caller.interrupts.may_use_line(line);
    domain.interrupts.map_line(line, wanted, is_permitted)
}

fn map_message(domain: &Domain, source: (PciAddress, Which), base: u64, wanted: i32) -> Result<MappedPirq> {
    // Tables are guarded against the domain that could otherwise write to them.
    let guarded = domain::hardware_domain().ok_or(Errno::ENODEV)?;
    domain
        .interrupts
        .map_message(wanted, |interrupt, destination| msi::map(source, base, &guarded.rights, interrupt, destination))
}

/// Interrupts of messages are made when they are mapped, so their numbers cannot be asked for. Errors: `EPERM` for what
/// could be the number of one, `EINVAL` for what could not.
fn check_index(index: i32) -> Result<()> {
    let lines = io_apic::line_count();
    let end = (cpu::count() as u32).saturating_mul(INTERRUPTS_PER_CPU).max(8 * lines);
    match u32::try_from(index) {
        Err(_) if index == -1 => Ok(()),
        Ok(index) if (lines..end).contains(&index) => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// Several vectors need interrupt remapping, which is not there; one is an ordinary message.
fn map_messages(domain: &Domain, device: PciAddress, count: i32, wanted: i32) -> Result<MappedPirq> {
    if wanted < 0 && !(1..=MOST_VECTORS).contains(&count) {
        return Err(Errno::EDOM);
    }
    if wanted < 0 && count != 1 {
        return Err(Errno::EOPNOTSUPP);
    }
    map_message(domain, (device, Which::Plain), 0, wanted)
}
