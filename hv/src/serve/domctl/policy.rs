//! Which CPU a domain sees.

use abi::{
    Errno, Result,
    domctl_vcpu::NO_SUBLEAF,
    xen_x86::{CpuidLeaf, MsrEntry},
};
use hypercalls::{
    authority::Target,
    op::domctl::{CpuPolicyHost, PolicyFault, PolicyOf},
};
use pv_cpu::{cpuid::Leaf, cpuid_host::for_each_raw_leaf};

use crate::serve::{
    Caller,
    memory::{living, named},
    policy,
};

/// MSRs that a policy states: platform information and architectural capabilities.
const PLATFORM_INFO: u32 = 0xCE;
const ARCHITECTURE_CAPABILITIES: u32 = 0x10A;

impl CpuPolicyHost for Caller<'_> {
    fn policy_leaves(&self, which: PolicyOf, each: &mut dyn FnMut(CpuidLeaf) -> Result<()>) -> Result<()> {
        let mut emit = |leaf, subleaf: Option<u32>, value: Leaf| {
            each(CpuidLeaf {
                leaf,
                subleaf: subleaf.unwrap_or(NO_SUBLEAF),
                a: value.eax,
                b: value.ebx,
                c: value.ecx,
                d: value.edx,
            })
        };
        match which {
            PolicyOf::Raw => for_each_raw_leaf(&policy::host, &mut emit),
            PolicyOf::Host => policy::host_cpuid().for_each_used_leaf(&policy::host, &mut emit),
            PolicyOf::PvMax => policy::of_guests().cpuid.for_each_most_leaf(&mut emit),
            PolicyOf::PvDefault => policy::of_guests().cpuid.for_each_leaf(&mut emit),
            PolicyOf::Domain(target) => policy::staged(named(target)?, |cpuid| cpuid.for_each_leaf(&mut emit)),
        }
    }

    fn policy_msrs(&self, which: PolicyOf, each: &mut dyn FnMut(MsrEntry) -> Result<()>) -> Result<()> {
        if let PolicyOf::Domain(target) = which {
            named(target)?;
        }
        for index in [PLATFORM_INFO, ARCHITECTURE_CAPABILITIES] {
            each(MsrEntry { index, ..MsrEntry::default() })?;
        }
        Ok(())
    }

    fn policy_may_change(&self, target: Target) -> Result<()> {
        policy::may_change(living(target)?)
    }

    fn set_policy(
        &mut self,
        target: Target,
        leaves: &[CpuidLeaf],
        msrs: &[MsrEntry],
    ) -> core::result::Result<(), PolicyFault> {
        let domain = living(target)?;
        if let Some(entry) = msrs.iter().find(|entry| entry.flags != 0) {
            return Err(PolicyFault { errno: Errno::EINVAL, leaf: None, msr: Some(entry.index) });
        }
        let wanted = leaves.iter().map(|leaf| {
            let value = Leaf { eax: leaf.a, ebx: leaf.b, ecx: leaf.c, edx: leaf.d };
            (leaf.leaf, leaf.subleaf, value)
        });
        policy::stage(domain, wanted)
    }
}
