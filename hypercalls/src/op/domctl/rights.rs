//! domctl: what of the machine a domain may use: ports, device pages, interrupts. Nobody gives what it does not have.

use abi::domctl_domain::{GsiAction, GsiPermission, IomemPermission, IoportPermission, IrqPermission};
use abi::{Errno, Mfn, Pirq, Result};

use super::Request;
use crate::authority::Target;

/// Whether a right is given or taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grant {
    /// Given.
    Allow,
    /// Taken away.
    Deny,
}

impl Grant {
    fn of(allow: u8) -> Self {
        if allow != 0 { Grant::Allow } else { Grant::Deny }
    }
}

/// Rights to the machine. All answer `ESRCH` if the domain went away, `EPERM` if the caller has not the right itself.
pub trait RightsHost {
    /// Width of machine addresses.
    fn machine_address_bits(&self) -> u32;
    /// Whether the caller has such a number. Otherwise the right is about nothing.
    fn pirq_exists(&self, pirq: Pirq) -> bool;
    /// The interrupt behind one of the caller's numbers. Errors: `ENOMEM` too.
    fn grant_interrupt(&mut self, target: Target, pirq: Pirq, grant: Grant) -> Result<()>;
    /// An interrupt line by its number on the machine. Errors: `ERANGE` there is none with that number, `EINVAL` for one
    /// that no domain can have.
    fn grant_line(&mut self, target: Target, line: u32, grant: Grant) -> Result<()>;
    /// `count` device pages from `first` on. Errors: `ENOMEM` too.
    fn grant_frames(&mut self, target: Target, first: Mfn, count: u64, grant: Grant) -> Result<()>;
    /// `count` ports from `first` on. Errors: `ENOMEM` too.
    fn grant_ports(&mut self, target: Target, first: u16, count: u32, grant: Grant) -> Result<()>;
}

/// irq_permission(19). Errors: `EINVAL` for a number that the caller cannot have, `EPERM`.
pub(super) fn interrupt<H: RightsHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let asked: IrqPermission = request.argument()?;
    if !host.pirq_exists(Pirq(asked.pirq)) {
        return Err(Errno::EINVAL);
    }
    host.grant_interrupt(target, Pirq(asked.pirq), Grant::of(asked.allow))
}

/// gsi_permission(88): as irq_permission, by the line itself, so that a caller who has not mapped it can give it. Errors:
/// `EINVAL` for unknown flags and for a line that is the hypervisor's or nobody's, `ERANGE` beyond the last line, `EPERM`.
pub(super) fn line<H: RightsHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let asked: GsiPermission = request.argument()?;
    let grant = match asked.action {
        GsiAction::REVOKE => Grant::Deny,
        GsiAction::GRANT => Grant::Allow,
        _ => return Err(Errno::EINVAL),
    };
    host.grant_line(target, asked.line, grant)
}

/// iomem_permission(20). Errors: `EINVAL` for a range that wraps or that no machine address reaches, `EPERM`.
pub(super) fn frames<H: RightsHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let asked: IomemPermission = request.argument()?;
    let last = asked.first.0.wrapping_add(asked.count).wrapping_sub(1);
    let bits = host.machine_address_bits().saturating_sub(abi::frame::PAGE_SHIFT);
    if last < asked.first.0 || (last | asked.first.0) >> bits != 0 {
        return Err(Errno::EINVAL);
    }
    host.grant_frames(target, asked.first, asked.count, Grant::of(asked.allow))
}

/// ioport_permission(21). Errors: `EINVAL` for no ports or beyond the last one, `EPERM`.
pub(super) fn ports<H: RightsHost>(host: &mut H, request: &Request, target: Target) -> Result<()> {
    let asked: IoportPermission = request.argument()?;
    let end = asked.first.wrapping_add(asked.count);
    let first = u16::try_from(asked.first).map_err(|_| Errno::EINVAL)?;
    if end <= asked.first || end > 0x1_0000 {
        return Err(Errno::EINVAL);
    }
    host.grant_ports(target, first, asked.count, Grant::of(asked.allow))
}
