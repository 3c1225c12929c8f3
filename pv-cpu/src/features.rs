//! The CPU features a PV guest may see, word by word.
//!
//! A word is one register of one CPUID leaf. The masks are those features that the public header marks for all guests by
//! default; whatever is not named in it stays hidden. Source: Xen public header `arch-x86/cpufeatureset.h`.

use crate::cpuid::{Leaf, Vendor};

/// Features in CPUID leaf 1 edx.
pub mod leaf1_edx {
    /// Memory type range registers.
    pub const MTRR: u32 = 1 << 12;
    /// SYSENTER.
    pub const SEP: u32 = 1 << 11;
    /// Hyper-threading: leaf 1 ebx counts logical processors.
    pub const HTT: u32 = 1 << 28;
    /// Seen by all guests, if the host has them.
    pub const PV: u32 = 0x1FC9_CBF5;
    /// Those that AMD repeats in leaf 0x80000001 edx.
    pub const AMD_COMMON: u32 = 0x0183_F3FF;
    /// Time stamp counter.
    pub const TSC: u32 = 1 << 4;
    /// Debugging extensions.
    pub const DE: u32 = 1 << 2;
}

/// Features in CPUID leaf 1 ecx.
pub mod leaf1_ecx {
    /// MONITOR and MWAIT.
    pub const MONITOR: u32 = 1 << 3;
    /// Enhanced SpeedStep.
    pub const EIST: u32 = 1 << 7;
    /// Fused multiply-add.
    pub const FMA: u32 = 1 << 12;
    /// XSAVE and its kin.
    pub const XSAVE: u32 = 1 << 26;
    /// The system has XSAVE on.
    pub const OSXSAVE: u32 = 1 << 27;
    /// Vector extensions.
    pub const AVX: u32 = 1 << 28;
    /// Half-precision conversion.
    pub const F16C: u32 = 1 << 29;
    /// There is a hypervisor.
    pub const HYPERVISOR: u32 = 1 << 31;
    /// Seen by all guests, if the host has them.
    pub const PV: u32 = 0xF6D8_3203 & !HYPERVISOR & !X2APIC;
    /// x2APIC: an HVM matter, though the header's mask has the bit next to those above.
    pub const X2APIC: u32 = 1 << 21;
}

/// Features in CPUID leaf 7 subleaf 0 ebx.
pub mod leaf7_ebx {
    /// RDFSBASE and its kin.
    pub const FSGSBASE: u32 = 1 << 0;
    /// Wider integer vectors.
    pub const AVX2: u32 = 1 << 5;
    /// Writes a cache line back without evicting it.
    pub const CLWB: u32 = 1 << 24;
    /// The first of the 512-bit vector features.
    pub const AVX512F: u32 = 1 << 16;
    /// All 512-bit vector features of the word.
    pub const AVX512: u32 = 1 << 16 | 1 << 17 | 1 << 21 | 1 << 26 | 1 << 27 | 1 << 28 | 1 << 30 | 1 << 31;
    /// Seen by all guests; bits 6 and 13 describe the FPU and are always the host's.
    pub const PV: u32 = 0xFDAF_0B29 | 1 << 6 | 1 << 13;
}

/// Family and model in leaf 1 eax.
const SIGNATURE_MODEL: u32 = 0x0FFF_0FF0;
/// Intel's server Skylake and its descendants, family 6 model 0x55.
const SKYLAKE_SERVER: u32 = 0x0005_0650;

/// Features in CPUID leaf 7 subleaf 0 ecx.
pub mod leaf7_ecx {
    /// Seen by all guests.
    pub const PV: u32 = 0x0240_5F43;
    /// Those that need AVX.
    pub const AVX: u32 = 1 << 9 | 1 << 10;
    /// Those that need 512-bit vectors.
    pub const AVX512: u32 = 1 << 1 | 1 << 6 | 1 << 11 | 1 << 12 | 1 << 14;
}

/// Features in CPUID leaf 7 subleaf 0 edx.
pub mod leaf7_edx {
    /// IBRS and IBPB, Intel's enumeration.
    pub const IBRSB: u32 = 1 << 26;
    /// STIBP.
    pub const STIBP: u32 = 1 << 27;
    /// MSR ARCH_CAPABILITIES.
    pub const ARCH_CAPS: u32 = 1 << 29;
    /// SSBD.
    pub const SSBD: u32 = 1 << 31;
    /// Seen by all guests; ARCH_CAPS by the hardware domain only.
    pub const PV: u32 = 0xAC00_441C & !ARCH_CAPS;
    /// Those that need 512-bit vectors.
    pub const AVX512: u32 = 1 << 2 | 1 << 3;
}

/// Features in CPUID leaf 7 subleaf 1 eax.
pub mod leaf7_1_eax {
    /// Seen by all guests.
    pub const PV: u32 = 0x1C30;
    /// Those that need AVX.
    pub const AVX: u32 = 1 << 4;
    /// Those that need 512-bit vectors.
    pub const AVX512: u32 = 1 << 5;
}

/// Features in CPUID leaf 7 subleaf 2 edx that all guests see.
pub const LEAF7_2_EDX_PV: u32 = 0x21;
/// Features in CPUID leaf 0xD subleaf 1 eax that all guests see: XSAVEOPT, XSAVEC, XGETBV1.
pub const LEAF_D1_EAX_PV: u32 = 7;
/// Bit of leaf 0xD subleaf 1 eax: XSAVEC.
pub const XSAVEC: u32 = 1 << 1;
/// Bit of leaf 0xD subleaf 1 eax: XSAVES.
pub const XSAVES: u32 = 1 << 3;

