//! The MSR table against what Xen 4.17.7 answers on the same CPUs, and the parts that depend on the policy.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

use pv_cpu::cpuid::Vendor;
use pv_cpu::machine_check::MachineCheck;
use pv_cpu::msr::{LINUX_PAT, MsrFeatures, MsrPolicy, ReadAction, Role, UnknownMsr, WriteAction, XEN_PAT};
use pv_cpu::vcpu::CpuidFaulting;

fn amd() -> MsrPolicy {
    MsrPolicy {
        vendor: Vendor::Amd,
        family: 0x19,
        role: Role::HardwareDomain,
        unknown: UnknownMsr::Refused,
        page_attributes: XEN_PAT,
        features: MsrFeatures::TSC_AUX,
        architecture_capabilities: None,
    }
}

fn intel() -> MsrPolicy {
    MsrPolicy { vendor: Vendor::Intel, family: 6, features: MsrFeatures::empty(), ..amd() }
}

const EFER: u64 = 0xD01;

/// What a read gives on a machine whose own MSRs all read 0, as the emulator's do. `None` is a fault.
fn read(policy: &MsrPolicy, index: u32) -> Option<u64> {
    match policy.read(index, 0) {
        ReadAction::Value(value) => Some(value),
        ReadAction::Host { keep, .. } if index == 0xC000_0080 => Some(EFER & keep),
        ReadAction::Host { keep, set } => Some(u64::from(index == 0x1A0) & keep | set),
        ReadAction::MachineCheck => Some(MachineCheck::default().read(index, policy.vendor)),
        ReadAction::Refused => None,
        _ => Some(0),
    }
}

fn write(policy: &MsrPolicy, index: u32, value: u64) -> bool {
    match policy.write(index, value) {
        WriteAction::MustEqualRead => read(policy, index) == Some(value),
        WriteAction::MachineCheck => MachineCheck::default().write(index, value, policy.vendor).is_ok(),
        WriteAction::Refused => false,
        _ => true,
    }
}

#[track_caller]
fn compare(policy: &MsrPolicy, recorded: &str, skip: &[u32]) {
    let mut checked = 0;
    for line in recorded.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let index = u32::from_str_radix(words.next().unwrap(), 16).unwrap();
        if skip.contains(&index) {
            continue;
        }
        let allowed = words.next().unwrap().as_bytes();
        let seen = read(policy, index);
        assert_eq!(seen.is_some(), allowed[0] == b'y', "read {index:#x}: {:?}", policy.read(index, 0));
        if let Some(value) = words.next() {
            assert_eq!(seen, Some(u64::from_str_radix(value, 16).unwrap()), "read {index:#x}");
        }
        for (at, value) in [(1, 0), (2, 1), (3, u64::MAX)] {
            if allowed[at] != b'?' {
                let action = policy.write(index, value);
                assert_eq!(write(policy, index, value), allowed[at] == b'y', "write {index:#x} {value:#x}: {action:?}");
            }
        }
        checked += 1;
    }
    assert!(checked > 200);
}

#[test]
fn amd_answers_as_under_xen() {
    compare(&amd(), include_str!("data/msr-milan.txt"), &[]);
}

/// Without ARCH_CAPABILITIES, which Xen makes up for this CPU.
#[test]
fn intel_answers_as_under_xen() {
    let policy = MsrPolicy { features: MsrFeatures::TSC_AUX, ..intel() };
    compare(&policy, include_str!("data/msr-skylake.txt"), &[0x10A]);
}

#[test]
fn bases_take_canonical_addresses_only() {
    for index in [0xC000_0100, 0xC000_0101, 0xC000_0102] {
        for bad in [0x8000_0000_0000, 0xFFFF_7FFF_FFFF_FFFF, 1 << 63] {
            assert_eq!(amd().write(index, bad), WriteAction::Refused);
        }
    }
    assert_eq!(amd().write(0xC000_0100, 0xFFFF_8000_0000_0000), WriteAction::FsBase(0xFFFF_8000_0000_0000));
    assert_eq!(amd().write(0xC000_0101, 1), WriteAction::GsBase(1));
    assert_eq!(amd().write(0xC000_0102, 2), WriteAction::OtherGsBase(2));
}

