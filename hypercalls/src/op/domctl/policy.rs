//! domctl: which CPU a domain sees.

use alloc::vec::Vec;

use abi::domctl_vcpu::{CpuPolicy, NO_SUBLEAF};
use abi::xen_x86::{CpuidLeaf, MsrEntry};
use abi::{Errno, Result};
use zerocopy::FromZeros;

use super::Request;
use super::lifecycle::others_only;
use crate::authority::Target;
use crate::guest::{self, GuestMemory};
use crate::outcome::Reply;

/// A policy that can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PolicyOf {
    /// What the hardware says.
    Raw,
    /// What the hypervisor uses.
    Host,
    /// The most that a PV domain can have.
    PvMax,
    /// What a PV domain has unless told otherwise.
    PvDefault,
    /// A domain's own.
    Domain(Target),
}

/// Why a policy will not do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PolicyFault {
    /// What to answer.
    pub errno: Errno,
    /// The leaf that is at fault, and its subleaf.
    pub leaf: Option<(u32, u32)>,
    /// The MSR that is at fault.
    pub msr: Option<u32>,
}

impl From<Errno> for PolicyFault {
    fn from(errno: Errno) -> Self {
        Self { errno, leaf: None, msr: None }
    }
}

/// CPU policies.
pub trait CpuPolicyHost {
    /// Calls `each` for every CPUID leaf of a policy, ascending, as long as it succeeds. Errors: `ESRCH`, those of `each`.
    fn policy_leaves(&self, policy: PolicyOf, each: &mut dyn FnMut(CpuidLeaf) -> Result<()>) -> Result<()>;
    /// The same for its MSRs.
    fn policy_msrs(&self, policy: PolicyOf, each: &mut dyn FnMut(MsrEntry) -> Result<()>) -> Result<()>;
    /// Errors: `EEXIST` for a domain that has run and keeps its policy, `ESRCH`.
    fn policy_may_change(&self, target: Target) -> Result<()>;
    /// Gives a domain its policy: of what is asked for, what it can have. Errors: `ESRCH`, `EEXIST` it has run, `EINVAL`
    /// for more leaves than there are, `ENOMEM`.
    fn set_policy(
        &mut self,
        target: Target,
        leaves: &[CpuidLeaf],
        msrs: &[MsrEntry],
    ) -> core::result::Result<(), PolicyFault>;
}

/// Most entries of a policy that are taken in.
const ENTRIES_MAX: u32 = 512;

/// Writes a policy's leaves to the caller, or with a null pointer counts them. Errors: `ENOBUFS` too little room, `EFAULT`.
pub(crate) fn copy_leaves<H: CpuPolicyHost + GuestMemory>(
    host: &H,
    policy: PolicyOf,
    to: abi::GuestHandle<CpuidLeaf>,
    room: u32,
) -> Result<u32> {
    let mut count = 0;
    host.policy_leaves(policy, &mut |leaf| {
        if !to.is_null() {
            if count == room {
                return Err(Errno::ENOBUFS);
            }
            guest::write(host, to.element(u64::from(count)), &leaf)?;
        }
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// The same for its MSRs.
pub(crate) fn copy_msrs<H: CpuPolicyHost + GuestMemory>(
    host: &H,
    policy: PolicyOf,
    to: abi::GuestHandle<MsrEntry>,
    room: u32,
) -> Result<u32> {
    let mut count = 0;
    host.policy_msrs(policy, &mut |entry| {
        if !to.is_null() {
            if count == room {
                return Err(Errno::ENOBUFS);
            }
            guest::write(host, to.element(u64::from(count)), &entry)?;
        }
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// get_cpu_policy(82). Errors: `ENOBUFS`, `EFAULT`.
pub(super) fn get<H: CpuPolicyHost + GuestMemory>(host: &H, request: &Request, target: Target) -> Result<()> {
    let mut asked: CpuPolicy = request.argument()?;
    let policy = PolicyOf::Domain(target);
    asked.leaf_count = copy_leaves(host, policy, asked.leaves, asked.leaf_count)?;
    asked.msr_count = copy_msrs(host, policy, asked.msrs, asked.msr_count)?;
    request.answer(host, &asked)
}

/// set_cpu_policy(83); what is at fault goes back. Errors: `EINVAL` for the caller itself and for what no domain can have,
/// `EEXIST` for a domain that has run, `E2BIG`, `ENOMEM`, `EFAULT`.
#[inline(never)]
pub(super) fn set<H: CpuPolicyHost + GuestMemory>(host: &mut H, request: &Request, target: Target) -> Reply {
    let mut asked: CpuPolicy = request.argument()?;
    let target = others_only(target)?;
    host.policy_may_change(target)?;
    let leaves = read_all(host, asked.leaves, asked.leaf_count)?;
    let msrs = read_all(host, asked.msrs, asked.msr_count)?;
    let Err(fault) = host.set_policy(target, &leaves, &msrs) else { return Ok(0) };
    let (leaf, subleaf) = fault.leaf.unwrap_or((NO_SUBLEAF, NO_SUBLEAF));
    (asked.error_leaf, asked.error_subleaf) = (leaf, subleaf);
    asked.error_msr = fault.msr.unwrap_or(u32::MAX);
    request.answer(host, &asked)?;
    Err(fault.errno.into())
}

fn read_all<T>(host: &impl GuestMemory, from: abi::GuestHandle<T>, count: u32) -> Result<Vec<T>>
where
    T: FromZeros + Clone + zerocopy::FromBytes + zerocopy::IntoBytes,
    [T]: zerocopy::IntoBytes + zerocopy::FromBytes,
{
    if count > ENTRIES_MAX {
        return Err(Errno::E2BIG);
    }
    let mut all = Vec::new();
    if count == 0 {
        return Ok(all);
    }
    all.try_reserve_exact(count as usize).map_err(|_| Errno::ENOMEM)?;
    all.resize(count as usize, T::new_zeroed());
    guest::read_array(host, from, 0, &mut all)?;
    Ok(all)
}
