//! The CPUID leaves that say "Xen", for PV guests.
//!
//! Source: Xen public header `arch-x86/cpuid.h`; inventory of the PV contract.

use abi::cpuid::{FEATURE_PRESERVE_AD, FIRST_LEAF, MAX_NUM_LEAVES, SIGNATURE_EBX, SIGNATURE_ECX, SIGNATURE_EDX};

use crate::cpuid::Leaf;

/// Leaves reserved for hypervisors' first interface.
pub const fn is_xen_leaf(leaf: u32) -> bool {
    leaf >> 8 == FIRST_LEAF >> 8
}

/// First MSR of the hypervisor interface.
const FIRST_MSR: u32 = 0x4000_0000;

/// The guest's clock, as leaf 3 tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimeStampFacts {
    /// Bit 0: RDTSC is emulated; bit 1: the host's TSC is reliable; bit 2: RDTSCP is there.
    pub flags: u32,
    /// 0 emulate if necessary, 1 emulate, 2 never emulate, 3 never and with TSC_AUX.
    pub mode: u32,
    /// Frequency of the guest's TSC.
    pub kilohertz: u32,
    /// Migrations so far.
    pub incarnation: u32,
    /// Guest TSC minus host TSC.
    pub offset: u64,
    /// Multiplier from ticks to nanoseconds, a fraction of 2^32.
    pub multiplier: u32,
    /// Shift before the multiplication.
    pub shift: i8,
    /// Frequency of the host's TSC.
    pub host_kilohertz: u32,
}

/// Where the leaves' values come from.
pub trait XenLeaves {
    /// Version that guests are told: major in bits 31:16, minor in 15:0.
    fn version(&self) -> u32;
    /// The clock.
    fn time_stamp(&self) -> TimeStampFacts;
    /// Width in bits of the largest machine address.
    fn machine_address_width(&self) -> u32;

    /// Leaf `leaf`, subleaf `subleaf`; zeros beyond the last.
    fn leaf(&self, leaf: u32, subleaf: u32) -> Leaf {
        match (leaf.wrapping_sub(FIRST_LEAF), subleaf) {
            (0, _) => {
                Leaf { eax: FIRST_LEAF + MAX_NUM_LEAVES, ebx: SIGNATURE_EBX, ecx: SIGNATURE_ECX, edx: SIGNATURE_EDX }
            }
            (1, _) => Leaf { eax: self.version(), ..Leaf::default() },
            (2, _) => Leaf { eax: 1, ebx: FIRST_MSR, ecx: FEATURE_PRESERVE_AD, edx: 0 },
            (3, 0) => {
                let facts = self.time_stamp();
                Leaf { eax: facts.flags, ebx: facts.mode, ecx: facts.kilohertz, edx: facts.incarnation }
            }
            (3, 1) => {
                let facts = self.time_stamp();
                Leaf {
                    eax: facts.offset as u32,
                    ebx: (facts.offset >> 32) as u32,
                    ecx: facts.multiplier,
                    edx: i32::from(facts.shift) as u32,
                }
            }
            (3, 2) => Leaf { eax: self.time_stamp().host_kilohertz, ..Leaf::default() },
            (5, 0) => Leaf { ebx: self.machine_address_width(), ..Leaf::default() },
            _ => Leaf::default(),
        }
    }
}
