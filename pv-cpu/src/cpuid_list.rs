//! A CPUID policy as a list of leaves, as toolstacks read and write it.
//!
//! What a toolstack asks for is taken as far as the domain can have it: features are masked by what all guests can have
//! (threads and cores may be told of where the host has none), descriptions (model, caches, brand) are taken as they are. Only a leaf beyond the last one there can be is an error.
//! Source: Xen public headers `domctl.h` (cpu_policy), `arch-x86/xen.h` (`xen_cpuid_leaf`).

use crate::cpuid::{CpuidPolicy, Leaf};
use crate::features::extended1_ecx::CMP_LEGACY;
use crate::features::leaf1_edx::{AMD_COMMON, HTT};

/// Leaves that have subleaves.
const CACHES: u32 = 4;
const FEATURES: u32 = 7;
const TOPOLOGY: u32 = 0xB;
const STATE: u32 = 0xD;
const EXTENDED: u32 = 0x8000_0000;
/// Where two ranges of the hypervisor's own leaves begin; their ends are told, not their contents.
const HYPERVISOR: [u32; 2] = [0x4000_0000, 0x4000_0100];
const STATE_COMPONENTS: u32 = 63;

impl CpuidPolicy {
    /// Calls `each` with number, subleaf (of leaves that have any) and value, ascending, as long as it succeeds.
    pub fn for_each_leaf<E>(&self, each: &mut impl FnMut(u32, Option<u32>, Leaf) -> Result<(), E>) -> Result<(), E> {
        let [first, ..] = &self.basic;
        for (number, leaf) in (0..=first.eax).zip(&self.basic) {
            match number {
                CACHES => {
                    for (subleaf, cache) in (0..).zip(&self.caches) {
                        each(number, Some(subleaf), *cache)?;
                        if cache.eax & 0x1F == 0 {
                            break;
                        }
                    }
                }
                FEATURES => {
                    let [features, ..] = &self.features;
                    for (subleaf, leaf) in (0..=features.eax).zip(&self.features) {
                        each(number, Some(subleaf), *leaf)?;
                    }
                }
                TOPOLOGY => each(number, Some(0), *leaf)?,
                STATE => self.for_each_state(each)?,
                _ => each(number, None, *leaf)?,
            }
        }
        for number in HYPERVISOR {
            each(number, None, Leaf::default())?;
        }
        let [first, ..] = &self.extended;
        for (number, leaf) in (EXTENDED..=first.eax).zip(&self.extended) {
            each(number, None, if number == EXTENDED + 1 { self.without_common(*leaf) } else { *leaf })?;
        }
        Ok(())
    }

    /// Bits of leaf 1 that AMD's CPUs repeat in the first extended leaf are told once.
    fn without_common(&self, leaf: Leaf) -> Leaf {
        if self.vendor.is_amd() { Leaf { edx: leaf.edx & !AMD_COMMON, ..leaf } } else { leaf }
    }

    /// Repeats them for the guest.
    fn repeat_common(&mut self) {
        if self.vendor.is_amd() {
            let [_, features, ..] = &self.basic;
            let [_, extended, ..] = &mut self.extended;
            extended.edx = extended.edx & !AMD_COMMON | features.edx & AMD_COMMON;
        }
    }

    fn for_each_state<E>(&self, each: &mut impl FnMut(u32, Option<u32>, Leaf) -> Result<(), E>) -> Result<(), E> {
        let offered = self.state.offered();
        let size = self.state.standard_size(offered);
        // What is enabled varies, so its size is not told.
        let main = Leaf { eax: offered as u32, ebx: 0, ecx: size, edx: (offered >> 32) as u32 };
        each(STATE, Some(0), if offered == 0 { Leaf::default() } else { main })?;
        each(STATE, Some(1), Leaf { eax: self.state_features, ..Leaf::default() })?;
        for component in (2..STATE_COMPONENTS).filter(|component| offered >> component & 1 != 0) {
            each(STATE, Some(component), self.state.component_leaf(component))?;
        }
        Ok(())
    }

    /// This policy with what `leaves` (number, subleaf, value) ask for, within `most`. Errors: the leaf and subleaf that
    /// there cannot be.
    pub fn restricted(
        &self,
        most: &CpuidPolicy,
        leaves: impl Iterator<Item = (u32, u32, Leaf)>,
    ) -> Result<CpuidPolicy, (u32, u32)> {
        let mut policy = self.clone();
        for (number, subleaf, wanted) in leaves {
            policy.take(most, number, subleaf, wanted).ok_or((number, subleaf))?;
        }
        policy.repeat_common();
        Ok(policy)
    }

    /// Takes one leaf in; `None` for one that there cannot be.
    fn take(&mut self, most: &CpuidPolicy, number: u32, subleaf: u32, wanted: Leaf) -> Option<()> {
        match number {
            0 => {
                let ([slot, ..], [limit, ..]) = (&mut self.basic, &most.basic);
                *slot = wanted;
                (wanted.eax <= limit.eax).then_some(())
            }
            1 => {
                let (slot, limit) = (self.basic.get_mut(1)?, most.basic.get(1)?);
                let edx = wanted.edx & (limit.edx | HTT);
                *slot = Leaf { ecx: wanted.ecx & limit.ecx, edx, ..wanted };
                Some(())
            }
            CACHES => {
                if let Some(slot) = self.caches.get_mut(subleaf as usize) {
                    *slot = wanted;
                }
                Some(())
            }
            FEATURES => self.take_features(most, subleaf, wanted),
            STATE if subleaf == 1 => {
                self.state_features = wanted.eax & most.state_features;
                Some(())
            }
            // Follows from the features.
            STATE | TOPOLOGY => Some(()),
            2..STATE => {
                *self.basic.get_mut(number as usize)? = wanted;
                Some(())
            }
            EXTENDED.. => self.take_extended_leaf(most, number - EXTENDED, wanted),
            // What the hypervisor says of itself is its own.
            _ => Some(()),
        }
    }

    fn take_features(&mut self, most: &CpuidPolicy, subleaf: u32, wanted: Leaf) -> Option<()> {
        let [limit, ..] = &most.features;
        if subleaf == 0 && wanted.eax > limit.eax {
            return None;
        }
        let (Some(slot), Some(limit)) = (self.features.get_mut(subleaf as usize), most.features.get(subleaf as usize))
        else {
            return Some(());
        };
        let eax = if subleaf == 0 { wanted.eax } else { wanted.eax & limit.eax };
        *slot = Leaf { eax, ..masked(wanted, *limit) };
        Some(())
    }

    fn take_extended_leaf(&mut self, most: &CpuidPolicy, index: u32, wanted: Leaf) -> Option<()> {
        let [first, ..] = &most.extended;
        if index == 0 && wanted.eax > first.eax {
            return None;
        }
        let (Some(slot), Some(limit)) = (self.extended.get_mut(index as usize), most.extended.get(index as usize))
        else {
            return Some(());
        };
        *slot = match index {
            1 => Leaf { ecx: wanted.ecx & (limit.ecx | CMP_LEGACY), edx: wanted.edx & limit.edx, ..wanted },
            7 | 0x21 => masked(wanted, *limit),
            8 => Leaf { ebx: wanted.ebx & limit.ebx, ..wanted },
            _ => wanted,
        };
        Some(())
    }
}

fn masked(wanted: Leaf, limit: Leaf) -> Leaf {
    Leaf {
        eax: wanted.eax & limit.eax,
        ebx: wanted.ebx & limit.ebx,
        ecx: wanted.ecx & limit.ecx,
        edx: wanted.edx & limit.edx,
    }
}
