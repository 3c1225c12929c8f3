//! What the page-table calls need of the running vCPU: its tables, flushes, descriptor tables.
//!
//! Context: the caller's kernel table is loaded (hypercalls come from the guest's kernel only).

#![expect(unsafe_code, reason = "loads the guest's page tables")]

use abi::{DomainId, GuestVirtual, Mfn, Pfn, VcpuId, vm_assist::Assist};
use hypercalls::op::mmu::{DescriptorCalls, FlushScope, GDT_FRAMES, MmuCalls};

use super::{Caller, descriptors};
use crate::{
    arch::control,
    cpu,
    interrupt::flush::{self, CpuMask},
    memory::{layout, machine_to_physical, mmu as machine, window},
};

impl Caller<'_> {
    /// CPUs on which other vCPUs of this domain may have translations.
    fn others(&self, wanted: CpuMask) -> CpuMask {
        CpuMask(self.domain.dirty_cpus().0 & wanted.0 & !(1 << cpu::this().index))
    }

    fn flush(&self, scope: FlushScope) {
        match scope {
            FlushScope::Page(address) => control::invalidate_page(address.0),
            FlushScope::Everything => flush::local(),
        }
    }
}

impl MmuCalls for Caller<'_> {
    fn is_paravirtual(&self, _domain: DomainId) -> bool {
        true
    }

    #[inline(always)]
    fn kernel_root(&self) -> Mfn {
        self.state.kernel_root.get().unwrap_or(Mfn(0))
    }

    #[inline(always)]
    fn user_root(&self) -> Option<Mfn> {
        self.state.user_root.get()
    }

    #[inline]
    fn load_kernel_root(&self, root: Mfn) {
        machine::show_machine_to_physical(root);
        // The same tables again leave the LDT shown.
        if self.state.kernel_root.replace(Some(root)) != Some(root) {
            descriptors::drop_own_local_table(self.domain, self.vcpu.id, self.state);
        }
        // SAFETY: 1. a validated level-4 table, held by the vCPU; its hypervisor slots were filled at promotion.
        unsafe { flush::switch_root(root.address().0) };
    }

    fn set_user_root(&self, root: Option<Mfn>) {
        if let Some(root) = root
            && self.domain.has_assist(Assist::M2P_STRICT.0)
            && let Some(slot) = window::words(root).get(layout::slot_of(layout::MACHINE_TO_PHYSICAL))
        {
            slot.store(0, core::sync::atomic::Ordering::Release);
        }
        self.state.user_root.set(root);
    }

    #[inline]
    fn set_machine_to_physical(&self, frame: Mfn, pfn: Pfn) {
        machine_to_physical::set(frame, pfn.0);
    }

    #[inline]
    fn flush_local(&self, scope: FlushScope) {
        self.flush(scope);
    }

    fn flush_domain(&self, scope: FlushScope) {
        let others = self.others(CpuMask(u64::MAX));
        if others != CpuMask(0) {
            flush::on(others);
        }
        self.flush(scope);
    }

    fn flush_vcpus(&self, first: u32, mask: u64, scope: FlushScope) {
        let mut wanted = CpuMask(0);
        for bit in flush::bits(mask) {
            if let Some(vcpu) = first.checked_add(bit).and_then(|id| self.domain.vcpu(VcpuId(id))) {
                let processor = vcpu.processor.load(core::sync::atomic::Ordering::Acquire);
                wanted.0 |= 1 << (processor & 63);
            }
        }
        let others = self.others(wanted);
        if others != CpuMask(0) {
            flush::on(others);
        }
        if wanted.contains(cpu::this().index) {
            self.flush(scope);
        }
    }

    fn vcpu_limit(&self) -> u32 {
        self.domain.vcpus().len() as u32
    }

    fn may_flush_caches(&self) -> bool {
        self.domain.rights.has_io()
    }

    fn flush_cache_local(&self) {
        control::write_back_caches();
    }

    fn flush_cache_everywhere(&self) {
        // Caches are coherent; writing back the local one and letting others answer a flush orders all stores.
        control::write_back_caches();
    }

    fn set_ldt(&self, base: GuestVirtual, entries: u32) {
        if self.state.local_table.get() != (base.0, entries) {
            descriptors::drop_own_local_table(self.domain, self.vcpu.id, self.state);
            self.state.local_table.set((base.0, entries));
            descriptors::load_local_table(self.vcpu.id, entries);
        }
    }

    fn clear_page(&self, frame: Mfn) {
        window::zero(frame);
    }

    fn copy_page(&self, to: Mfn, from: Mfn) {
        window::copy_frame(to, from);
    }
}

impl DescriptorCalls for Caller<'_> {
    fn replace_gdt(&self, frames: &[Mfn], entries: u32, former: &mut [Mfn; GDT_FRAMES]) -> usize {
        descriptors::replace(self.domain, self.vcpu.id, self.state, frames, entries, former)
    }
}
