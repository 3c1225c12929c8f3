//! Debug registers of the guest. Source: Intel SDM volume 3, chapter 18.

#![expect(unsafe_code, reason = "writes debug registers")]

use core::arch::asm;

use pv_cpu::debug::DebugRegisters;

/// DR7 without any breakpoint.
pub const NONE: u64 = 0x400;
/// Breakpoints armed: any of the enable bits of DR7.
const ENABLED: u64 = pv_cpu::debug::DR7_ENABLES;

macro_rules! readers {
    ($($read:ident, $name:literal;)*) => {$(
        /// Reads the register.
        #[inline]
        pub fn $read() -> u64 {
            let value;
            // SAFETY: reads a register.
            unsafe { asm!(concat!("mov {}, ", $name), out(reg) value, options(nomem, nostack, preserves_flags)) };
            value
        }
    )*};
}

macro_rules! writers {
    ($($write:ident, $name:literal;)*) => {$(
        /// Writes the register. Addresses were checked not to be the hypervisor's.
        #[inline]
        pub fn $write(value: u64) {
            // SAFETY: breakpoints lie outside the hypervisor (checked where the guest sets them).
            unsafe { asm!(concat!("mov ", $name, ", {}"), in(reg) value, options(nomem, nostack, preserves_flags)) };
        }
    )*};
}

readers! {
    read_dr6, "dr6";
    read_dr7, "dr7";
}

writers! {
    write_dr0, "dr0";
    write_dr1, "dr1";
    write_dr2, "dr2";
    write_dr3, "dr3";
    write_dr6, "dr6";
    write_dr7, "dr7";
}

/// Loads a guest's breakpoints; off when it has none, so that another's never fire.
#[inline]
pub fn load(registers: &DebugRegisters) {
    let control = registers.hardware_dr7();
    if control & ENABLED == 0 {
        if read_dr7() & ENABLED != 0 {
            write_dr7(NONE);
        }
        return;
    }
    let [first, second, third, fourth] = registers.addresses();
    write_dr0(first);
    write_dr1(second);
    write_dr2(third);
    write_dr3(fourth);
    write_dr6(0xFFFF_0FF0);
    write_dr7(control);
}
