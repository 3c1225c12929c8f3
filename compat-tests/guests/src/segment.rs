//! Reading selectors and making descriptors.

/// The current cs, ds, es, fs, gs, ss.
pub fn selectors() -> [u64; 6] {
    let mut found = [0u64; 6];
    // SAFETY: moves out of segment registers only.
    unsafe {
        core::arch::asm!("mov {:r}, cs", out(reg) found[0]);
        core::arch::asm!("mov {:r}, ds", out(reg) found[1]);
        core::arch::asm!("mov {:r}, es", out(reg) found[2]);
        core::arch::asm!("mov {:r}, fs", out(reg) found[3]);
        core::arch::asm!("mov {:r}, gs", out(reg) found[4]);
        core::arch::asm!("mov {:r}, ss", out(reg) found[5]);
    }
    found
}

/// A descriptor from base, limit, access byte and the flags nibble (G, D/B, L, AVL).
pub const fn descriptor(base: u32, limit: u32, access: u8, flags: u8) -> u64 {
    (limit as u64 & 0xffff)
        | (base as u64 & 0xff_ffff) << 16
        | (access as u64) << 40
        | (limit as u64 >> 16 & 15) << 48
        | (flags as u64 & 15) << 52
        | (base as u64 >> 24) << 56
}
