//! The CPUID policy against what Xen 4.17.7 makes of the same CPUs, and the bits that depend on who asks how.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use pv_cpu::control::cr4;
use pv_cpu::cpuid::{CpuidPolicy, Leaf, Moment, Vendor};
use pv_cpu::msr::{MsrFeatures, Role};
use pv_cpu::privileged::CpuidPath;
use pv_cpu::trap_table::Mode;
use pv_cpu::xen_leaves::{TimeStampFacts, XenLeaves};

struct Xen;

impl XenLeaves for Xen {
    fn version(&self) -> u32 {
        0x4_0011
    }
    fn time_stamp(&self) -> TimeStampFacts {
        TimeStampFacts {
            flags: 2,
            mode: 0,
            kilohertz: 2_000_000,
            incarnation: 1,
            offset: 0x1_0000_0002,
            multiplier: 0x8000_0000,
            shift: -1,
            host_kilohertz: 2_500_000,
        }
    }
    fn machine_address_width(&self) -> u32 {
        30
    }
}

type Leaves = BTreeMap<(u32, u32), (Leaf, Leaf)>;

fn recorded(name: &str) -> Leaves {
    let text = match name {
        "milan" => include_str!("data/cpuid-milan.txt"),
        "max" => include_str!("data/cpuid-max.txt"),
        _ => include_str!("data/cpuid-skylake.txt"),
    };
    let line = |line: &str| {
        let (key, values) = line.split_once(' ')?;
        let (leaf, subleaf) = key.split_once('.')?;
        let values: Vec<u32> = values.split_whitespace().map(|word| u32::from_str_radix(word, 16).unwrap()).collect();
        let four = |at: usize| Leaf { eax: values[at], ebx: values[at + 1], ecx: values[at + 2], edx: values[at + 3] };
        Some(((u32::from_str_radix(leaf, 16).unwrap(), subleaf.parse().unwrap()), (four(0), four(4))))
    };
    text.lines().filter(|text| !text.starts_with('#')).filter_map(line).collect()
}

fn policy(role: Role, leaves: &Leaves) -> CpuidPolicy {
    CpuidPolicy::new(role, |leaf, subleaf| leaves.get(&(leaf, subleaf)).map_or(Leaf::default(), |found| found.0))
}

/// The hardware domain's kernel asks by the prefix, with XSAVE off and XCR0 as it starts.
const KERNEL: Moment = Moment { mode: Mode::Kernel, path: CpuidPath::Forced, cr4: 0x660, xcr0: 3 };

#[test]
fn amd_cpus_look_as_under_xen() {
    for name in ["milan", "max"] {
        let leaves = recorded(name);
        let policy = policy(Role::HardwareDomain, &leaves);
        for ((leaf, subleaf), (_, expected)) in leaves {
            let seen = policy.query(leaf, subleaf, &KERNEL, &Xen);
            assert_eq!(seen, expected, "{name} {leaf:#x}.{subleaf}: {seen:x?} instead of {expected:x?}");
        }
    }
}

/// Xen hides AVX here as a mitigation for CPUs without fixed microcode, and shows ARCH_CAPABILITIES that it makes up.
#[test]
fn intel_cpus_look_as_under_xen_but_for_mitigations() {
    let leaves = recorded("skylake");
    let policy = policy(Role::HardwareDomain, &leaves);
    for ((leaf, subleaf), (_, expected)) in leaves {
        let mut seen = policy.query(leaf, subleaf, &KERNEL, &Xen);
        match leaf {
            1 => seen.ecx &= !(1 << 28 | 1 << 29 | 1 << 12),
            7 if subleaf == 0 => (seen.ebx, seen.edx) = (seen.ebx & !(1 << 5), seen.edx | 1 << 29),
            0xD => continue,
            _ => {}
        }
        assert_eq!(seen, expected, "{leaf:#x}.{subleaf}: {seen:x?} instead of {expected:x?}");
    }
}

