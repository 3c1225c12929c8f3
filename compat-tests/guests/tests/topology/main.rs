//! What the machine and its CPUs look like where there is only one CPU: topology, and the policies that follow from it.
#![no_std]
#![no_main]

use compat_guests::report::value_at;

// Both serve the guest `sysctl` too, which asks a machine with two CPUs.
#[allow(dead_code)]
#[path = "../sysctl/machine.rs"]
mod machine;
#[allow(dead_code)]
#[path = "../sysctl/policy.rs"]
mod policy;

compat_guests::guest!(main);

fn main() {
    compat_guests::memory::shared_info();
    machine::physinfo();
    machine::cpu_topology();
    // Those of the host and of PV guests: the most that they may see, and what they see if nobody asks for more.
    for (featureset, own_policy) in [(1, 1), (2, 4), (4, 2)] {
        policy::featureset(featureset);
        policy::policy(own_policy);
    }
    own_leaves();
}

/// What this domain's own CPUID says about threads and cores.
fn own_leaves() {
    for leaf in [1u32, 4, 0xb, 0x8000_0001, 0x8000_0008, 0x8000_001e] {
        let told = forced(leaf);
        for (register, value) in ["eax", "ebx", "ecx", "edx"].into_iter().zip(told) {
            value_at(format_args!("own.{leaf:x}.{register}"), value.into());
        }
    }
}

/// CPUID with Xen's prefix, which asks the hypervisor and not the CPU.
fn forced(leaf: u32) -> [u32; 4] {
    let (eax, ebx, ecx, edx): (u32, u64, u32, u32);
    // SAFETY: ud2, "xen", cpuid: emulated, and it changes no more than these registers.
    unsafe {
        core::arch::asm!(
            "mov {keep}, rbx", ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e", "cpuid", "xchg {keep}, rbx",
            keep = out(reg) ebx, inlateout("eax") leaf => eax, inlateout("ecx") 0 => ecx, out("edx") edx,
        );
    }
    [eax, ebx as u32, ecx, edx]
}