/// Features in CPUID leaf 0x80000001 edx.
pub mod extended1_edx {
    /// RDTSCP.
    pub const RDTSCP: u32 = 1 << 27;
    /// Seen by all guests.
    pub const PV: u32 = 0xEA50_0800;
}

/// Features in CPUID leaf 0x80000001 ecx.
pub mod extended1_ecx {
    /// Logical processors are cores, not threads.
    pub const CMP_LEGACY: u32 = 1 << 1;
    /// Breakpoint address masks.
    pub const DBEXT: u32 = 1 << 26;
    /// Those that need AVX.
    pub const AVX: u32 = 1 << 11 | 1 << 16;
    /// Seen by all guests. Breakpoint masks are left out: nothing switches their MSRs.
    pub const PV: u32 = 0x0421_09E3 & !DBEXT;
}

/// Feature in CPUID leaf 0x80000007 edx: invariant TSC. For domains that stay on this machine.
pub const INVARIANT_TSC: u32 = 1 << 8;
/// Features in CPUID leaf 0x80000008 ebx that all guests see.
pub const EXTENDED8_EBX_PV: u32 = 0x6400_1005;
/// Bit of leaf 0x80000008 ebx: IBPB.
pub const IBPB: u32 = 1 << 12;
/// Features in CPUID leaf 0x80000021 eax that all guests see.
pub const EXTENDED21_EAX_PV: u32 = 0x7800_0064;
/// Features in CPUID leaf 0x80000021 ecx that all guests see.
pub const EXTENDED21_ECX_PV: u32 = 0x6;
/// Bits of MSR ARCH_CAPABILITIES that describe the CPU's behaviour; what the hardware domain sees of it.
pub const ARCHITECTURE_CAPABILITIES_PV: u64 = 0x4000_0000_1D12_E173;

/// The leaves that hold features, masked and freed of those whose precondition is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct FeatureLeaves {
    pub leaf1: Leaf,
    pub leaf7: [Leaf; 3],
    pub leaf_d1: u32,
    pub extended1: Leaf,
    pub extended8_ebx: u32,
}

impl FeatureLeaves {
    /// Cuts the host's feature leaves down to a PV guest's.
    pub(crate) fn restrict(mut self, vendor: Vendor) -> Self {
        self.leaf1.edx &= leaf1_edx::PV;
        self.leaf1.ecx = self.leaf1.ecx & leaf1_ecx::PV | leaf1_ecx::HYPERVISOR;
        let [leaf7, leaf7_1, leaf7_2] = &mut self.leaf7;
        leaf7.ebx &= leaf7_ebx::PV;
        leaf7.ecx &= leaf7_ecx::PV;
        leaf7.edx &= leaf7_edx::PV;
        *leaf7_1 = Leaf { eax: leaf7_1.eax & leaf7_1_eax::PV, ..Leaf::default() };
        *leaf7_2 = Leaf { edx: leaf7_2.edx & LEAF7_2_EDX_PV, ..Leaf::default() };
        self.leaf_d1 &= LEAF_D1_EAX_PV;
        self.extended1.edx &= extended1_edx::PV;
        self.extended1.ecx &= extended1_ecx::PV;
        self.extended8_ebx &= EXTENDED8_EBX_PV;
        if vendor == Vendor::Intel && self.leaf1.eax & SIGNATURE_MODEL == SKYLAKE_SERVER {
            // CLWB evicts on this model, and the line comes back slowly.
            self.leaf7[0].ebx &= !leaf7_ebx::CLWB;
        }
        if self.leaf7[0].edx & leaf7_edx::IBRSB != 0 {
            // Intel's bit promises both; kernels look for either name.
            self.leaf7[0].edx |= leaf7_edx::STIBP;
            self.extended8_ebx |= IBPB;
        }
        self.drop_dependents();
        if matches!(vendor, Vendor::Amd | Vendor::Hygon) {
            // These CPUs have SYSENTER in legacy mode only.
            self.leaf1.edx &= !leaf1_edx::SEP;
            self.extended1.edx |= self.leaf1.edx & leaf1_edx::AMD_COMMON;
        }
        self
    }

    /// Without XSAVE no vectors beyond SSE, without AVX none beyond 128 bits, and so on.
    fn drop_dependents(&mut self) {
        if self.leaf1.ecx & leaf1_ecx::XSAVE == 0 {
            self.leaf1.ecx &= !leaf1_ecx::AVX;
            self.leaf_d1 = 0;
        }
        let [leaf7, leaf7_1, _] = &mut self.leaf7;
        if self.leaf1.ecx & leaf1_ecx::AVX == 0 {
            self.leaf1.ecx &= !(leaf1_ecx::FMA | leaf1_ecx::F16C);
            self.extended1.ecx &= !extended1_ecx::AVX;
            leaf7.ebx &= !leaf7_ebx::AVX2;
            leaf7.ecx &= !leaf7_ecx::AVX;
            leaf7_1.eax &= !leaf7_1_eax::AVX;
        }
        if leaf7.ebx & leaf7_ebx::AVX2 == 0 {
            leaf7.ebx &= !leaf7_ebx::AVX512F;
        }
        if leaf7.ebx & leaf7_ebx::AVX512F == 0 {
            leaf7.ebx &= !leaf7_ebx::AVX512;
            leaf7.ecx &= !leaf7_ecx::AVX512;
            leaf7.edx &= !leaf7_edx::AVX512;
            leaf7_1.eax &= !leaf7_1_eax::AVX512;
        }
    }
}
