//! The entry from assembly: the only caller of [`super::sequence::run`].
//!
//! Context: boot CPU, interrupts off, boot page tables, boot stack. Source: multiboot 1 §3.2, multiboot 2 §3.3.

#![expect(unsafe_code, reason = "boot assembly")]

use crate::memory::layout;

core::arch::global_asm!(
    include_str!("start.S"),
    image_base = const layout::IMAGE_BASE,
    load_base = const layout::LOAD_BASE,
    image_l4_slot = const layout::slot_of(layout::IMAGE_BASE),
    image_l3_slot = const (layout::IMAGE_BASE >> 30) & 511,
    direct_l4_slot = const layout::slot_of(layout::DIRECT_MAP),
    rust_start = sym rust_start,
    options(att_syntax)
);

/// First Rust code: `magic` and `information` are what the loader left in eax and ebx.
extern "C" fn rust_start(magic: u32, information: u32) -> ! {
    super::sequence::run(magic, information)
}
