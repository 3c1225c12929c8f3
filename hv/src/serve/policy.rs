//! The two CPUID and MSR policies there are: dom0's and everybody else's. Made once, from what the boot CPU has.

use pv_cpu::{
    cpuid::{CpuidPolicy, Leaf, Vendor},
    msr::{MsrPolicy, Role, UnknownMsr, XEN_PAT},
    xen_leaves::{TimeStampFacts, XenLeaves},
};
use spin::Once;

use crate::{domain::Domain, time::clock};

/// A role's policies.
pub struct Policies {
    /// What CPUID shows.
    pub cpuid: CpuidPolicy,
    /// What MSRs do.
    pub msr: MsrPolicy,
    /// Maker of the CPU.
    pub vendor: Vendor,
}

static HARDWARE: Once<Policies> = Once::new();
static GUEST: Once<Policies> = Once::new();

fn host(leaf: u32, subleaf: u32) -> Leaf {
    let raw = raw_cpuid::cpuid!(leaf, subleaf);
    Leaf { eax: raw.eax, ebx: raw.ebx, ecx: raw.ecx, edx: raw.edx }
}

fn make(role: Role) -> Policies {
    let cpuid = CpuidPolicy::new(role, host);
    let vendor = Vendor::from_leaf(host(0, 0));
    let family = raw_cpuid::CpuId::new().get_feature_info().map_or(0, |features| u32::from(features.family_id()));
    let msr = MsrPolicy {
        vendor,
        family,
        role,
        unknown: UnknownMsr::Refused,
        page_attributes: XEN_PAT,
        features: cpuid.msr_features(),
        architecture_capabilities: None,
    };
    Policies { cpuid, msr, vendor }
}

/// The policies of a domain.
pub fn of(domain: &Domain) -> &'static Policies {
    if domain.rights.has_io() {
        HARDWARE.call_once(|| make(Role::HardwareDomain))
    } else {
        GUEST.call_once(|| make(Role::Guest))
    }
}

/// The leaves that say who we are.
pub struct OwnLeaves;

impl XenLeaves for OwnLeaves {
    fn version(&self) -> u32 {
        hypercalls::op::version::MAJOR << 16 | hypercalls::op::version::MINOR
    }

    fn time_stamp(&self) -> TimeStampFacts {
        const HOST_RELIABLE: u32 = 1 << 1;
        const NEVER_EMULATED: u32 = 2;
        let scale = clock::scale();
        TimeStampFacts {
            flags: HOST_RELIABLE,
            mode: NEVER_EMULATED,
            kilohertz: clock::frequency_khz() as u32,
            incarnation: 0,
            offset: 0,
            multiplier: scale.multiplier,
            shift: scale.shift,
            host_kilohertz: clock::frequency_khz() as u32,
        }
    }

    fn machine_address_width(&self) -> u32 {
        (64 - crate::memory::frame_table::limit().0.leading_zeros()) + 12
    }
}