#[test]
fn who_asks_how() {
    let policy_of = |role| policy(role, &recorded("milan"));
    let dom0 = policy_of(Role::HardwareDomain);
    let domu = policy_of(Role::Guest);
    let leaf1 = |policy: &CpuidPolicy, moment: Moment| policy.query(1, 0, &moment, &Xen);
    let faulted = Moment { path: CpuidPath::Faulted, ..KERNEL };
    let user = Moment { mode: Mode::User, ..KERNEL };
    const OSXSAVE: u32 = 1 << 27;
    const MONITOR: u32 = 1 << 3;
    const MTRR: u32 = 1 << 12;
    // OSXSAVE: by CR4, or for any kernel behind the prefix.
    for policy in [&dom0, &domu] {
        assert_ne!(leaf1(policy, KERNEL).ecx & OSXSAVE, 0);
        assert_eq!(leaf1(policy, faulted).ecx & OSXSAVE, 0);
        assert_eq!(leaf1(policy, user).ecx & OSXSAVE, 0);
        let enabled = Moment { cr4: cr4::OSXSAVE, ..user };
        assert_ne!(leaf1(policy, enabled).ecx & OSXSAVE, 0);
    }
    // The hardware domain's kernel only: MTRR always, MONITOR and its leaf without the prefix.
    assert_eq!((leaf1(&dom0, KERNEL).edx & MTRR, leaf1(&dom0, user).edx & MTRR), (MTRR, 0));
    assert_eq!(leaf1(&domu, KERNEL).edx & MTRR, 0);
    assert_eq!((leaf1(&dom0, faulted).ecx & MONITOR, leaf1(&dom0, KERNEL).ecx & MONITOR), (MONITOR, 0));
    assert_eq!(leaf1(&domu, faulted).ecx & MONITOR, 0);
    let raw = recorded("milan").get(&(5, 0)).map_or(Leaf::default(), |leaf| leaf.0);
    assert_eq!(dom0.query(5, 0, &faulted, &Xen), raw);
    assert_eq!(dom0.query(5, 0, &KERNEL, &Xen), Leaf::default());
    assert_eq!(domu.query(5, 0, &faulted, &Xen), Leaf::default());
}

#[test]
fn extended_state_follows_xcr0() {
    let policy = policy(Role::HardwareDomain, &recorded("milan"));
    let size = |xcr0| policy.query(0xD, 0, &Moment { xcr0, ..KERNEL }, &Xen).ebx;
    assert_eq!((size(1), size(3), size(7)), (576, 576, 832));
    let states = policy.extended_states();
    let permitted: Vec<u64> = (0..16).filter(|xcr0| states.permits(*xcr0)).collect();
    assert_eq!(permitted, [1, 3, 7]);
}

#[test]
fn xens_own_leaves() {
    let policy = policy(Role::HardwareDomain, &recorded("milan"));
    let leaf = |leaf, subleaf| policy.query(leaf, subleaf, &KERNEL, &Xen).registers();
    assert_eq!(leaf(0x4000_0000, 0), [0x4000_0005, 0x566E_6558, 0x6558_4D4D, 0x4D4D_566E]);
    assert_eq!(leaf(0x4000_0001, 0), [0x4_0011, 0, 0, 0]);
    assert_eq!(leaf(0x4000_0002, 0), [1, 0x4000_0000, 1, 0]);
    assert_eq!(leaf(0x4000_0003, 0), [2, 0, 2_000_000, 1]);
    assert_eq!(leaf(0x4000_0003, 1), [2, 1, 0x8000_0000, 0xFFFF_FFFF]);
    assert_eq!(leaf(0x4000_0003, 2), [2_500_000, 0, 0, 0]);
    assert_eq!(leaf(0x4000_0005, 0), [0, 30, 0, 0]);
    for other in [0x4000_0004, 0x4000_0006, 0x4000_00FF, 0x4000_0100, 0xC000_0000, 0x20, u32::MAX] {
        assert_eq!(leaf(other, 0), [0; 4]);
    }
}

#[test]
fn what_follows_from_the_policy() {
    let policy = policy(Role::Guest, &recorded("milan"));
    assert_eq!(policy.vendor(), Vendor::Amd);
    assert_eq!(policy.cr4_choice(), cr4::GUEST_CHOICE);
    assert_eq!(policy.msr_features(), MsrFeatures::TSC_AUX);
    assert_eq!(policy.family(), 0x19);
}

