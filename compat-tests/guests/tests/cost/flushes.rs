//! Flushes and changes of the base of the page tables.

use compat_guests::cost::row;
use compat_guests::hypercall::mmuext;
use compat_guests::memory::{mfn_of, page};
use compat_guests::number::mmuext as ext;
use compat_guests::start;

/// All rows of this family.
pub fn measure() {
    let target = page();
    let this_vcpu = 1u64;
    let mask = &raw const this_vcpu as u64;
    for (name, command, first, second) in [
        ("mmuext TLB_FLUSH_LOCAL", ext::TLB_FLUSH_LOCAL, 0, 0),
        ("mmuext INVLPG_LOCAL", ext::INVLPG_LOCAL, target, 0),
        ("mmuext TLB_FLUSH_MULTI of oneself", ext::TLB_FLUSH_MULTI, 0, mask),
        ("mmuext INVLPG_MULTI of oneself", ext::INVLPG_MULTI, target, mask),
        ("mmuext TLB_FLUSH_ALL", ext::TLB_FLUSH_ALL, 0, 0),
        ("mmuext INVLPG_ALL", ext::INVLPG_ALL, target, 0),
        ("mmuext NEW_BASEPTR", ext::NEW_BASEPTR, mfn_of(start::pt_base()), 0),
    ] {
        row(name, |_| _ = mmuext(command, first, second));
    }
}
