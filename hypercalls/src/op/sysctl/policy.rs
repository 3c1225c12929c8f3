//! sysctl: which CPUs domains can be given.

use abi::sysctl_machine::{CpuFeatureset, FeaturesetIndex, PolicyIndex, SystemCpuPolicy};
use abi::xen_x86::CpuidLeaf;
use abi::{Errno, Result};

use super::Request;
use crate::guest::{self, GuestMemory};
use crate::op::domctl::policy::{copy_leaves, copy_msrs};
use crate::op::domctl::{CpuPolicyHost, PolicyOf};

/// Words of a feature set.
const WORDS: usize = 19;
/// Most leaves and MSRs that a policy can have.
const LEAVES_MAX: u32 = 120;
const MSRS_MAX: u32 = 2;

/// Where a word of a feature set comes from: leaf, subleaf if the leaf has any, register.
type Source = (u32, u32, fn(&CpuidLeaf) -> u32);

/// Subleaf of leaves without any.
const NONE: u32 = abi::domctl_vcpu::NO_SUBLEAF;

/// The words by number. Words 16 and 17 are of an MSR that no guest is given. Source: Xen public header
/// `arch-x86/cpufeatureset.h`.
const SOURCES: [Source; WORDS] = [
    (1, NONE, |leaf| leaf.d),
    (1, NONE, |leaf| leaf.c),
    (0x8000_0001, NONE, |leaf| leaf.d),
    (0x8000_0001, NONE, |leaf| leaf.c),
    (0xD, 1, |leaf| leaf.a),
    (7, 0, |leaf| leaf.b),
    (7, 0, |leaf| leaf.c),
    (0x8000_0007, NONE, |leaf| leaf.d),
    (0x8000_0008, NONE, |leaf| leaf.b),
    (7, 0, |leaf| leaf.d),
    (7, 1, |leaf| leaf.a),
    (0x8000_0021, NONE, |leaf| leaf.a),
    (7, 1, |leaf| leaf.b),
    (7, 2, |leaf| leaf.d),
    (7, 1, |leaf| leaf.c),
    (7, 1, |leaf| leaf.d),
    (NONE, NONE, |_| 0),
    (NONE, NONE, |_| 0),
    (0x8000_0021, NONE, |leaf| leaf.c),
];

/// get_cpu_featureset(26); without an array it counts. Errors: `EINVAL` for no such set, `EOPNOTSUPP` for those of HVM
/// guests, `ENOBUFS` for too little room (what there is room for is written), `EFAULT`.
pub(super) fn featureset<H: CpuPolicyHost + GuestMemory>(host: &H, request: &Request) -> Result<()> {
    let mut asked: CpuFeatureset = request.argument()?;
    if asked.features.is_null() {
        asked.count = WORDS as u32;
        return request.answer(host, &asked);
    }
    let policy = match asked.index {
        FeaturesetIndex::RAW => PolicyOf::Raw,
        FeaturesetIndex::HOST => PolicyOf::Host,
        FeaturesetIndex::PV => PolicyOf::PvDefault,
        FeaturesetIndex::PV_MAX => PolicyOf::PvMax,
        FeaturesetIndex::HVM | FeaturesetIndex::HVM_MAX => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::EINVAL),
    };
    let mut words = [0; WORDS];
    host.policy_leaves(policy, &mut |leaf| {
        for (word, (number, subleaf, of)) in words.iter_mut().zip(&SOURCES) {
            if (leaf.leaf, leaf.subleaf) == (*number, *subleaf) {
                *word = of(&leaf);
            }
        }
        Ok(())
    })?;
    for (index, word) in words.iter().enumerate().take(asked.count as usize) {
        guest::write(host, asked.features.element(index as u64), word)?;
    }
    if (asked.count as usize) < WORDS {
        return Err(Errno::ENOBUFS);
    }
    asked.count = WORDS as u32;
    request.answer(host, &asked)
}

/// get_cpu_policy(29); without arrays it says how much there can be. Errors: `EINVAL` for no such policy, `EOPNOTSUPP` for
/// those of HVM guests, `ENOBUFS` for too little room, `EFAULT`.
pub(super) fn policy<H: CpuPolicyHost + GuestMemory>(host: &H, request: &Request) -> Result<()> {
    let mut asked: SystemCpuPolicy = request.argument()?;
    if asked.reserved != 0 {
        return Err(Errno::EINVAL);
    }
    let policy = match asked.index {
        PolicyIndex::RAW => PolicyOf::Raw,
        PolicyIndex::HOST => PolicyOf::Host,
        PolicyIndex::PV_MAX => PolicyOf::PvMax,
        PolicyIndex::PV_DEFAULT => PolicyOf::PvDefault,
        PolicyIndex::HVM_MAX | PolicyIndex::HVM_DEFAULT => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::EINVAL),
    };
    let copied = copy(host, policy, &mut asked);
    if copied.is_ok() || copied == Err(Errno::ENOBUFS) {
        request.answer(host, &asked)?;
    }
    copied
}

fn copy<H: CpuPolicyHost + GuestMemory>(host: &H, policy: PolicyOf, asked: &mut SystemCpuPolicy) -> Result<()> {
    asked.leaf_count = match asked.leaves.is_null() {
        true => LEAVES_MAX,
        false => copy_leaves(host, policy, asked.leaves, asked.leaf_count)?,
    };
    asked.msr_count = match asked.msrs.is_null() {
        true => MSRS_MAX,
        false => copy_msrs(host, policy, asked.msrs, asked.msr_count)?,
    };
    Ok(())
}
