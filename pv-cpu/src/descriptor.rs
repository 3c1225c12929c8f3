//! Which descriptors a guest may have in its GDT and LDT pages.
//!
//! A page becomes a descriptor page only after all its entries pass here, and may not be written by the guest while it is
//! one. Entries are rewritten where that makes them harmless. Source: inventory of the PV contract; Intel SDM vol. 3
//! sections 3.4.5 and 5.8.3; AMD APM vol. 2 section 4.8 (long-mode call gates).

use abi::{Errno, Result};

use crate::selector::{FIRST_RESERVED_GDT_ENTRY, FLAT_CODE_64, TABLE_INDICATOR};

/// Descriptors in a page.
pub const PER_PAGE: usize = 512;

/// A segment descriptor or half of a call gate, as the table holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Descriptor(pub u64);

const PRESENT: u64 = 1 << 47;
const LEVEL_SHIFT: u32 = 45;
const LEVEL: u64 = 3 << LEVEL_SHIFT;
/// Set for code and data, clear for system descriptors.
const CODE_OR_DATA: u64 = 1 << 44;
const TYPE_SHIFT: u32 = 40;
const TYPE: u64 = 0xF << TYPE_SHIFT;
const TYPE_CALL_GATE: u64 = 0xC << TYPE_SHIFT;
/// Parameter count and reserved bits of a call gate; a long-mode gate has none.
const GATE_RESERVED: u64 = 0xFF << 32;
const SELECTOR_SHIFT: u32 = 16;

impl Descriptor {
    /// The descriptor as it may stand in a 64-bit guest's table, or `EINVAL`.
    ///
    /// Anything not present passes. Code and data get privilege level 3. Of the system kinds, type 0 passes (it is the
    /// upper half of a long-mode call gate) and call gates into guest code do; a gate's level of 3 moves into its target
    /// selector and becomes 0, so that using it faults and can be seen.
    #[inline]
    pub const fn checked(self) -> Result<Descriptor> {
        let raw = self.0;
        if raw & PRESENT == 0 {
            return Ok(self);
        }
        if raw & CODE_OR_DATA != 0 {
            return Ok(Descriptor(raw | LEVEL));
        }
        if raw & TYPE == 0 {
            return Ok(self);
        }
        if raw & TYPE != TYPE_CALL_GATE || raw & GATE_RESERVED != 0 {
            return Err(Errno::EINVAL);
        }
        let selector = (raw >> SELECTOR_SHIFT) as u16;
        if !is_gate_target(selector) {
            return Err(Errno::EINVAL);
        }
        Ok(Descriptor(raw & !LEVEL | LEVEL >> LEVEL_SHIFT << SELECTOR_SHIFT))
    }
}

/// Whether a call gate may lead to `selector`: the LDT, the guest's part of the GDT, or the flat kernel code segment.
const fn is_gate_target(selector: u16) -> bool {
    selector >> 3 < FIRST_RESERVED_GDT_ENTRY || selector & TABLE_INDICATOR != 0 || selector == FLAT_CODE_64
}
