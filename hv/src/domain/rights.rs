//! What a domain may do with the machine: ports, memory-mapped devices, physical interrupts, control of others.
//!
//! Default deny. The hardware domain gets everything but what the hypervisor drives itself; others what a toolstack gives
//! them, which gives nothing that its own domain has not. Read-only pages grow as MSI-X tables are set up, and are so for
//! everybody. Source: reference inventory §4.5.

use alloc::vec::Vec;
use core::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};

use abi::{Errno, Mfn, Result};
use locks::{Level, Lock};
use pv_mmu::IoAccess;

/// Ports nobody but the hypervisor touches, half-open, for the hardware domain too.
const OWN_PORTS: [core::ops::Range<u32>; 5] = [0x20..0x22, 0xA0..0xA2, 0x40..0x44, 0x61..0x62, 0xCFC..0xD00];
/// Pages that nobody maps: local APIC, MSI window.
const OWN_FRAMES: core::ops::Range<u64> = 0xFEE00..0xFEF00;

/// How much of the machine a domain has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// Nothing.
    Nothing,
    /// All that the hypervisor does not keep.
    Hardware,
}

/// A domain's rights.
pub struct Rights {
    extent: Extent,
    /// May control other domains.
    pub is_control: bool,
    /// Page ranges that are kept back (I/O APICs), half-open.
    hidden_frames: Lock<Ranges>,
    /// Page ranges that may be read only (MMCFG, MSI-X tables), half-open.
    read_only_frames: Lock<Ranges>,
    /// Ports of devices the hypervisor found at boot (PM timer, serial line).
    hidden_ports: Lock<Ranges>,
    /// Page ranges that a toolstack has given it, half-open.
    allowed_frames: Lock<Ranges>,
    /// Ports that a toolstack has given it, half-open.
    allowed_ports: Lock<Ranges>,
    /// Whether it was given anything, ever.
    was_given: AtomicBool,
}

/// Half-open ranges, as many as the machine's devices ask for.
struct Ranges {
    ranges: Vec<(u64, u64)>,
}

impl Ranges {
    const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    fn add(&mut self, first: u64, end: u64) -> bool {
        if self.ranges.iter().any(|&(low, high)| low <= first && end <= high) {
            return true;
        }
        if self.ranges.try_reserve(1).is_err() {
            return false;
        }
        self.ranges.push((first, end));
        true
    }

    fn contains(&self, value: u64) -> bool {
        self.ranges.iter().any(|&(first, end)| (first..end).contains(&value))
    }

    /// Whether some of it is in.
    fn touches(&self, first: u64, end: u64) -> bool {
        self.ranges.iter().any(|&(low, high)| low < end && first < high)
    }

    /// Whether all of it is in; pieces may adjoin.
    fn holds(&self, first: u64, end: u64) -> bool {
        let mut from = first;
        while from < end {
            let Some(&(_, high)) = self.ranges.iter().find(|&&(low, high)| low <= from && from < high) else {
                return false;
            };
            from = high;
        }
        true
    }

    /// Takes it out, as far as it is in. Errors: `ENOMEM`, with nothing changed.
    fn remove(&mut self, first: u64, end: u64) -> Result<()> {
        // A range falls into two pieces at most, and only one range can.
        self.ranges.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let mut rest = None;
        for range in &mut self.ranges {
            let (low, high) = *range;
            if low >= end || high <= first {
                continue;
            }
            if low < first && end < high {
                rest = Some((end, high));
            }
            *range = if low < first { (low, first) } else { (end.min(high), high) };
        }
        self.ranges.extend(rest);
        self.ranges.retain(|&(low, high)| low < high);
        Ok(())
    }
}

impl Rights {
    /// Rights of that extent.
    pub const fn new(extent: Extent, is_control: bool) -> Self {
        Self {
            extent,
            is_control,
            hidden_frames: Lock::new(Level::PageTable, Ranges::new()),
            read_only_frames: Lock::new(Level::PageTable, Ranges::new()),
            hidden_ports: Lock::new(Level::PageTable, Ranges::new()),
            allowed_frames: Lock::new(Level::PageTable, Ranges::new()),
            allowed_ports: Lock::new(Level::PageTable, Ranges::new()),
            was_given: AtomicBool::new(false),
        }
    }

    /// Whether the domain drives the machine.
    #[inline]
    pub fn is_hardware(&self) -> bool {
        self.extent == Extent::Hardware
    }

    /// Whether the domain has any right to devices.
    #[inline]
    pub fn has_io(&self) -> bool {
        self.is_hardware() || self.was_given.load(Acquire)
    }

