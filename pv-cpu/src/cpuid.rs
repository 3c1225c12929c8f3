//! CPUID as a PV guest sees it: a policy made once from the host's leaves, and a few bits that depend on the moment.
//!
//! Default deny: a leaf or bit that is not taken over here reads as zero. The quirks for the hardware domain's kernel
//! (MONITOR, EIST, MTRR) are what its ACPI and MTRR code has come to rely on. A query is a table look-up.
//! Source: inventory of the PV contract; Xen public headers `arch-x86/cpufeatureset.h`, `arch-x86/cpuid.h`;
//! Intel SDM vol. 2 CPUID, AMD APM vol. 3 appendix E.

use crate::control::cr4;
use crate::features::{
    self, EXTENDED21_EAX_PV, EXTENDED21_ECX_PV, FeatureLeaves, extended1_edx, leaf1_ecx, leaf1_edx, leaf7_ebx,
    leaf7_edx,
};
use crate::msr::{MsrFeatures, MsrPolicy, Role, UnknownMsr, XEN_PAT};
use crate::privileged::CpuidPath;
use crate::trap_table::Mode;
use crate::xen_leaves::{XenLeaves, is_xen_leaf};
use crate::xstate::{self, ExtendedState};

/// The four registers of a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Leaf {
    /// eax.
    pub eax: u32,
    /// ebx.
    pub ebx: u32,
    /// ecx.
    pub ecx: u32,
    /// edx.
    pub edx: u32,
}

impl Leaf {
    /// In register order eax, ebx, ecx, edx.
    pub const fn registers(self) -> [u32; 4] {
        [self.eax, self.ebx, self.ecx, self.edx]
    }
}

/// Maker of the CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vendor {
    /// Intel.
    Intel,
    /// AMD.
    Amd,
    /// Hygon, whose CPUs are AMD's.
    Hygon,
    /// Somebody else; treated as neither.
    Other,
}

impl Vendor {
    /// By the name in leaf 0.
    pub const fn from_leaf(leaf: Leaf) -> Self {
        match (leaf.ebx, leaf.edx, leaf.ecx) {
            (0x756E_6547, 0x4965_6E69, 0x6C65_746E) => Vendor::Intel,
            (0x6874_7541, 0x6974_6E65, 0x444D_4163) => Vendor::Amd,
            (0x6F67_7948, 0x6E65_476E, 0x656E_6975) => Vendor::Hygon,
            _ => Vendor::Other,
        }
    }

    pub(crate) const fn is_amd(self) -> bool {
        matches!(self, Vendor::Amd | Vendor::Hygon)
    }
}

/// Highest basic leaf offered.
pub(crate) const BASIC_MAX: u32 = 0xD;
/// Highest extended leaf offered on AMD CPUs.
pub(crate) const EXTENDED_MAX_AMD: u32 = 0x8000_0021;
/// Highest extended leaf offered on others.
const EXTENDED_MAX: u32 = 0x8000_0008;
/// Width of linear addresses, whatever the host could do with five levels of tables.
const LINEAR_ADDRESS_BITS: u32 = 48;
/// Cache descriptions taken over.
pub(crate) const CACHES: usize = 6;

/// What decides about the bits that change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Which half of the guest asks.
    pub mode: Mode,
    /// How the question came.
    pub path: CpuidPath,
    /// The guest's CR4.
    pub cr4: u64,
    /// Its XCR0.
    pub xcr0: u64,
}

/// What a domain's vCPUs see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CpuidPolicy {
    pub(crate) vendor: Vendor,
    pub(crate) role: Role,
    pub(crate) basic: [Leaf; BASIC_MAX as usize + 1],
    pub(crate) caches: [Leaf; CACHES],
    pub(crate) features: [Leaf; 3],
    pub(crate) extended: [Leaf; (EXTENDED_MAX_AMD & 0xFF) as usize + 1],
    pub(crate) state: ExtendedState,
    /// Leaf 0xD subleaf 1 eax.
    pub(crate) state_features: u32,
    host_leaf1: Leaf,
    host_monitor: Leaf,
}

