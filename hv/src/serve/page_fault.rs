//! Page faults: LDT pages shown on demand, page-table writes done for the guest, writes to read-only device pages, and
//! the guest's own.
//!
//! Hot path: a fault that is the guest's own is told apart by its address and error code alone.

use abi::{DomainId, GuestVirtual};
use core::sync::atomic::Ordering::Relaxed;
use pv_cpu::{exception::Vector, exception::page_fault, store, trap_table::Mode};
use pv_mmu::{GuestWrite, WriteOutcome, apply_guest_write, get_page, guest_entry, is_table_write_fault, put_page};

use super::{Caller, descriptors, emulate, traps};
use crate::{
    domain::per_domain,
    fail_point::{Point, hit},
    memory::{layout, mmu::Machine, window},
};

const PROTECTION_WRITE: u32 = page_fault::PRESENT | page_fault::WRITE;

/// One page fault at `address`.
#[inline(never)]
pub fn handle(caller: &mut Caller<'_>, address: u64, error_code: u32) {
    hit(Point::PAGE_FAULT);
    let hypervisor = (layout::MACHINE_TO_PHYSICAL..abi::frame::HYPERVISOR_END).contains(&address);
    if hypervisor && in_window(caller, address, error_code) {
        return;
    }
    if !hypervisor
        && error_code & PROTECTION_WRITE == PROTECTION_WRITE
        && caller.state.virtual_cpu.mode == Mode::Kernel
        && write_for_guest(caller, GuestVirtual(address))
    {
        return;
    }
    caller.vcpu.info().cr2.store(address, Relaxed);
    traps::raise_page_fault(caller, error_code);
}

/// A fault in the vCPU's own GDT/LDT window, which the CPU touches on the guest's behalf. True when it was resolved or
/// became another exception.
#[cold]
fn in_window(caller: &mut Caller<'_>, address: u64, error_code: u32) -> bool {
    if layout::slot_of(address) != layout::PER_DOMAIN_SLOT || error_code & page_fault::USER != 0 {
        return false;
    }
    let (vcpu, page) = per_domain::position(address);
    if vcpu != caller.vcpu.id || page < per_domain::LOCAL_TABLE {
        return false;
    }
    if descriptors::show_local_table(caller.domain, vcpu, caller.state, page) {
        return true;
    }
    let (base, _) = caller.state.local_table.get();
    let offset = address - per_domain::address(vcpu, per_domain::LOCAL_TABLE);
    let linear = GuestVirtual(base.wrapping_add(offset));
    if linear.is_canonical() {
        caller.vcpu.info().cr2.store(linear.0, Relaxed);
        traps::raise(caller, Vector::PAGE_FAULT, error_code);
    } else {
        traps::raise(caller, Vector::GENERAL_PROTECTION, (offset as u32) & 0xFFFC);
    }
    true
}

/// A write by the guest's kernel to a page it may only read: a page table of its own, or a device page that is kept
/// read-only. True when it was done. As on Xen, the `writable_page_tables` assist need not be on.
#[cold]
fn write_for_guest(caller: &mut Caller<'_>, address: GuestVirtual) -> bool {
    let Some(root) = caller.state.kernel_root.get() else { return false };
    if is_table_write_fault(&Machine, caller.domain.id, root, address) {
        return write_table(caller, root, address);
    }
    let Some(entry) = guest_entry(&Machine, root, address) else { return false };
    caller.domain.rights.has_io() && emulate::write_read_only_page(caller, entry.mfn(), address)
}

fn write_table(caller: &mut Caller<'_>, root: abi::Mfn, address: GuestVirtual) -> bool {
    let Some(store) = emulate::decode_store(caller) else { return false };
    if store.address != address.0 {
        return false;
    }
    let size = usize::from(store.width);
    // Read-modify-write instructions become compare-and-exchange on what stands there, until nobody came in between.
    for _ in 0..4 {
        // A plain store does not ask what is there.
        let is_plain = matches!(store.kind, store::StoreKind::Write(_));
        let found = if is_plain { Some(0) } else { guest_word(caller.domain.id, root, address, size) };
        let Some(old) = found else { return false };
        let (write, expected) = match store.apply(caller.registers, old) {
            Some(new) if is_plain => (GuestWrite::Store(new), None),
            Some(new) => (GuestWrite::CompareExchange { expected: old, new }, Some(old)),
            None => {
                store.retire(caller.registers, old);
                return true;
            }
        };
        match apply_guest_write(&Machine, caller.domain.id, root, address, size, write) {
            WriteOutcome::Done(before) => {
                store.retire(caller.registers, expected.unwrap_or(before));
                return true;
            }
            WriteOutcome::Mismatch(_) => {}
            WriteOutcome::NotHandled => return false,
        }
    }
    // The guest fights with itself: let it run the instruction again.
    true
}

/// What stands at `address`, `size` bytes, through the tables under `root`, in a frame of `owner`.
fn guest_word(owner: DomainId, root: abi::Mfn, address: GuestVirtual, size: usize) -> Option<u64> {
    let frame = guest_entry(&Machine, root, address)?.mfn();
    let offset = address.0 as usize & 0xFFF;
    // Held: another vCPU may change the entry and give the frame back between the walk and the read.
    let info = get_page(&Machine, frame, owner).ok()?;
    let word = window::words(frame).get(offset / 8).map(|word| word.load(Relaxed));
    put_page(&Machine, frame, info);
    let shifted = word? >> (8 * (offset & 7));
    Some(if size == 8 { shifted } else { shifted & ((1 << (8 * size)) - 1) })
}