    /// Whether it has these pages, to pass on.
    pub fn may_pass_frames(&self, first: Mfn, count: u64) -> bool {
        let end = first.0.saturating_add(count);
        match self.extent {
            Extent::Nothing => self.allowed_frames.lock().holds(first.0, end),
            Extent::Hardware => {
                end <= end_of_machine()
                    && !(first.0 < OWN_FRAMES.end && OWN_FRAMES.start < end)
                    && !self.hidden_frames.lock().touches(first.0, end)
            }
        }
    }

    /// Gives it pages. Errors: `ENOMEM`.
    pub fn allow_frames(&self, first: Mfn, count: u64) -> Result<()> {
        let is_kept = self.allowed_frames.lock().add(first.0, first.0.saturating_add(count));
        self.was_given.store(true, Release);
        if is_kept { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Takes pages away; mappings that it has stay. Errors: `ENOMEM`.
    pub fn deny_frames(&self, first: Mfn, count: u64) -> Result<()> {
        self.allowed_frames.lock().remove(first.0, first.0.saturating_add(count))
    }

    /// Whether it has these ports, to pass on.
    pub fn may_pass_ports(&self, first: u16, count: u32) -> bool {
        let (first, end) = (u32::from(first), u32::from(first).saturating_add(count));
        self.has_ports(first, end)
    }

    /// Gives it ports. Errors: `ENOMEM`.
    pub fn allow_ports(&self, first: u16, count: u32) -> Result<()> {
        let is_kept = self.allowed_ports.lock().add(u64::from(first), u64::from(first) + u64::from(count));
        self.was_given.store(true, Release);
        if is_kept { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Takes ports away. Errors: `ENOMEM`.
    pub fn deny_ports(&self, first: u16, count: u32) -> Result<()> {
        self.allowed_ports.lock().remove(u64::from(first), u64::from(first) + u64::from(count))
    }

    /// Keeps a page range back.
    pub fn hide_frames(&self, first: Mfn, end: Mfn) -> bool {
        self.hidden_frames.lock().add(first.0, end.0)
    }

    /// Lets a page range be read only. False when there is no room to remember it.
    pub fn make_read_only(&self, first: Mfn, end: Mfn) -> bool {
        self.read_only_frames.lock().add(first.0, end.0)
    }

    /// Keeps ports back.
    pub fn hide_ports(&self, first: u16, count: u16) -> bool {
        self.hidden_ports.lock().add(u64::from(first), u64::from(first) + u64::from(count))
    }

    /// What the domain may do with a page that is not memory.
    pub fn memory_access(&self, frame: Mfn) -> IoAccess {
        if self.extent == Extent::Nothing {
            return self.given_access(frame);
        }
        if frame.0 >= end_of_machine() || OWN_FRAMES.contains(&frame.0) || self.hidden_frames.lock().contains(frame.0) {
            return IoAccess::Denied;
        }
        if self.read_only_frames.lock().contains(frame.0) { IoAccess::ReadOnly } else { IoAccess::ReadWrite }
    }

    /// The same, for a domain that has what it was given.
    fn given_access(&self, frame: Mfn) -> IoAccess {
        if !self.allowed_frames.lock().contains(frame.0) {
            return IoAccess::Denied;
        }
        // What the hardware domain may only read, nobody writes.
        let of_hardware = super::hardware_domain().map(|hardware| hardware.rights.memory_access(frame));
        of_hardware.filter(|access| *access == IoAccess::ReadOnly).unwrap_or(IoAccess::ReadWrite)
    }

    /// Whether the domain may reach `count` ports from `first` directly.
    pub fn may_use_ports(&self, first: u16, count: u16) -> bool {
        self.has_ports(u32::from(first), u32::from(first) + u32::from(count))
    }

    fn has_ports(&self, first: u32, end: u32) -> bool {
        let (from, to) = (u64::from(first), u64::from(end));
        match self.extent {
            Extent::Nothing => self.was_given.load(Acquire) && self.allowed_ports.lock().holds(from, to),
            Extent::Hardware => {
                end <= 0x1_0000
                    && !OWN_PORTS.iter().any(|own| first < own.end && own.start < end)
                    && !self.hidden_ports.lock().touches(from, to)
            }
        }
    }
}

/// One past the last frame that the CPU can address: an entry for more would have reserved bits set.
fn end_of_machine() -> u64 {
    static END: spin::Once<u64> = spin::Once::new();
    *END.call_once(|| {
        let bits = raw_cpuid::CpuId::new().get_processor_capacity_feature_info();
        1 << bits.map_or(36, |bits| bits.physical_address_bits()).saturating_sub(12).min(40)
    })
}

/// Whether a frame is a device page that the domain may only read.
pub fn is_read_only_device(domain: &super::Domain, frame: Mfn) -> bool {
    domain.rights.extent == Extent::Hardware && domain.rights.read_only_frames.lock().contains(frame.0)
}
