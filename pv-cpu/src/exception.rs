//! Exceptions raised in the guest: their vectors, and which of them push an error code.
//!
//! Source: Intel SDM vol. 3 chapter 6.

/// An interrupt vector, 0 to 255.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Vector(pub u8);

impl Vector {
    /// Divide error.
    pub const DIVIDE: Vector = Vector(0);
    /// Debug.
    pub const DEBUG: Vector = Vector(1);
    /// Non-maskable interrupt.
    pub const NMI: Vector = Vector(2);
    /// Breakpoint, `int3`.
    pub const BREAKPOINT: Vector = Vector(3);
    /// Overflow, `into`.
    pub const OVERFLOW: Vector = Vector(4);
    /// Invalid opcode.
    pub const INVALID_OPCODE: Vector = Vector(6);
    /// FPU not available.
    pub const NO_DEVICE: Vector = Vector(7);
    /// Double fault.
    pub const DOUBLE_FAULT: Vector = Vector(8);
    /// Invalid TSS.
    pub const INVALID_TSS: Vector = Vector(10);
    /// Segment not present.
    pub const NO_SEGMENT: Vector = Vector(11);
    /// Stack fault.
    pub const STACK: Vector = Vector(12);
    /// General protection.
    pub const GENERAL_PROTECTION: Vector = Vector(13);
    /// Page fault.
    pub const PAGE_FAULT: Vector = Vector(14);
    /// Alignment check.
    pub const ALIGNMENT: Vector = Vector(17);
    /// Machine check.
    pub const MACHINE_CHECK: Vector = Vector(18);
    /// Control protection.
    pub const CONTROL_PROTECTION: Vector = Vector(21);
    /// Linux's old system call.
    pub const SYSCALL_80: Vector = Vector(0x80);

    /// Whether the CPU, and so the guest's frame, carries an error code.
    #[inline(always)]
    pub const fn has_error_code(self) -> bool {
        const WITH_CODE: u32 = 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21;
        self.0 < 32 && WITH_CODE & (1 << self.0) != 0
    }
}

/// Bits of a page fault's error code.
pub mod page_fault {
    /// The translation exists; its rights were exceeded.
    pub const PRESENT: u32 = 1 << 0;
    /// The access was a write.
    pub const WRITE: u32 = 1 << 1;
    /// The access came from user mode.
    pub const USER: u32 = 1 << 2;
    /// The access was an instruction fetch.
    pub const FETCH: u32 = 1 << 4;
}

/// An exception to raise in the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exception {
    /// Its vector.
    pub vector: Vector,
    /// Its error code; ignored for vectors that have none.
    pub error_code: u32,
    /// The faulting address, for a page fault.
    pub address: u64,
}

impl Exception {
    /// An exception without an address. Arguments: its vector and error code (0 where there is none).
    pub const fn new(vector: Vector, error_code: u32) -> Self {
        Exception { vector, error_code, address: 0 }
    }

    /// The general protection fault with error code 0.
    pub const GENERAL_PROTECTION: Exception = Exception::new(Vector::GENERAL_PROTECTION, 0);
    /// The invalid opcode fault.
    pub const INVALID_OPCODE: Exception = Exception::new(Vector::INVALID_OPCODE, 0);

    /// A page fault at `address`; `error_code` as the CPU would push it.
    pub const fn page_fault(address: u64, error_code: u32) -> Self {
        Exception { vector: Vector::PAGE_FAULT, error_code, address }
    }
}
