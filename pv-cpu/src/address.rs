//! Which linear addresses a guest may use.
//!
//! Source: Xen public header `arch-x86/xen-x86_64.h` (`HYPERVISOR_VIRT_START`), Intel SDM vol. 1 section 3.3.7.1.

use abi::frame::HYPERVISOR_END;

/// First address above the lower canonical half.
const LOWER_HALF_END: u64 = 1 << 47;

/// Whether bits 63 to 47 are all equal.
#[inline(always)]
pub const fn is_canonical(address: u64) -> bool {
    ((address << 16) as i64 >> 16) as u64 == address
}

/// Whether the address is canonical and not the hypervisor's.
#[inline(always)]
pub const fn is_guest_address(address: u64) -> bool {
    address < LOWER_HALF_END || address >= HYPERVISOR_END
}

/// Whether `len` bytes (at least one) from `start` are canonical, not the hypervisor's, and do not wrap.
#[inline(always)]
pub const fn is_guest_span(start: u64, len: u64) -> bool {
    if start >= HYPERVISOR_END {
        return start <= u64::MAX - (len - 1);
    }
    start < LOWER_HALF_END && len <= LOWER_HALF_END - start
}
