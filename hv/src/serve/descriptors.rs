//! A vCPU's GDT and LDT windows.
//!
//! GDT frames are shown when the guest sets them. LDT pages are shown one by one, when the CPU faults on them: the frame
//! behind the guest's address is typed as a descriptor page then. All are dropped when the LDT or the kernel's tables
//! change. Only the CPU on which the vCPU is resident touches its window. Source: reference inventory §3.6.

use abi::{GuestVirtual, Mfn, VcpuId};
use hypercalls::op::mmu::GDT_FRAMES;
use pv_mmu::{acquire_segment_page, guest_entry, release_segment_page};

use crate::{
    arch::{control, descriptors},
    cpu,
    domain::{
        Domain, Vcpu, VcpuState,
        per_domain::{self, LOCAL_TABLE},
    },
    memory::mmu::Machine,
};

/// The bit of a selector that names the LDT.
const LOCAL: u16 = 1 << 2;
/// Pages of a full LDT.
const LOCAL_TABLE_PAGES: usize = 16;

/// Shows `frames` as the vCPU's GDT; the frames that were shown before go to `former`, and their number is returned.
pub fn replace(
    domain: &'static Domain,
    vcpu: VcpuId,
    state: &VcpuState,
    frames: &[Mfn],
    entries: u32,
    former: &mut [Mfn; GDT_FRAMES],
) -> usize {
    let old = state.descriptor_frames.get();
    let mut new = [None; GDT_FRAMES];
    for (slot, frame) in new.iter_mut().zip(frames) {
        *slot = Some(*frame);
    }
    for (page, frame) in new.iter().enumerate() {
        domain.per_domain.set(vcpu, page, *frame);
        control::invalidate_page(per_domain::address(vcpu, page));
    }
    state.descriptor_frames.set(new);
    state.descriptor_entries.set(entries);
    let mut count = 0;
    for (slot, frame) in former.iter_mut().zip(old.iter().flatten()) {
        *slot = *frame;
        count += 1;
    }
    count
}

/// Points this CPU's LDT register at the vCPU's window.
pub fn load_local_table(vcpu: VcpuId, entries: u32) {
    let frame = cpu::this().descriptor_frame;
    descriptors::set_local_table(frame, per_domain::address(vcpu, LOCAL_TABLE), entries);
}

/// Drops the shown LDT pages of the vCPU that runs on this CPU.
#[inline]
pub fn drop_own_local_table(domain: &'static Domain, vcpu: VcpuId, state: &VcpuState) {
    drop_local_pages(domain, vcpu, state.local_table.get().1);
}

/// The same, for an LDT of `entries`.
#[inline]
pub fn drop_local_pages(domain: &'static Domain, vcpu: VcpuId, entries: u32) {
    if entries == 0 {
        return;
    }
    for page in LOCAL_TABLE..LOCAL_TABLE + LOCAL_TABLE_PAGES {
        if let Some(frame) = domain.per_domain.set(vcpu, page, None) {
            control::invalidate_page(per_domain::address(vcpu, page));
            release_segment_page(&Machine, frame);
        }
    }
}

/// Drops the shown LDT pages of a vCPU of the current domain: the running one directly; another one's CPU is made to
/// flush, so that it faults and looks again.
pub fn drop_local_table(vcpu: &'static Vcpu) {
    let mut dropped = [Mfn(0); LOCAL_TABLE_PAGES];
    let mut count = 0;
    for page in LOCAL_TABLE..LOCAL_TABLE + LOCAL_TABLE_PAGES {
        if let Some(frame) = vcpu.domain.per_domain.set(vcpu.id, page, None)
            && let Some(slot) = dropped.get_mut(count)
        {
            *slot = frame;
            count += 1;
        }
    }
    if count == 0 {
        return;
    }
    crate::interrupt::flush::on(vcpu.domain.dirty_cpus());
    for frame in dropped.iter().take(count) {
        release_segment_page(&Machine, *frame);
    }
}

/// The CPU faulted on a page of the vCPU's LDT window: shows the frame behind the guest's address. False when there is
/// none that may be a descriptor page.
pub fn show_local_table(domain: &'static Domain, vcpu: VcpuId, state: &VcpuState, page: usize) -> bool {
    let (base, entries) = state.local_table.get();
    let offset = (page as u64).wrapping_sub(LOCAL_TABLE as u64) << 12;
    if page < LOCAL_TABLE || offset >= u64::from(entries) * 8 {
        return false;
    }
    let Some(root) = state.kernel_root.get() else { return false };
    let Some(found) = guest_entry(&Machine, root, GuestVirtual(base.wrapping_add(offset))) else { return false };
    if acquire_segment_page(&Machine, found.mfn(), domain.id).is_err() {
        return false;
    }
    if let Some(former) = domain.per_domain.set(vcpu, page, Some(found.mfn())) {
        release_segment_page(&Machine, former);
    }
    true
}

/// Shows the LDT pages that `selectors` lie in, before the hypervisor itself loads them. What cannot be shown faults
/// then. Context: as for [`show_local_table`].
#[inline]
pub fn show_selectors(domain: &'static Domain, vcpu: VcpuId, state: &VcpuState, selectors: &[u16]) {
    if selectors.iter().any(|selector| selector & LOCAL != 0) {
        show_local_selectors(domain, vcpu, state, selectors);
    }
}

#[cold]
fn show_local_selectors(domain: &'static Domain, vcpu: VcpuId, state: &VcpuState, selectors: &[u16]) {
    for selector in selectors.iter().filter(|selector| **selector & LOCAL != 0) {
        let page = LOCAL_TABLE + usize::from(*selector) / 4096;
        if domain.per_domain.get(vcpu, page).is_none() {
            show_local_table(domain, vcpu, state, page);
        }
    }
}
