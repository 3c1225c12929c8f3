//! The address space and shared state of the vCPU that runs, as trap delivery needs them.
//!
//! Context: the vCPU is resident on this CPU and one of its two tables is loaded.

#![expect(unsafe_code, reason = "loads the guest's page tables and swaps its GS bases")]

use core::cell::Cell;

use abi::Mfn;
use pv_cpu::vcpu::{GuestContext, IoplView, Unreachable};
use zerocopy::IntoBytes;

use crate::{
    arch::control,
    domain::{Domain, Vcpu},
    entry::{guest_access::Words, stubs},
    fail_point::{Point, hit},
};

/// `vm_assist` type that shows IOPL to the guest.
const ARCHITECTURAL_IOPL: u32 = 4;

/// See the module.
pub struct Context<'a> {
    vcpu: &'static Vcpu,
    kernel_root: &'a Cell<Option<Mfn>>,
    user_root: &'a Cell<Option<Mfn>>,
}

impl<'a> Context<'a> {
    /// The context of the current vCPU with these top-level tables.
    #[inline(always)]
    pub fn new(vcpu: &'static Vcpu, kernel_root: &'a Cell<Option<Mfn>>, user_root: &'a Cell<Option<Mfn>>) -> Self {
        Self { vcpu, kernel_root, user_root }
    }
}

/// Whether the domain's guests see IOPL.
#[inline(always)]
pub fn iopl_view(domain: &Domain) -> IoplView {
    if domain.has_assist(ARCHITECTURAL_IOPL) { IoplView::Architectural } else { IoplView::Hidden }
}

fn load(root: Mfn) {
    // SAFETY: 1. a validated level-4 table: the hypervisor's slots were filled at its promotion and cannot change.
    unsafe { control::write_cr3(root.address().0) };
    control::swap_gs();
}

impl GuestContext for Context<'_> {
    #[inline(always)]
    fn upcall_mask(&self) -> u8 {
        self.vcpu.info().upcall_mask.load(core::sync::atomic::Ordering::Relaxed)
    }

    #[inline(always)]
    fn set_upcall_mask(&self, mask: u8) {
        self.vcpu.info().upcall_mask.store(mask, core::sync::atomic::Ordering::SeqCst);
    }

    #[inline(always)]
    fn iopl_view(&self) -> IoplView {
        iopl_view(self.vcpu.domain)
    }

    #[inline]
    fn switch_to_kernel(&mut self) {
        if let Some(root) = self.kernel_root.get() {
            load(root);
        }
    }

    #[inline]
    fn switch_to_user(&mut self) -> bool {
        match self.user_root.get() {
            Some(root) => {
                load(root);
                true
            }
            None => false,
        }
    }

    #[inline(always)]
    fn write_stack<const WORDS: usize>(&mut self, to: u64, words: &[u64; WORDS]) -> Result<(), Unreachable> {
        hit(Point::BOUNCE);
        // One of the three is the array itself; which one is known when this is compiled.
        let written = match words.as_slice() {
            &[a, b, c, d, e, f, g] => [a, b, c, d, e, f, g].write(to),
            &[a, b, c, d, e, f, g, h] => [a, b, c, d, e, f, g, h].write(to),
            words => stubs::copy_to_guest(to, words.as_bytes()),
        };
        if written { Ok(()) } else { Err(Unreachable) }
    }

    #[inline(always)]
    fn read_iret_frame(&mut self, from: u64) -> Result<[u64; 9], Unreachable> {
        hit(Point::IRET);
        Words::read(from).ok_or(Unreachable)
    }
}
