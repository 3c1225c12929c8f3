//! What of the machine a toolstack lets a domain use.

use abi::{Errno, Mfn, Pirq, Result};
use device_interrupts::{Irq, Permission};
use hypercalls::{
    authority::Target,
    op::domctl::{Grant, RightsHost},
};
use pv_mmu::IoAccess;

use crate::{
    cpu::features,
    interrupt::{device, io_apic},
    serve::{Caller, memory::living},
};

/// The machine's own timer.
const TIMER_LINE: u32 = 0;

fn permission(grant: Grant) -> Permission {
    match grant {
        Grant::Allow => Permission::Granted,
        Grant::Deny => Permission::Denied,
    }
}

impl RightsHost for Caller<'_> {
    fn machine_address_bits(&self) -> u32 {
        features::physical_address_bits()
    }

    fn pirq_exists(&self, pirq: Pirq) -> bool {
        pirq.0 < self.domain.interrupts.limit()
    }

    fn grant_interrupt(&mut self, target: Target, pirq: Pirq, grant: Grant) -> Result<()> {
        let domain = living(target)?;
        let irq = self.domain.interrupts.irq(pirq).ok_or(Errno::EPERM)?;
        if device::is_line(irq) && !self.domain.interrupts.may_use_line(irq) {
            return Err(Errno::EPERM);
        }
        domain.interrupts.permit_line(irq, permission(grant));
        Ok(())
    }

    fn grant_line(&mut self, target: Target, line: u32, grant: Grant) -> Result<()> {
        let domain = living(target)?;
        if line >= io_apic::line_count() {
            return Err(Errno::ERANGE);
        }
        // Lines are named by their interrupts here, which firmware may have put at other inputs.
        let is_there = |irq: &u32| io_apic::input_of(*irq).is_some_and(|(input, _)| input == line);
        let irq = (0..io_apic::line_count()).find(is_there).filter(|&irq| irq != TIMER_LINE).ok_or(Errno::EINVAL)?;
        if !self.domain.interrupts.may_use_line(Irq(irq)) {
            return Err(Errno::EPERM);
        }
        domain.interrupts.permit_line(Irq(irq), permission(grant));
        Ok(())
    }

    fn grant_frames(&mut self, target: Target, first: Mfn, count: u64, grant: Grant) -> Result<()> {
        let domain = living(target)?;
        let is_whole = self.domain.rights.may_pass_frames(first, count);
        if !is_whole || self.domain.rights.memory_access(first) == IoAccess::Denied {
            return Err(Errno::EPERM);
        }
        match grant {
            Grant::Allow => domain.rights.allow_frames(first, count),
            Grant::Deny => domain.rights.deny_frames(first, count),
        }
    }

    fn grant_ports(&mut self, target: Target, first: u16, count: u32, grant: Grant) -> Result<()> {
        let domain = living(target)?;
        if !self.domain.rights.may_pass_ports(first, count) {
            return Err(Errno::EPERM);
        }
        match grant {
            Grant::Allow => domain.rights.allow_ports(first, count),
            Grant::Deny => domain.rights.deny_ports(first, count),
        }
    }
}
