//! Privileged instructions that the hypervisor carries out for the guest.

use compat_guests::buffer::Buffer;
use compat_guests::cost::row;
use compat_guests::hypercall::call2;
use compat_guests::number;
use core::arch::asm;

/// `PHYSDEVOP_set_iopl`.
const SET_IOPL: u64 = 6;

/// All rows of this family.
pub fn measure() {
    let mut argument = Buffer::<8>::new().u32(0, 1);
    call2(number::PHYSDEV_OP, SET_IOPL, argument.address());
    // SAFETY of all below: emulated accesses without an effect on this program.
    row("forced-emulation CPUID", |_| unsafe {
        asm!("mov r9, rbx", ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2", "mov rbx, r9",
            inout("rax") 1u64 => _, inout("rcx") 0u64 => _, out("rdx") _, out("r9") _)
    });
    row("emulated RDMSR EFER", |_| unsafe { asm!("rdmsr", in("ecx") 0xc000_0080u32, out("eax") _, out("edx") _) });
    row("emulated WRMSR KERNEL_GS_BASE", |_| unsafe {
        asm!("wrmsr", in("ecx") 0xc000_0102u32, in("eax") 0, in("edx") 0)
    });
    row("emulated MOV from CR0", |_| unsafe { asm!("mov {}, cr0", out(reg) _) });
    row("emulated CLTS", |_| unsafe { asm!("clts") });
    row("emulated IN", |_| unsafe { asm!("in al, 0x80", out("al") _) });
    row("emulated OUT", |_| unsafe { asm!("out 0x80, al", in("al") 0u8) });
}
