//! What a domain may do with the machine: ports, memory-mapped devices, physical interrupts, control of others.
//!
//! Default deny. The hardware domain gets everything but what the hypervisor drives itself. Fixed when the domain is
//! made, except for read-only pages, which grow as MSI-X tables are set up. Source: reference inventory §4.5.

use alloc::vec::Vec;

use abi::Mfn;
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
        }
    }

    /// Whether the domain has any right to devices.
    #[inline]
    pub fn has_io(&self) -> bool {
        self.extent == Extent::Hardware
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
        if self.extent == Extent::Nothing
            || frame.0 >= end_of_machine()
            || OWN_FRAMES.contains(&frame.0)
            || self.hidden_frames.lock().contains(frame.0)
        {
            return IoAccess::Denied;
        }
        if self.read_only_frames.lock().contains(frame.0) { IoAccess::ReadOnly } else { IoAccess::ReadWrite }
    }

    /// Whether the domain may reach `count` ports from `first` directly.
    pub fn may_use_ports(&self, first: u16, count: u16) -> bool {
        let end = u32::from(first) + u32::from(count);
        self.extent == Extent::Hardware
            && end <= 0x1_0000
            && !OWN_PORTS.iter().any(|own| u32::from(first) < own.end && own.start < end)
            && !(first..=(end - 1) as u16).any(|port| self.hidden_ports.lock().contains(u64::from(port)))
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
