//! The state a PV guest asks a new vCPU to start with: checked whole before any of it is used.
//!
//! What can be decided from the numbers alone is decided here; page tables and descriptor-table frames are the host's
//! to type. Source: Xen public header `arch-x86/xen.h` (`vcpu_guest_context`).

use abi::xen_x86::{FIRST_RESERVED_GDT_ENTRY, VcpuGuestContext};
use abi::{Errno, GuestVirtual, Result};

/// Entries of a full LDT.
const LDT_ENTRIES_MAX: u64 = 8192;
/// The requested privilege level of everything a 64-bit PV guest runs.
const GUEST_RING: u16 = 3;

/// A context whose addresses are canonical, whose selectors are of the guest's ring and whose sizes are in bounds.
#[derive(Clone, Copy, Debug)]
pub struct CheckedContext<'a>(&'a VcpuGuestContext);

impl CheckedContext<'_> {
    /// The checked values.
    pub fn values(&self) -> &VcpuGuestContext {
        self.0
    }
}

/// Checks a context and forces its selectors into the guest's ring. Errors: `EINVAL`.
pub fn check(context: &mut VcpuGuestContext) -> Result<CheckedContext<'_>> {
    let addresses = [
        context.registers.rip,
        context.registers.rsp,
        context.kernel_sp,
        context.fs_base,
        context.gs_base_kernel,
        context.gs_base_user,
        context.event_callback.0,
        context.syscall_callback.0,
        context.failsafe_callback.0,
    ];
    if !addresses.into_iter().all(|address| GuestVirtual(address).is_canonical()) || !descriptor_tables_fit(context) {
        return Err(Errno::EINVAL);
    }
    context.registers.ss |= GUEST_RING;
    context.registers.cs |= GUEST_RING;
    context.kernel_ss |= u64::from(GUEST_RING);
    for trap in &mut context.traps {
        if !GuestVirtual(trap.address).is_canonical() {
            return Err(Errno::EINVAL);
        }
        trap.code_selector |= GUEST_RING;
    }
    Ok(CheckedContext(context))
}

fn descriptor_tables_fit(context: &VcpuGuestContext) -> bool {
    let ldt = context.ldt_base;
    let ldt_fits = ldt.0.is_multiple_of(abi::frame::PAGE_SIZE as u64)
        && context.ldt_entries <= LDT_ENTRIES_MAX
        && ldt.is_guest_range(1);
    ldt_fits && context.gdt_entries <= u64::from(FIRST_RESERVED_GDT_ENTRY)
}
