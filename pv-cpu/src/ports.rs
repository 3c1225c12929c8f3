//! Port I/O of PV guests: who answers which port, once the virtual IOPL or bitmap let the access through.
//!
//! Nothing here faults: what a guest may not touch reads as all ones and swallows writes. An access that the permission
//! set covers wholly goes to the hardware as it is; any other is taken apart, each piece answered by its owner. Beyond
//! port 0xFFFF there is nobody.
//! Source: inventory of the PV contract (port rules); PCI configuration mechanism #1.

use crate::exception::Exception;
use crate::vcpu::{IoplView, VirtualCpu};

/// PCI configuration address register, seen as a whole dword only.
pub const CONFIG_ADDRESS: u16 = 0xCF8;
/// First of the four PCI configuration data ports.
pub const CONFIG_DATA: u16 = 0xCFC;

/// Devices behind ports, for the calling domain.
pub trait PortHost {
    /// Whether the domain has the ports `first..=last`.
    fn permitted(&self, first: u16, last: u16) -> bool;
    /// Reads the hardware; `width` is 1, 2 or 4.
    fn hardware_in(&mut self, port: u16, width: u8) -> u32;
    /// Writes the hardware; `width` is 1, 2 or 4.
    fn hardware_out(&mut self, port: u16, width: u8, value: u32);
    /// The domain's configuration address latch.
    fn config_address(&mut self) -> &mut u32;
    /// Reads configuration space at the latch; `offset` is 0 to 3. All ones if the domain may not.
    fn config_read(&mut self, offset: u8, width: u8) -> u32;
    /// Writes configuration space at the latch; nothing if the domain may not.
    fn config_write(&mut self, offset: u8, width: u8, value: u32);
    /// Reads port 0x70 or 0x71.
    fn clock_read(&mut self, port: u16) -> u8;
    /// Writes port 0x70 or 0x71.
    fn clock_write(&mut self, port: u16, value: u8);
    /// Reads port 0x42, 0x43 or 0x61 of the virtual timer chip.
    fn timer_read(&mut self, port: u16) -> u8;
    /// Writes port 0x42, 0x43 or 0x61 of the virtual timer chip.
    fn timer_write(&mut self, port: u16, value: u8);
}

/// Who answers a piece of an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortOwner {
    /// The machine's port.
    Hardware,
    /// The domain's configuration address latch.
    ConfigAddress,
    /// PCI configuration space.
    ConfigData,
    /// RTC and CMOS.
    Clock,
    /// Timer chip and its speaker gate.
    Timer,
    /// Nobody: all ones.
    Nobody,
}

/// The owner of the first piece of an access and the piece's width. Arguments: port, bytes left (1 to 4), whether the
/// domain has the ports of a range.
#[inline]
pub fn owner(port: u16, left: u8, permitted: impl Fn(u16, u16) -> bool) -> (PortOwner, u8) {
    match port {
        0x42 | 0x43 | 0x61 => (PortOwner::Timer, 1),
        0x70 | 0x71 => (PortOwner::Clock, 1),
        CONFIG_ADDRESS if left == 4 => (PortOwner::ConfigAddress, 4),
        0xCFC..=0xCFF => {
            let width = left.min(4 - (port & 3) as u8);
            (PortOwner::ConfigData, if width == 3 { 2 } else { width })
        }
        _ if permitted(port, port) => (PortOwner::Hardware, 1),
        _ => (PortOwner::Nobody, 1),
    }
}

/// Whether the whole access goes to the hardware: permitted, and touching neither the latch as a dword nor the RTC.
#[inline]
fn is_direct(host: &impl PortHost, port: u16, width: u8) -> bool {
    let Some(last) = port.checked_add(u16::from(width) - 1) else {
        return false;
    };
    let is_latch = port == CONFIG_ADDRESS && width == 4;
    let is_clock = port <= 0x71 && last >= 0x70;
    !is_latch && !is_clock && host.permitted(port, last)
}

/// The value a guest reads from `width` (1, 2 or 4) ports from `port`.
pub fn read(host: &mut impl PortHost, port: u16, width: u8) -> u32 {
    if is_direct(host, port, width) {
        return host.hardware_in(port, width);
    }
    let (mut value, mut done) = (0, 0);
    while done < width {
        let Some(at) = port.checked_add(u16::from(done)) else {
            value |= (u64::from(u32::MAX) & mask(width - done)) << (8 * done);
            break;
        };
        let (owner, piece) = owner(at, width - done, |first, last| host.permitted(first, last));
        let part = match owner {
            PortOwner::Hardware => host.hardware_in(at, piece),
            PortOwner::ConfigAddress => *host.config_address(),
            PortOwner::ConfigData => host.config_read((at & 3) as u8, piece),
            PortOwner::Clock => u32::from(host.clock_read(at)),
            PortOwner::Timer => u32::from(host.timer_read(at)),
            PortOwner::Nobody => !0,
        };
        value |= (u64::from(part) & mask(piece)) << (8 * done);
        done += piece;
    }
    value as u32
}

/// Carries out a guest's write of `value` to `width` (1, 2 or 4) ports from `port`.
pub fn write(host: &mut impl PortHost, port: u16, width: u8, value: u32) {
    if is_direct(host, port, width) {
        return host.hardware_out(port, width, value);
    }
    let mut done = 0;
    while done < width {
        let Some(at) = port.checked_add(u16::from(done)) else { break };
        let (owner, piece) = owner(at, width - done, |first, last| host.permitted(first, last));
        let part = (u64::from(value >> (8 * done)) & mask(piece)) as u32;
        match owner {
            PortOwner::Hardware => host.hardware_out(at, piece, part),
            PortOwner::ConfigAddress => *host.config_address() = part,
            PortOwner::ConfigData => host.config_write((at & 3) as u8, piece, part),
            PortOwner::Clock => host.clock_write(at, part as u8),
            PortOwner::Timer => host.timer_write(at, part as u8),
            PortOwner::Nobody => {}
        }
        done += piece;
    }
}

const fn mask(width: u8) -> u64 {
    (1 << (8 * width as u32)) - 1
}

/// Whether the guest may use `width` ports from `port` at all, by virtual IOPL or by its bitmap; `read_kernel` reads one
/// byte of the guest kernel's memory. A byte that cannot be read denies. Errors: the #GP to raise.
pub fn check_access(
    cpu: &VirtualCpu,
    view: IoplView,
    port: u16,
    width: u8,
    mut read_kernel: impl FnMut(u64) -> Option<u8>,
) -> Result<(), Exception> {
    if cpu.has_io_privilege(view) {
        return Ok(());
    }
    let bitmap = cpu.io_bitmap;
    if u32::from(port) + u32::from(width) > bitmap.ports {
        return Err(Exception::GENERAL_PROTECTION);
    }
    let at = bitmap.address.wrapping_add(u64::from(port >> 3));
    let low = read_kernel(at).ok_or(Exception::GENERAL_PROTECTION)?;
    let high = read_kernel(at.wrapping_add(1)).unwrap_or(0xFF);
    let denied = u32::from(u16::from_le_bytes([low, high])) >> (port & 7);
    if denied & ((1 << width) - 1) == 0 { Ok(()) } else { Err(Exception::GENERAL_PROTECTION) }
}