impl CpuidPolicy {
    /// Makes the policy of a domain from the host's raw leaves: `host(leaf, subleaf)`.
    pub fn new(role: Role, mut host: impl FnMut(u32, u32) -> Leaf) -> Self {
        let leaf0 = host(0, 0);
        let extended0 = host(0x8000_0000, 0);
        let vendor = Vendor::from_leaf(leaf0);
        let basic_max = leaf0.eax.min(BASIC_MAX);
        let limit = if vendor.is_amd() { EXTENDED_MAX_AMD } else { EXTENDED_MAX };
        let extended_max = if extended0.eax >> 16 == 0x8000 { extended0.eax.min(limit) } else { 0 };
        let mut checked = |leaf: u32, subleaf| {
            let max = if leaf >> 31 == 0 { basic_max } else { extended_max };
            if leaf <= max { host(leaf, subleaf) } else { Leaf::default() }
        };
        let host_leaf1 = checked(1, 0);
        let raw = FeatureLeaves {
            leaf1: host_leaf1,
            leaf7: [0, 1, 2].map(|subleaf| checked(7, subleaf)),
            leaf_d1: checked(0xD, 1).eax,
            extended1: checked(0x8000_0001, 0),
            extended8_ebx: checked(0x8000_0008, 0).ebx,
        };
        let feature_max = raw.leaf7[0].eax.min(2);
        let mut seen = raw.restrict(vendor);
        seen.leaf7[0].eax = feature_max;
        if role == Role::HardwareDomain {
            seen.leaf7[0].edx |= raw.leaf7[0].edx & leaf7_edx::ARCH_CAPS;
        }
        let mut policy = Self {
            vendor,
            role,
            basic: [Leaf::default(); BASIC_MAX as usize + 1],
            caches: [Leaf::default(); CACHES],
            features: seen.leaf7,
            extended: [Leaf::default(); (EXTENDED_MAX_AMD & 0xFF) as usize + 1],
            state: ExtendedState::new(offered_state(&raw, &seen, &mut checked), |part| checked(0xD, part)),
            state_features: seen.leaf_d1,
            host_leaf1,
            host_monitor: checked(5, 0),
        };
        policy.basic[0] = Leaf { eax: basic_max, ..leaf0 };
        policy.basic[1] = Leaf { ebx: seen.leaf1.ebx & 0x00FF_FFFF, ..seen.leaf1 };
        policy.take_caches(&mut checked);
        policy.take_extended(Leaf { eax: extended_max, ..leaf0 }, &seen, &mut checked);
        policy
    }

    /// Descriptions of caches and TLBs that Intel CPUs have in basic leaves.
    fn take_caches(&mut self, host: &mut impl FnMut(u32, u32) -> Leaf) {
        if self.vendor.is_amd() {
            return;
        }
        let descriptors = host(2, 0);
        self.basic[2] = Leaf { eax: descriptors.eax & !0xFF | 1, ..descriptors };
        for (subleaf, cache) in (0..).zip(&mut self.caches) {
            *cache = host(4, subleaf);
            if cache.eax & 0x1F == 0 {
                break;
            }
        }
    }

