//! The machine's own CPU as a list of leaves, in the form of a policy: what CPUID says, and what the hypervisor has of it.
//!
//! For tools that show it or compare hosts; guests never see it. What depends on the CPU that happens to answer (its APIC
//! id) or on the moment (the size of enabled state) is told as the first CPU's, with all state enabled.
//! Source: Xen public headers `sysctl.h` (cpu_policy), `arch-x86/xen.h` (`xen_cpuid_leaf`).

use crate::cpuid::{BASIC_MAX, CACHES, CpuidPolicy, EXTENDED_MAX_AMD, Leaf, Vendor};
use crate::features::{extended1_ecx, leaf1_ecx, leaf1_edx};

/// Leaves with subleaves.
const CACHE: u32 = 4;
const FEATURES: u32 = 7;
const TOPOLOGY: u32 = 0xB;
const STATE: u32 = 0xD;
const EXTENDED: u32 = 0x8000_0000;
const HYPERVISOR: [u32; 2] = [0x4000_0000, 0x4000_0100];
/// Subleaves that are told of each.
const FEATURE_SUBLEAVES: u32 = 2;
const TOPOLOGY_LEVELS: u32 = 2;
/// The highest of the extended leaves.
const LIMIT: u32 = EXTENDED_MAX_AMD;
/// Bits of leaf 7 that follow the operating system: protection keys enabled.
const OS_PROTECTION_KEYS: u32 = 1 << 4;

/// Calls `each` with number, subleaf (of leaves that have any) and value of what CPUID, asked by `host(leaf, subleaf)`,
/// says, ascending, as long as it succeeds.
pub fn for_each_raw_leaf<E>(
    host: &impl Fn(u32, u32) -> Leaf,
    each: &mut impl FnMut(u32, Option<u32>, Leaf) -> Result<(), E>,
) -> Result<(), E> {
    for number in 0..=host(0, 0).eax.min(BASIC_MAX) {
        match number {
            1 => each(1, None, without_apic_id(host(1, 0)))?,
            CACHE => until_empty(CACHE, CACHES as u32, |leaf| leaf.eax & 0x1F, host, each)?,
            FEATURES => {
                for subleaf in 0..=host(FEATURES, 0).eax.min(FEATURE_SUBLEAVES) {
                    each(FEATURES, Some(subleaf), host(FEATURES, subleaf))?;
                }
            }
            TOPOLOGY => {
                let first = |leaf, subleaf| Leaf { edx: 0, ..host(leaf, subleaf) };
                until_empty(TOPOLOGY, TOPOLOGY_LEVELS, |leaf| leaf.ecx >> 8 & 0xFF, &first, each)?;
            }
            STATE => {
                let size = host(STATE, 0).ecx;
                for_each_state(host, |subleaf, leaf| each(STATE, Some(subleaf), leaf), size)?;
            }
            _ => each(number, None, host(number, 0))?,
        }
    }
    for number in HYPERVISOR {
        each(number, None, Leaf::default())?;
    }
    for number in EXTENDED..=host(EXTENDED, 0).eax.min(LIMIT) {
        each(number, None, host(number, 0))?;
    }
    Ok(())
}

fn without_apic_id(leaf: Leaf) -> Leaf {
    Leaf { ebx: leaf.ebx & 0x00FF_FFFF, ..leaf }
}

/// Subleaves up to the first without a kind, which is told, too.
fn until_empty<E>(
    number: u32,
    most: u32,
    kind: impl Fn(Leaf) -> u32,
    host: &impl Fn(u32, u32) -> Leaf,
    each: &mut impl FnMut(u32, Option<u32>, Leaf) -> Result<(), E>,
) -> Result<(), E> {
    for subleaf in 0..most {
        let leaf = host(number, subleaf);
        each(number, Some(subleaf), leaf)?;
        if kind(leaf) == 0 {
            break;
        }
    }
    Ok(())
}

