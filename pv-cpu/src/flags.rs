//! RFLAGS bits and the sets of them that matter to a guest running in ring 3.
//!
//! Source: Intel SDM vol. 1 section 3.4.3, vol. 2 SYSRET and IRET.

/// Carry.
pub const CARRY: u64 = 1 << 0;
/// Always one.
pub const ONE: u64 = 1 << 1;
/// Parity of the low byte.
pub const PARITY: u64 = 1 << 2;
/// Carry out of bit 3.
pub const ADJUST: u64 = 1 << 4;
/// Zero.
pub const ZERO: u64 = 1 << 6;
/// Sign.
pub const SIGN: u64 = 1 << 7;
/// Trap (single step).
pub const TRAP: u64 = 1 << 8;
/// Interrupts enabled.
pub const INTERRUPT: u64 = 1 << 9;
/// String direction down.
pub const DIRECTION: u64 = 1 << 10;
/// Overflow.
pub const OVERFLOW: u64 = 1 << 11;
/// I/O privilege level, two bits.
pub const IOPL: u64 = 3 << 12;
/// Where [`IOPL`] starts.
pub const IOPL_SHIFT: u32 = 12;
/// Nested task.
pub const NESTED: u64 = 1 << 14;
/// Resume: no instruction breakpoint on the next instruction.
pub const RESUME: u64 = 1 << 16;
/// Virtual-8086 mode.
pub const VIRTUAL_8086: u64 = 1 << 17;
/// Alignment check.
pub const ALIGNMENT: u64 = 1 << 18;
/// Virtual interrupt flag.
pub const VIRTUAL_INTERRUPT: u64 = 1 << 19;
/// Virtual interrupt pending.
pub const VIRTUAL_PENDING: u64 = 1 << 20;
/// CPUID available (a scratch bit).
pub const IDENTIFICATION: u64 = 1 << 21;

/// What a guest may set for itself; it has NT, because ring 3 can set that by POPF and nothing of ours depends on it.
pub const GUEST_OWNED: u64 =
    CARRY | PARITY | ADJUST | ZERO | SIGN | TRAP | DIRECTION | OVERFLOW | NESTED | RESUME | ALIGNMENT | IDENTIFICATION;

/// What is set whenever a guest runs: interrupts are the hypervisor's, a guest's own flag is the upcall mask.
pub const GUEST_FORCED: u64 = INTERRUPT | ONE;

/// What delivery of a trap clears.
pub const CLEARED_ON_ENTRY: u64 = TRAP | NESTED | RESUME | VIRTUAL_8086 | ALIGNMENT;

/// Status flags that arithmetic writes.
pub const ARITHMETIC: u64 = CARRY | PARITY | ADJUST | ZERO | SIGN | OVERFLOW;

/// The flags a guest asked for, cut down to what it may have.
#[inline(always)]
pub const fn guest_flags(wanted: u64) -> u64 {
    (wanted & GUEST_OWNED) | GUEST_FORCED
}