    fn take_extended(&mut self, leaf0: Leaf, seen: &FeatureLeaves, host: &mut impl FnMut(u32, u32) -> Leaf) {
        let is_amd = self.vendor.is_amd();
        let itsc = if self.role == Role::HardwareDomain { features::INVARIANT_TSC } else { 0 };
        let max = leaf0.eax;
        for (index, leaf) in (0..).zip(&mut self.extended) {
            let number = 0x8000_0000 + index;
            if number > max {
                break;
            }
            let raw = host(number, 0);
            *leaf = match index {
                0 if is_amd => leaf0,
                0 => Leaf { eax: max, ..Leaf::default() },
                1 if is_amd => Leaf { eax: raw.eax, ebx: raw.ebx & 0xFF00_FFFF, ..seen.extended1 },
                1 => Leaf { eax: 0, ebx: 0, ..seen.extended1 },
                2..=4 => raw,
                5 | 6 if is_amd => raw,
                6 => Leaf { ecx: raw.ecx, ..Leaf::default() },
                7 => Leaf { edx: raw.edx & itsc, ..Leaf::default() },
                8 => Leaf {
                    eax: raw.eax & 0xFF | LINEAR_ADDRESS_BITS << 8,
                    ebx: seen.extended8_ebx,
                    ecx: if is_amd { raw.ecx & 0x0003_F0FF } else { 0 },
                    edx: 0,
                },
                0x19 | 0x1A => raw,
                0x21 => Leaf { eax: raw.eax & EXTENDED21_EAX_PV, ecx: raw.ecx & EXTENDED21_ECX_PV, ..Leaf::default() },
                _ => Leaf::default(),
            };
        }
    }

    /// The answer to a guest's CPUID. Arguments: leaf (eax), subleaf (ecx), the moment, the leaves of Xen's own.
    #[inline]
    pub fn query(&self, leaf: u32, subleaf: u32, moment: &Moment, xen: &impl XenLeaves) -> Leaf {
        match leaf {
            1 => self.leaf1(moment),
            4 => self.caches.get(subleaf as usize).copied().unwrap_or_default(),
            5 if self.leaks_monitor(moment) => self.host_monitor,
            7 => self.features.get(subleaf as usize).copied().unwrap_or_default(),
            0xD => self.extended_state(subleaf, moment),
            0..=BASIC_MAX => self.basic.get(leaf as usize).copied().unwrap_or_default(),
            0x8000_0001 => self.extended1(moment),
            0x8000_0000..=EXTENDED_MAX_AMD => self.extended.get((leaf & 0xFF) as usize).copied().unwrap_or_default(),
            _ if is_xen_leaf(leaf) => xen.leaf(leaf, subleaf),
            _ => Leaf::default(),
        }
    }

    fn is_privileged_kernel(&self, moment: &Moment) -> bool {
        self.role == Role::HardwareDomain && moment.mode == Mode::Kernel
    }

    /// The hardware domain's kernel asks without the prefix for what it tells its ACPI firmware.
    fn leaks_monitor(&self, moment: &Moment) -> bool {
        self.is_privileged_kernel(moment)
            && moment.path == CpuidPath::Faulted
            && self.host_leaf1.ecx & leaf1_ecx::MONITOR != 0
    }

    fn leaf1(&self, moment: &Moment) -> Leaf {
        let mut leaf = self.basic[1];
        let forced_kernel = moment.mode == Mode::Kernel && moment.path == CpuidPath::Forced;
        if moment.cr4 & cr4::OSXSAVE != 0 || forced_kernel && leaf.ecx & leaf1_ecx::XSAVE != 0 {
            leaf.ecx |= leaf1_ecx::OSXSAVE;
        }
        if self.is_privileged_kernel(moment) {
            leaf.ecx |= self.host_leaf1.ecx & leaf1_ecx::EIST;
            leaf.edx |= self.host_leaf1.edx & leaf1_edx::MTRR;
            if self.leaks_monitor(moment) {
                leaf.ecx |= leaf1_ecx::MONITOR;
            }
        }
        leaf
    }

    fn extended1(&self, moment: &Moment) -> Leaf {
        let mut leaf = self.extended[1];
        if self.is_privileged_kernel(moment) {
            leaf.edx |= self.host_leaf1.edx & leaf1_edx::MTRR;
        }
        leaf
    }

