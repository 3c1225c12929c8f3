//! The guest's register file, as the entry stubs of `hv` save it on the hypervisor's stack.
//!
//! The memory order is fixed: the stubs push it, the hardware pushes its last five words. It equals the order of
//! `cpu_user_regs` in Xen's public header `arch-x86/xen-x86_64.h`, so copying one into the other is straight-line code.
//! Owned by the CPU that runs the vCPU while it is in the hypervisor; needs no lock.

/// General registers, entry cause and hardware frame of one guest entry. 168 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Registers {
    /// General register r15.
    pub r15: u64,
    /// General register r14.
    pub r14: u64,
    /// General register r13.
    pub r13: u64,
    /// General register r12.
    pub r12: u64,
    /// General register rbp.
    pub rbp: u64,
    /// General register rbx.
    pub rbx: u64,
    /// General register r11.
    pub r11: u64,
    /// General register r10.
    pub r10: u64,
    /// General register r9.
    pub r9: u64,
    /// General register r8.
    pub r8: u64,
    /// General register rax.
    pub rax: u64,
    /// General register rcx.
    pub rcx: u64,
    /// General register rdx.
    pub rdx: u64,
    /// General register rsi.
    pub rsi: u64,
    /// General register rdi.
    pub rdi: u64,
    /// Error code the CPU pushed, or 0.
    pub error_code: u32,
    /// Why the hypervisor was entered: a vector, or the marker bit [`Registers::SYSCALL`].
    pub entry_vector: u32,
    /// Instruction pointer.
    pub rip: u64,
    /// Code selector; only bits 15:0 carry meaning.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack selector; only bits 15:0 carry meaning.
    pub ss: u64,
}

impl Registers {
    /// Bit of `entry_vector` that says rcx and r11 are the guest's no longer (it came by SYSCALL, or was just bounced),
    /// so that SYSRET, which overwrites both, may take it back.
    pub const SYSCALL: u32 = 0x100;

    /// Whether rcx and r11 may be overwritten with rip and rflags on the way back.
    #[inline(always)]
    pub const fn may_sysret(&self) -> bool {
        self.entry_vector & Self::SYSCALL != 0
    }

    /// The code selector.
    #[inline(always)]
    pub const fn code_selector(&self) -> u16 {
        self.cs as u16
    }
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Registers>() == 168);
    assert!(offset_of!(Registers, rax) == 80);
    assert!(offset_of!(Registers, rdi) == 112);
    assert!(offset_of!(Registers, error_code) == 120);
    assert!(offset_of!(Registers, entry_vector) == 124);
    assert!(offset_of!(Registers, rip) == 128);
    assert!(offset_of!(Registers, ss) == 160);
};