#[test]
fn speculation_control_by_feature() {
    for (features, valid) in
        [(MsrFeatures::empty(), None), (MsrFeatures::IBRSB, Some(3)), (MsrFeatures::IBRSB | MsrFeatures::SSBD, Some(7))]
    {
        let policy = MsrPolicy { features, ..intel() };
        assert_eq!(policy.read(0x48, 0) == ReadAction::SpeculationControl, valid.is_some());
        for bit in 0..64 {
            let allowed = valid.is_some_and(|valid| valid & 1u64 << bit != 0);
            assert_eq!(policy.write(0x48, 1 << bit) != WriteAction::Refused, allowed);
        }
        assert_eq!(policy.write(0x49, 1) != WriteAction::Refused, valid.is_some());
        assert_eq!(policy.write(0x49, 2), WriteAction::Refused);
        assert_eq!(policy.read(0x49, 0), ReadAction::Refused);
        assert_eq!(policy.write(0x10B, 1), WriteAction::Refused);
    }
    let ibpb = MsrPolicy { features: MsrFeatures::IBPB, ..amd() };
    assert_eq!(ibpb.write(0x49, 1), WriteAction::PredictionCommand(1));
}

#[test]
fn policies_that_change_single_answers() {
    assert_eq!(amd().read(0x1B, 1), ReadAction::Value(0xFEE0_0800), "only vCPU 0 is the boot CPU");
    assert_eq!(MsrPolicy { page_attributes: LINUX_PAT, ..amd() }.read(0x277, 0), ReadAction::Value(LINUX_PAT));
    let guest = MsrPolicy { role: Role::Guest, ..amd() };
    assert_eq!(guest.read(0xC001_0010, 0), ReadAction::Refused);
    let relaxed = MsrPolicy { unknown: UnknownMsr::Relaxed, ..amd() };
    assert_eq!(relaxed.read(0x1234, 0), ReadAction::ZeroIfPresent);
    assert_eq!(relaxed.write(0x1234, 5), WriteAction::IgnoreIfPresent);
    let faulting = MsrPolicy { features: MsrFeatures::CPUID_FAULTING, ..intel() };
    assert_eq!(faulting.read(0xCE, 0), ReadAction::Value(1 << 31));
    assert_eq!(faulting.write(0x140, 1), WriteAction::FeatureEnables(CpuidFaulting::On));
    assert_eq!(faulting.write(0x140, 2), WriteAction::Refused);
    assert_eq!(intel().write(0x140, 1), WriteAction::Refused);
    let masks = MsrPolicy { features: MsrFeatures::DEBUG_MASKS, ..amd() };
    assert_eq!(masks.read(0xC001_1027, 0), ReadAction::DebugMask(0));
    assert_eq!(masks.write(0xC001_101B, 9), WriteAction::DebugMask(3, 9));
    assert_eq!(masks.write(0xC001_1019, 1 << 32), WriteAction::Refused);
    let old = MsrPolicy { family: 0x15, ..amd() };
    assert_eq!(old.read(0xC001_0058, 0), ReadAction::Value(0));
    assert_eq!(amd().write(0x4000_0000, 0x1234_5000), WriteAction::HypercallPage(0x1234_5000));
}

/// Nothing outside the windows that the table knows is ever passed to the hardware.
#[test]
fn default_deny() {
    for policy in [amd(), intel()] {
        let mut known = 0;
        for index in
            (0..0x2000).chain(0x4000_0000..0x4000_1000).chain(0xC000_0000..0xC000_2000).chain(0xC001_0000..0xC001_2000)
        {
            match policy.read(index, 0) {
                ReadAction::Refused => {}
                ReadAction::Host { .. } => {
                    let passed = [0x17, 0x8B, 0x1A0, 0xC000_0080, 0xC001_0010, 0xC001_001D, 0xC001_0112, 0xC001_0113];
                    assert!(passed.contains(&index) || (0xC001_0016..=0xC001_001A).contains(&index), "{index:#x}");
                    known += 1;
                }
                _ => known += 1,
            }
        }
        assert!(known < 350, "{known}");
    }
}

#[test]
fn machine_check_banks() {
    let mut banks = MachineCheck::default();
    assert_eq!(banks.write(0x280, 1 << 30 | 1 << 40, Vendor::Intel), Ok(()));
    assert_eq!((banks.read(0x280, Vendor::Intel), banks.read(0x282, Vendor::Intel)), (1 << 30, 0));
    assert_eq!(banks.write(0x17A, 5, Vendor::Amd), Ok(()));
    assert_eq!(banks.read(0x17A, Vendor::Amd), 5);
    assert!(banks.write(0x405, 1, Vendor::Amd).is_err());
    assert_eq!(banks.write(0x409, 1, Vendor::Amd), Ok(()));
}
