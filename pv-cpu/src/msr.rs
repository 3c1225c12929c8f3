//! Which MSRs a PV kernel reads and writes, and what it gets; everything not named is refused.
//!
//! The table decides, `hv` executes: the actions that need hardware or stored state are named, never a raw index and
//! value. Source: inventory of the PV contract (MSRs for PV kernels); Intel SDM vol. 4, AMD APM vol. 2.

use crate::address::is_canonical;
use crate::cpuid::Vendor;
use crate::vcpu::CpuidFaulting;

/// What the table depends on besides the index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsrPolicy {
    /// Maker of the CPU.
    pub vendor: Vendor,
    /// Family of the CPU, extended family added.
    pub family: u32,
    /// Whose vCPU it is.
    pub role: Role,
    /// What MSRs nobody planned for do.
    pub unknown: UnknownMsr,
    /// What the PAT reads as.
    pub page_attributes: u64,
    /// Features that bring MSRs with them.
    pub features: MsrFeatures,
    /// ARCH_CAPABILITIES as the guest sees it, if it has it.
    pub architecture_capabilities: Option<u64>,
}

/// The PAT value that PV guests of Xen see.
pub const XEN_PAT: u64 = 0x0000_0501_0007_0406;
/// The PAT value with Qubes' order of memory types, which is Linux's.
pub const LINUX_PAT: u64 = 0x0407_0506_0007_0106;

/// Whose vCPU asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The domain that owns the machine's devices.
    HardwareDomain,
    /// Any other.
    Guest,
}

/// What MSRs outside the table do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnknownMsr {
    /// #GP.
    Refused,
    /// The domain's msr_relaxed option: read 0 and ignore writes if the hardware has the MSR.
    Relaxed,
}

bitflags::bitflags! {
    /// Features of the guest's CPUID policy that bring MSRs with them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct MsrFeatures: u32 {
        /// SPEC_CTRL and PRED_CMD (Intel's enumeration).
        const IBRSB = 1 << 0;
        /// PRED_CMD (AMD's enumeration).
        const IBPB = 1 << 1;
        /// SSBD in SPEC_CTRL.
        const SSBD = 1 << 2;
        /// FLUSH_CMD.
        const L1D_FLUSH = 1 << 3;
        /// TSC_AUX.
        const TSC_AUX = 1 << 4;
        /// AMD's debug address masks.
        const DEBUG_MASKS = 1 << 5;
        /// The host can make CPUID fault.
        const CPUID_FAULTING = 1 << 6;
    }
}

/// How to answer a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadAction {
    /// This value.
    Value(u64),
    /// The hardware's MSR of the same index, `(value & keep) | set`; refused if reading it faults.
    Host {
        /// Bits of the hardware's value.
        keep: u64,
        /// Bits that read as one.
        set: u64,
    },
    /// The guest's TSC.
    TimeStamp,
    /// FS base in the CPU.
    FsBase,
    /// GS base in the CPU.
    GsBase,
    /// GS base of the mode that does not run.
    OtherGsBase,
    /// The guest's TSC_AUX.
    TimeStampAux,
    /// The guest's SPEC_CTRL.
    SpeculationControl,
    /// The vCPU's CPUID faulting bit.
    FeatureEnables,
    /// The virtual machine-check banks, [`crate::machine_check`].
    MachineCheck,
    /// Debug address mask of breakpoint 0 to 3.
    DebugMask(u8),
    /// 0 if the hardware has the MSR, else refused.
    ZeroIfPresent,
    /// #GP.
    Refused,
}

/// How to carry out a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteAction {
    /// Nothing.
    Ignore,
    /// FS base in the CPU; the address is canonical.
    FsBase(u64),
    /// GS base in the CPU; the address is canonical.
    GsBase(u64),
    /// GS base of the mode that does not run; the address is canonical.
    OtherGsBase(u64),
    /// The guest's TSC_AUX.
    TimeStampAux(u32),
    /// The guest's SPEC_CTRL; only valid bits.
    SpeculationControl(u64),
    /// PRED_CMD; only valid bits.
    PredictionCommand(u64),
    /// FLUSH_CMD; only valid bits.
    FlushCommand(u64),
    /// The vCPU's CPUID faulting.
    FeatureEnables(CpuidFaulting),
    /// Accept if the value equals what a read gives, else refuse.
    MustEqualRead,
    /// Write the hypercall page to the frame at this guest-physical address.
    HypercallPage(u64),
    /// The virtual machine-check banks, [`crate::machine_check`].
    MachineCheck,
    /// Debug address mask of breakpoint 0 to 3.
    DebugMask(u8, u32),
    /// Ignored if the hardware has the MSR, else refused.
    IgnoreIfPresent,
    /// #GP.
    Refused,
}