/// Descriptions of extended state: of all up to the last kind that there is.
fn for_each_state<E>(
    host: &impl Fn(u32, u32) -> Leaf,
    mut each: impl FnMut(u32, Leaf) -> Result<(), E>,
    enabled_size: u32,
) -> Result<(), E> {
    let (main, more) = (host(STATE, 0), host(STATE, 1));
    each(0, Leaf { ebx: enabled_size, ..main })?;
    each(1, more)?;
    let kinds = u64::from(main.eax | more.ecx) | u64::from(main.edx | more.edx) << 32;
    let end = u64::BITS - kinds.leading_zeros();
    (2..end).try_for_each(|kind| each(kind, host(STATE, kind)))
}

impl CpuidPolicy {
    /// The same of what the hypervisor itself uses: this policy, the first domain's, with all features there are.
    pub fn for_each_used_leaf<E>(
        &self,
        host: &impl Fn(u32, u32) -> Leaf,
        each: &mut impl FnMut(u32, Option<u32>, Leaf) -> Result<(), E>,
    ) -> Result<(), E> {
        let hidden = if matches!(self.vendor(), Vendor::Amd | Vendor::Hygon) { leaf1_edx::SEP } else { 0 };
        self.for_each_leaf(&mut |number, subleaf, leaf: Leaf| {
            let raw = host(number, subleaf.unwrap_or(0));
            let leaf = match (number, subleaf) {
                (1, _) => Leaf { ecx: raw.ecx & !leaf1_ecx::OSXSAVE, edx: raw.edx & !hidden, ..leaf },
                (FEATURES, Some(0)) => {
                    Leaf { eax: leaf.eax, ecx: raw.ecx & !OS_PROTECTION_KEYS, ebx: raw.ebx, edx: raw.edx }
                }
                (FEATURES, _) => raw,
                (STATE, Some(0)) => {
                    let no_size = |subleaf, leaf: Leaf| {
                        let ebx = if subleaf < 2 { 0 } else { leaf.ebx };
                        each(STATE, Some(subleaf), Leaf { ebx, ..leaf })
                    };
                    return for_each_state(host, no_size, 0);
                }
                // Told with the first of them.
                (STATE, _) => return Ok(()),
                (0x8000_0001, _) => Leaf { ecx: raw.ecx, edx: raw.edx, ..leaf },
                (0x8000_0008, _) => Leaf { ebx: raw.ebx, ..leaf },
                _ => leaf,
            };
            each(number, subleaf, leaf)
        })
    }

    /// The same of the most that a guest with this policy could be given instead: the local APIC's newer mode, features
    /// that are told with further subleaves, and any shape of threads and cores, whatever the host's is.
    pub fn for_each_most_leaf<E>(
        &self,
        each: &mut impl FnMut(u32, Option<u32>, Leaf) -> Result<(), E>,
    ) -> Result<(), E> {
        const LOCAL_APIC_2: u32 = 1 << 21;
        let [Leaf { eax: told, .. }, ..] = self.features;
        self.for_each_leaf(&mut |number, subleaf, leaf: Leaf| match (number, subleaf) {
            (1, _) => each(1, None, Leaf { ecx: leaf.ecx | LOCAL_APIC_2, edx: leaf.edx | leaf1_edx::HTT, ..leaf }),
            (0x8000_0001, _) => each(number, subleaf, Leaf { ecx: leaf.ecx | extended1_ecx::CMP_LEGACY, ..leaf }),
            (FEATURES, Some(0)) => each(FEATURES, Some(0), Leaf { eax: FEATURE_SUBLEAVES, ..leaf }),
            (FEATURES, _) => Ok(()),
            (8, _) => {
                for subleaf in 1..=FEATURE_SUBLEAVES {
                    let leaf = self.features.get(subleaf as usize).copied().filter(|_| subleaf <= told);
                    each(FEATURES, Some(subleaf), leaf.unwrap_or_default())?;
                }
                each(8, None, leaf)
            }
            _ => each(number, subleaf, leaf),
        })
    }
}