    fn extended_state(&self, subleaf: u32, moment: &Moment) -> Leaf {
        let offered = self.state.offered();
        if offered == 0 {
            return Leaf::default();
        }
        match subleaf {
            0 => Leaf {
                eax: offered as u32,
                ebx: self.state.standard_size(moment.xcr0),
                ecx: self.state.standard_size(offered),
                edx: (offered >> 32) as u32,
            },
            1 => {
                let compact = self.state_features & features::XSAVEC != 0;
                let ebx = if compact { self.state.compacted_size(moment.xcr0) } else { 0 };
                Leaf { eax: self.state_features, ebx, ..Leaf::default() }
            }
            _ => self.state.component_leaf(subleaf),
        }
    }

    /// The extended state the domain may enable.
    pub const fn extended_states(&self) -> &ExtendedState {
        &self.state
    }

    /// Width of physical addresses.
    pub const fn physical_address_bits(&self) -> u8 {
        self.extended[8].eax as u8
    }

    /// Maker of the CPU.
    pub const fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// Family of the CPU, extended family added.
    pub const fn family(&self) -> u32 {
        let signature = self.host_leaf1.eax;
        let base = signature >> 8 & 0xF;
        if base == 0xF { base + (signature >> 20 & 0xFF) } else { base }
    }

    /// The MSR policy that goes with it, with Xen's PAT and refusing the unknown.
    pub fn msr_policy(&self) -> MsrPolicy {
        MsrPolicy {
            vendor: self.vendor,
            family: self.family(),
            role: self.role,
            unknown: UnknownMsr::Refused,
            page_attributes: XEN_PAT,
            features: self.msr_features(),
            architecture_capabilities: None,
        }
    }

    /// Bits of [`cr4::GUEST_CHOICE`] whose features the policy has.
    pub const fn cr4_choice(&self) -> u64 {
        let Leaf { ecx, edx, .. } = self.basic[1];
        let mut choice = 0;
        if edx & leaf1_edx::TSC != 0 {
            choice |= cr4::TIME_STAMP_DISABLE;
        }
        if edx & leaf1_edx::DE != 0 {
            choice |= cr4::DEBUG_EXTENSIONS;
        }
        if self.features[0].ebx & leaf7_ebx::FSGSBASE != 0 {
            choice |= cr4::FSGSBASE;
        }
        if ecx & leaf1_ecx::XSAVE != 0 {
            choice |= cr4::OSXSAVE;
        }
        choice
    }

    /// Features that bring MSRs with them.
    pub fn msr_features(&self) -> MsrFeatures {
        let mut found = MsrFeatures::empty();
        let speculation = self.features[0].edx;
        found.set(MsrFeatures::IBRSB, speculation & leaf7_edx::IBRSB != 0);
        found.set(MsrFeatures::SSBD, speculation & leaf7_edx::SSBD != 0);
        found.set(MsrFeatures::IBPB, self.extended[8].ebx & features::IBPB != 0);
        found.set(MsrFeatures::TSC_AUX, self.extended[1].edx & extended1_edx::RDTSCP != 0);
        found
    }
}

/// XCR0 bits the guest may set: those whose features it sees and whose state the host has.
fn offered_state(raw: &FeatureLeaves, seen: &FeatureLeaves, host: &mut impl FnMut(u32, u32) -> Leaf) -> u64 {
    if seen.leaf1.ecx & leaf1_ecx::XSAVE == 0 || raw.leaf1.ecx & leaf1_ecx::XSAVE == 0 {
        return 0;
    }
    let mut offered = xstate::X87 | xstate::SSE;
    if seen.leaf1.ecx & leaf1_ecx::AVX != 0 {
        offered |= xstate::AVX;
    }
    if seen.leaf7[0].ebx & leaf7_ebx::AVX512F != 0 {
        offered |= xstate::AVX512;
    }
    let supported = host(0xD, 0);
    offered & (u64::from(supported.eax) | u64::from(supported.edx) << 32)
}
