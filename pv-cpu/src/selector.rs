//! Segment selectors of a 64-bit PV guest: Xen's flat ones, and the privilege level every guest selector is forced to.
//!
//! A 64-bit PV kernel runs in ring 3 like its user mode; "kernel" is a mode the hypervisor remembers, not a ring.
//! Source: Xen public headers `arch-x86/xen.h` (reserved GDT entries) and `arch-x86/xen-x86_64.h` (`FLAT_RING3_*`).

/// 64-bit code, the selector a bounced guest kernel runs with.
pub const FLAT_CODE_64: u16 = 0xE033;
/// 32-bit code.
pub const FLAT_CODE_32: u16 = 0xE023;
/// 32-bit data and every mode's stack.
pub const FLAT_STACK: u16 = 0xE02B;
/// First GDT entry that belongs to the hypervisor.
pub const FIRST_RESERVED_GDT_ENTRY: u16 = 14 * 512;
/// Bit of a selector that points it at the LDT.
pub const TABLE_INDICATOR: u16 = 4;

/// The selector with its requested privilege level raised to 3, the ring all guest code runs in.
#[inline(always)]
pub const fn guest_selector(selector: u16) -> u16 {
    selector | 3
}

/// What set_segment_base loads for the inactive user GS: null selectors stay as they are, others get level 3.
#[inline(always)]
pub const fn user_gs_selector(selector: u16) -> u16 {
    if selector > 3 { guest_selector(selector) } else { selector }
}
