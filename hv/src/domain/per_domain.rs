//! The per-domain slot: a window of 32 pages for each vCPU, 16 for its GDT and 16 for its LDT.
//!
//! The tables belong to the domain and are linked into slot 260 of each of its top-level tables. An entry is written by
//! the CPU that runs the vCPU, or while the vCPU does not run; the writer flushes. Entries are not global: the same
//! addresses mean something else in another domain. Source: Xen public header `arch-x86/xen-x86_64.h` (selectors).

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Release},
};

use alloc::vec::Vec;

use abi::{Errno, Mfn, Result, VcpuId};
use frame_allocator::Order;

use crate::memory::{entry, layout, physical, window};

const PAGES_PER_VCPU: usize = 32;
const VCPUS_PER_TABLE: usize = 512 / PAGES_PER_VCPU;
/// Position of the hypervisor's own descriptors in a vCPU's window.
pub const OWN_DESCRIPTORS: usize = 14;
/// Position of the first LDT page in a vCPU's window.
pub const LOCAL_TABLE: usize = 16;
const RIGHTS: u64 = entry::PRESENT | entry::WRITABLE | entry::ACCESSED | entry::DIRTY | entry::NO_EXECUTE;

/// A domain's tables for that slot.
pub struct PerDomain {
    level3: Mfn,
    level2: Mfn,
    level1: Vec<Mfn>,
    /// What is shown where the guest has no descriptors: selectors that lead there are #GP, not a fault in our window.
    empty: Mfn,
}

impl PerDomain {
    /// Tables for `vcpus` vCPUs. Errors: `ENOMEM`.
    pub fn new(vcpus: u32) -> Result<Self> {
        let mut tables = Self {
            level3: physical::allocate_zeroed()?,
            level2: Mfn::INVALID,
            level1: Vec::new(),
            empty: Mfn::INVALID,
        };
        tables.empty = physical::allocate_zeroed()?;
        tables.level2 = physical::allocate_zeroed()?;
        link(tables.level3, 0, tables.level2)?;
        for index in 0..(vcpus as usize).div_ceil(VCPUS_PER_TABLE) {
            tables.level1.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            let table = physical::allocate_zeroed()?;
            tables.level1.push(table);
            link(tables.level2, index, table)?;
        }
        for vcpu in 0..vcpus {
            for page in 0..OWN_DESCRIPTORS {
                tables.set(VcpuId(vcpu), page, None);
            }
        }
        Ok(tables)
    }

    /// The entry of slot 260.
    pub fn top_entry(&self) -> u64 {
        self.level3.address().0 | entry::TABLE & !entry::USER
    }

    fn slot(&self, vcpu: VcpuId, page: usize) -> Option<&'static AtomicU64> {
        let vcpu = vcpu.0 as usize;
        let table = *self.level1.get(vcpu / VCPUS_PER_TABLE)?;
        window::words(table).get(vcpu % VCPUS_PER_TABLE * PAGES_PER_VCPU + page)
    }

    /// Shows `frame` at a page of the vCPU's window, or nothing; the frame that was there before.
    pub fn set(&self, vcpu: VcpuId, page: usize, frame: Option<Mfn>) -> Option<Mfn> {
        let frame = frame.or((page < OWN_DESCRIPTORS).then_some(self.empty));
        let value = frame.map_or(0, |frame| frame.address().0 | RIGHTS);
        let old = self.slot(vcpu, page)?.swap(value, AcqRel);
        self.shown(old)
    }

    /// The frame at a page of the vCPU's window.
    pub fn get(&self, vcpu: VcpuId, page: usize) -> Option<Mfn> {
        let value = self.slot(vcpu, page)?.load(Acquire);
        self.shown(value)
    }

    fn shown(&self, entry: u64) -> Option<Mfn> {
        (entry & entry::PRESENT != 0).then(|| entry::frame(entry)).filter(|frame| *frame != self.empty)
    }
}

impl Drop for PerDomain {
    fn drop(&mut self) {
        for table in self.level1.drain(..).chain([self.level2, self.level3, self.empty]) {
            if table != Mfn::INVALID {
                physical::free(table, Order(0));
            }
        }
    }
}

fn link(table: Mfn, index: usize, target: Mfn) -> Result<()> {
    let slot = window::words(table).get(index).ok_or(Errno::ENOSPC)?;
    slot.store(target.address().0 | entry::TABLE & !entry::USER, Release);
    Ok(())
}

/// Address of a page of a vCPU's window.
pub const fn address(vcpu: VcpuId, page: usize) -> u64 {
    layout::PER_DOMAIN + vcpu.0 as u64 * layout::VCPU_WINDOW_SIZE + page as u64 * 4096
}

/// The vCPU and page that an address of the slot belongs to.
pub const fn position(address: u64) -> (VcpuId, usize) {
    let offset = address - layout::PER_DOMAIN;
    (VcpuId((offset / layout::VCPU_WINDOW_SIZE) as u32), (offset % layout::VCPU_WINDOW_SIZE / 4096) as usize)
}
