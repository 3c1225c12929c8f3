//! Where everything lies in the hypervisor's part of every address space (page-table slots 256 to 271).
//!
//! A guest may see the machine-to-physical table of slot 256, read-only; all else is supervisor-only. Source for the
//! outer limits: Xen public header `arch-x86/xen-x86_64.h`; the order inside them is ours.

/// First and one-past-last top-level slot of the hypervisor.
pub const HYPERVISOR_SLOTS: core::ops::Range<usize> = 256..272;

/// Slot 256: the machine-to-physical table as guests read it, 8 bytes a frame.
pub const MACHINE_TO_PHYSICAL: u64 = 0xFFFF_8000_0000_0000;

/// Slot 257: device registers and firmware tables, mapped as they are asked for.
pub const DEVICE_WINDOW: u64 = 0xFFFF_8080_0000_0000;
/// Bytes of the device window.
pub const DEVICE_WINDOW_SIZE: u64 = 1 << 30;

/// Slot 260: the per-domain slot, GDT and LDT windows of every vCPU.
pub const PER_DOMAIN: u64 = 0xFFFF_8200_0000_0000;
/// The top-level slot of [`PER_DOMAIN`].
pub const PER_DOMAIN_SLOT: usize = 260;
/// Bytes of one vCPU's window: 16 pages of GDT, then 16 pages of LDT.
pub const VCPU_WINDOW_SIZE: u64 = 32 * 4096;

/// Slot 261, lower part: the machine-to-physical table as the hypervisor writes it.
pub const MACHINE_TO_PHYSICAL_WRITABLE: u64 = 0xFFFF_8280_0000_0000;

/// Slot 261: the image, at the address `link.ld` gives it.
pub const IMAGE_BASE: u64 = 0xFFFF_82D0_0000_0000;
/// Physical address the loader puts the image at.
pub const LOAD_BASE: u64 = 0x20_0000;

/// Slot 261, 1 GiB above the image and so within reach of its relative jumps: CPU stacks.
pub const CPU_BLOCKS: u64 = IMAGE_BASE + (1 << 30);

/// Slot 261: the byte heap, mapped as it grows.
pub const HEAP: u64 = 0xFFFF_82D4_0000_0000;
/// Bytes the heap may grow to.
pub const HEAP_SIZE: u64 = 1 << 30;

/// Slot 261: the frame table, one record a frame, mapped only where memory is.
pub const FRAME_TABLE: u64 = 0xFFFF_82E0_0000_0000;

/// Slots 262 to 271: the direct map of all memory, reached only through `memory::window`.
pub const DIRECT_MAP: u64 = 0xFFFF_8300_0000_0000;

/// The top-level slot of an address.
pub const fn slot_of(address: u64) -> usize {
    ((address >> 39) & 511) as usize
}