const EFER_KNOWN: u64 = 1 | 1 << 8 | 1 << 10 | 1 << 11 | 1 << 14;
const APIC_BASE: u64 = 0xFEE0_0000 | 1 << 11;
const APIC_BASE_BOOT_CPU: u64 = 1 << 8;
const MISC_PERF_AVAILABLE: u64 = 1 << 7;
const MISC_MONITOR: u64 = 1 << 18;
const MISC_UNAVAILABLE: u64 = 1 << 11 | 1 << 12 | 1 << 23;
const PLATFORM_CPUID_FAULTING: u64 = 1 << 31;
/// AMD's NB_CFG, which is answered on any CPU.
const NORTHBRIDGE: u32 = 0xC001_001F;
const HYPERVISOR_RANGE: core::ops::RangeInclusive<u32> = 0x4000_0000..=0x4000_00FF;

impl MsrPolicy {
    const fn is_intel(&self) -> bool {
        matches!(self.vendor, Vendor::Intel)
    }

    const fn is_amd(&self) -> bool {
        matches!(self.vendor, Vendor::Amd | Vendor::Hygon)
    }

    const fn is_hardware_domain(&self) -> bool {
        matches!(self.role, Role::HardwareDomain)
    }

    const fn has(&self, feature: MsrFeatures) -> bool {
        self.features.contains(feature)
    }

    /// Performance counters and their selectors: without a virtual PMU they read 0 and ignore writes.
    const fn is_counter(&self, index: u32) -> bool {
        if self.is_amd() {
            return matches!(index, 0xC001_0000..=0xC001_0007 | 0xC001_0200..=0xC001_020B);
        }
        self.is_intel() && matches!(index, 0xC1..=0xC8 | 0x186..=0x189 | 0x309..=0x30B | 0x38D..=0x390)
    }

    /// AMD's MSR for the MMIO configuration window is only known for families 10h to 17h.
    const fn has_configuration_window(&self) -> bool {
        self.family >= 0x10 && self.family <= 0x17
    }

    const fn unknown_read(&self) -> ReadAction {
        match self.unknown {
            UnknownMsr::Refused => ReadAction::Refused,
            UnknownMsr::Relaxed => ReadAction::ZeroIfPresent,
        }
    }

    const fn unknown_write(&self) -> WriteAction {
        match self.unknown {
            UnknownMsr::Refused => WriteAction::Refused,
            UnknownMsr::Relaxed => WriteAction::IgnoreIfPresent,
        }
    }

    /// How a read of MSR `index` by the kernel of vCPU `vcpu_id` is answered.
    pub fn read(&self, index: u32, vcpu_id: u32) -> ReadAction {
        use ReadAction::{Host, Refused, Value};
        let value_if = |condition, value| if condition { Value(value) } else { Refused };
        match index {
            0 | 1 | 0x345 | NORTHBRIDGE => Value(0),
            0x10 => ReadAction::TimeStamp,
            0x17 if self.is_intel() => Host { keep: !0, set: 0 },
            0x8B if self.is_intel() || self.is_amd() => Host { keep: !0, set: 0 },
            0x1B => Value(APIC_BASE | if vcpu_id == 0 { APIC_BASE_BOOT_CPU } else { 0 }),
            0x3A => value_if(self.is_intel(), 1),
            0x48 if self.has(MsrFeatures::IBRSB) => ReadAction::SpeculationControl,
            0xCE => Value(if self.has(MsrFeatures::CPUID_FAULTING) { PLATFORM_CPUID_FAULTING } else { 0 }),
            0x10A => self.architecture_capabilities.map_or(Refused, Value),
            0x140 => ReadAction::FeatureEnables,
            0x179..=0x17B | 0x280..=0x29F | 0x400..=0x47F => ReadAction::MachineCheck,
            _ if self.is_counter(index) => Value(0),
            0x198 | 0x199 | 0x19C => value_if(self.is_intel(), 0),
            0x1A0 => Host { keep: !(MISC_PERF_AVAILABLE | MISC_MONITOR), set: MISC_UNAVAILABLE },
            0x277 => Value(self.page_attributes),
            0x4000_0000 => Value(0),
            _ if HYPERVISOR_RANGE.contains(&index) => Refused,
            0xC000_0080..=0xC000_0103 => self.read_long_mode(index),
            0xC001_0000..=0xC001_FFFF => self.read_amd(index),
            0x48 | 0x49 | 0x10B | 0x17 | 0x8B | 0xE7 | 0xE8 | 0x174..=0x176 | 0x19A | 0x1B0 | 0x4D0 => Refused,
            _ => self.unknown_read(),
        }
    }

    fn read_long_mode(&self, index: u32) -> ReadAction {
        match index {
            0xC000_0080 => ReadAction::Host { keep: EFER_KNOWN, set: 0 },
            0xC000_0100 => ReadAction::FsBase,
            0xC000_0101 => ReadAction::GsBase,
            0xC000_0102 => ReadAction::OtherGsBase,
            0xC000_0103 if self.has(MsrFeatures::TSC_AUX) => ReadAction::TimeStampAux,
            0xC000_0081..=0xC000_0084 | 0xC000_0103 => ReadAction::Refused,
            _ => self.unknown_read(),
        }
    }