proptest! {
    /// Whatever the host's leaves say, guests never see what must stay hidden, and features never lack their base.
    #[test]
    fn nothing_hidden_shows(seed: [u32; 32], leaf: u32, subleaf in 0u32..70, user: bool, faulted: bool) {
        let host = |leaf: u32, subleaf: u32| {
            let pick = |shift: u32| seed[(leaf.wrapping_mul(7) ^ subleaf.wrapping_mul(13)).wrapping_add(shift) as usize % 32];
            let eax = match leaf { 0 => 0x20, 0x8000_0000 => 0x8000_0030, _ => pick(0) };
            Leaf { eax, ebx: pick(1), ecx: pick(2), edx: pick(3) }
        };
        let policy = CpuidPolicy::new(Role::Guest, host);
        let moment = Moment {
            mode: if user { Mode::User } else { Mode::Kernel },
            path: if faulted { CpuidPath::Faulted } else { CpuidPath::Forced },
            cr4: 0,
            xcr0: 1,
        };
        let leaf1 = policy.query(1, 0, &moment, &Xen);
        prop_assert_eq!(leaf1.ecx & (1 << 5 | 1 << 3 | 1 << 17 | 1 << 21 | 1 << 24), 0);
        prop_assert_eq!(leaf1.edx & (1 << 3 | 1 << 12 | 1 << 13 | 1 << 17), 0);
        prop_assert_ne!(leaf1.ecx & 1 << 31, 0);
        let leaf7 = policy.query(7, 0, &moment, &Xen);
        prop_assert_eq!(leaf7.ebx & (1 << 7 | 1 << 10 | 1 << 20 | 1 << 14), 0);
        prop_assert_eq!(leaf7.ecx & (1 << 2 | 1 << 3 | 1 << 4 | 1 << 7), 0);
        if leaf1.ecx & 1 << 26 == 0 {
            prop_assert_eq!(leaf1.ecx & 1 << 28, 0);
            prop_assert_eq!(leaf7.ebx & (1 << 5 | 1 << 16), 0);
            prop_assert_eq!(policy.query(0xD, 0, &moment, &Xen), Leaf::default());
        }
        prop_assert_eq!(policy.query(0x8000_0001, 0, &moment, &Xen).ecx & (1 << 2), 0);
        prop_assert_eq!(policy.query(0x8000_000A, 0, &moment, &Xen), Leaf::default());
        let any = policy.query(leaf, subleaf, &moment, &Xen);
        if (0x24..0x4000_0000).contains(&leaf) || leaf > 0x8000_0021 {
            prop_assert_eq!(any, Leaf::default());
        }
    }
}

#[test]
fn a_listed_policy_comes_back_as_it_was_and_never_as_more() {
    for name in ["milan", "max", "skylake"] {
        let most = policy(Role::Guest, &recorded(name));
        let mut list = Vec::new();
        most.for_each_leaf::<()>(&mut |leaf, subleaf, value| {
            list.push((leaf, subleaf.unwrap_or(u32::MAX), value));
            Ok(())
        })
        .unwrap();
        assert!(list.windows(2).all(|pair| (pair[0].0, pair[0].1) < (pair[1].0, pair[1].1)), "{name}: ascending");
        assert_eq!(most.restricted(&most, list.iter().copied()).unwrap(), most, "{name}");
        let ones = Leaf { eax: u32::MAX, ebx: u32::MAX, ecx: u32::MAX, edx: u32::MAX };
        let greedy = most.restricted(&most, [(7, 1, ones), (0xD, 1, ones), (0x8000_0007, u32::MAX, ones)].into_iter());
        let greedy = greedy.unwrap();
        let features = |policy: &CpuidPolicy, leaf, subleaf| policy.query(leaf, subleaf, &KERNEL, &Xen);
        for (leaf, subleaf) in [(7, 1), (0xD, 1), (0x8000_0007, 0)] {
            assert_eq!(features(&greedy, leaf, subleaf), features(&most, leaf, subleaf), "{name} {leaf:x}");
        }
        let none = most.restricted(&most, [(1, u32::MAX, Leaf::default())].into_iter()).unwrap();
        assert_eq!(features(&none, 1, 0).edx, 0, "{name}: what is not asked for is not there");
        let beyond = Leaf { eax: u32::MAX, ..Leaf::default() };
        for leaf in [0, 0x8000_0000] {
            assert_eq!(most.restricted(&most, [(leaf, u32::MAX, beyond)].into_iter()), Err((leaf, u32::MAX)), "{name}");
        }
    }
}
