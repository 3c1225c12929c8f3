//! CPUID and MSR policies: dom0's, everybody else's, and those that toolstacks give to domains. The first two are made
//! once, from what the boot CPU has; the others are parts of the second, put together before their domain starts.

use alloc::boxed::Box;

use abi::Errno;
use hypercalls::op::domctl::PolicyFault;
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

/// What this CPU says of itself.
pub fn host(leaf: u32, subleaf: u32) -> Leaf {
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
#[inline]
pub fn of(domain: &'static Domain) -> &'static Policies {
    match domain.policy.get() {
        Some(own) => own,
        None if domain.rights.is_hardware() => HARDWARE.call_once(|| make(Role::HardwareDomain)),
        None => of_guests(),
    }
}

/// What guests have unless told otherwise, which is the most they can have.
pub fn of_guests() -> &'static Policies {
    GUEST.call_once(|| make(Role::Guest))
}

/// What the hypervisor itself has, as far as tools ask for it.
pub fn host_cpuid() -> &'static CpuidPolicy {
    &HARDWARE.call_once(|| make(Role::HardwareDomain)).cpuid
}

/// What the domain sees or, before it has started, is to see. No lock is held while `read` works.
pub fn staged<R>(domain: &'static Domain, read: impl FnOnce(&CpuidPolicy) -> R) -> R {
    let wanted = domain.control.lock().wanted_policy.as_ref().map(|policies| policies.cpuid.clone());
    read(wanted.as_ref().unwrap_or(&of(domain).cpuid))
}

/// Errors: `EEXIST` for a domain that has started, whose policy stays.
pub fn may_change(domain: &'static Domain) -> abi::Result<()> {
    if domain.is_started.load(core::sync::atomic::Ordering::Acquire) { Err(Errno::EEXIST) } else { Ok(()) }
}

/// Gives a domain that has not started the policy that these leaves (number, subleaf, value) ask for, as far as it can have
/// it. Errors: `EEXIST`, `EINVAL` for higher leaves than there are, `ENOMEM`.
pub fn stage(
    domain: &'static Domain,
    leaves: impl Iterator<Item = (u32, u32, Leaf)>,
) -> core::result::Result<(), PolicyFault> {
    may_change(domain)?;
    let base = staged(domain, Clone::clone);
    let cpuid = base.restricted(&of_guests().cpuid, leaves).map_err(|leaf| PolicyFault {
        errno: Errno::EINVAL,
        leaf: Some(leaf),
        msr: None,
    })?;
    let guests = of_guests();
    let msr = MsrPolicy { features: cpuid.msr_features(), ..guests.msr };
    let policies = Box::new(Policies { cpuid, msr, vendor: guests.vendor });
    let former = domain.control.lock().wanted_policy.replace(policies);
    drop(former);
    Ok(())
}

/// The leaves that say who we are.
pub struct OwnLeaves;

impl XenLeaves for OwnLeaves {
    fn version(&self) -> u32 {
        hypercalls::op::version::MAJOR << 16 | crate::boot::options::minor_version()
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