    fn read_amd(&self, index: u32) -> ReadAction {
        if !self.is_amd() {
            return self.unknown_read();
        }
        match index {
            0xC001_0010 | 0xC001_0016..=0xC001_001A | 0xC001_001D | 0xC001_0112 | 0xC001_0113
                if self.is_hardware_domain() =>
            {
                ReadAction::Host { keep: !0, set: 0 }
            }
            0xC001_0015 => ReadAction::Value(0),
            0xC001_0058 if self.has_configuration_window() => ReadAction::Value(0),
            0xC001_0041 | 0xC001_0042 | 0xC001_0061..=0xC001_006B => ReadAction::Value(0),
            0xC001_1029 => ReadAction::Value(2),
            _ => match self.debug_mask(index) {
                Some(breakpoint) => ReadAction::DebugMask(breakpoint),
                None => self.unknown_read(),
            },
        }
    }

    const fn debug_mask(&self, index: u32) -> Option<u8> {
        match index {
            _ if !self.has(MsrFeatures::DEBUG_MASKS) => None,
            0xC001_1027 => Some(0),
            0xC001_1019..=0xC001_101B => Some((index - 0xC001_1018) as u8),
            _ => None,
        }
    }

    /// How a write of `value` to MSR `index` by a guest kernel is carried out.
    pub fn write(&self, index: u32, value: u64) -> WriteAction {
        use WriteAction::{Ignore, Refused};
        let only = |condition, action| if condition { action } else { Refused };
        match index {
            0xC000_0080..=0xC000_0103 => self.write_long_mode(index, value),
            0x8B => only(self.is_intel() && value == 0, Ignore),
            0x48 => only(
                self.has(MsrFeatures::IBRSB) && value & !self.speculation_bits() == 0,
                WriteAction::SpeculationControl(value),
            ),
            0x49 => only(
                self.features.intersects(MsrFeatures::IBRSB.union(MsrFeatures::IBPB)) && value & !1 == 0,
                WriteAction::PredictionCommand(value),
            ),
            0x10B => only(self.has(MsrFeatures::L1D_FLUSH) && value & !1 == 0, WriteAction::FlushCommand(value)),
            0x140 => self.write_feature_enables(value),
            0x179..=0x17B | 0x280..=0x29F | 0x400..=0x47F => WriteAction::MachineCheck,
            _ if self.is_counter(index) => Ignore,
            0xE7 | 0xE8 | NORTHBRIDGE => Ignore,
            0x199 | 0x19A | 0x1B0 => only(self.is_intel(), Ignore),
            0x1A0 => Ignore,
            0x4000_0000 => only(value & 0xFFF == 0, WriteAction::HypercallPage(value)),
            _ if HYPERVISOR_RANGE.contains(&index) => Refused,
            0xC001_0000..=0xC001_FFFF => self.write_amd(index, value),
            0
            | 1
            | 0x4D0
            | 0x10
            | 0x17
            | 0x1B
            | 0x3A
            | 0xCE
            | 0x10A
            | 0x174..=0x176
            | 0x198
            | 0x19C
            | 0x277
            | 0x345 => Refused,
            _ => self.unknown_write(),
        }
    }

    const fn speculation_bits(&self) -> u64 {
        if self.has(MsrFeatures::SSBD) { 7 } else { 3 }
    }

    const fn write_feature_enables(&self, value: u64) -> WriteAction {
        match (value, self.has(MsrFeatures::CPUID_FAULTING)) {
            (0, _) => WriteAction::FeatureEnables(CpuidFaulting::Off),
            (1, true) => WriteAction::FeatureEnables(CpuidFaulting::On),
            _ => WriteAction::Refused,
        }
    }

    const fn write_long_mode(&self, index: u32, value: u64) -> WriteAction {
        match index {
            0xC000_0080 => WriteAction::MustEqualRead,
            0xC000_0100 if is_canonical(value) => WriteAction::FsBase(value),
            0xC000_0101 if is_canonical(value) => WriteAction::GsBase(value),
            0xC000_0102 if is_canonical(value) => WriteAction::OtherGsBase(value),
            0xC000_0103 if self.has(MsrFeatures::TSC_AUX) && value >> 32 == 0 => {
                WriteAction::TimeStampAux(value as u32)
            }
            0xC000_0081..=0xC000_0084 | 0xC000_0100..=0xC000_0103 => WriteAction::Refused,
            _ => self.unknown_write(),
        }
    }

    const fn write_amd(&self, index: u32, value: u64) -> WriteAction {
        if !self.is_amd() {
            return self.unknown_write();
        }
        match index {
            0xC001_0015 | 0xC001_1029 => WriteAction::Ignore,
            0xC001_0058 if self.has_configuration_window() => WriteAction::Ignore,
            0xC001_0041 | 0xC001_0042 | 0xC001_0061..=0xC001_006B => WriteAction::Ignore,
            0xC001_0010 | 0xC001_0016..=0xC001_001A | 0xC001_001D | 0xC001_0111..=0xC001_0113 => WriteAction::Refused,
            _ => match self.debug_mask(index) {
                Some(_) if value >> 32 != 0 => WriteAction::Refused,
                Some(breakpoint) => WriteAction::DebugMask(breakpoint, value as u32),
                None => self.unknown_write(),
            },
        }
    }
}
