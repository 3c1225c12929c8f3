//! The one way into the hypervisor: `syscall` with the number in rax and up to five arguments.
//!
//! Safe to call although a call can do anything to the guest: a test guest is there to find out.

use crate::number;

/// Makes hypercall `number` and gives back rax.
#[inline(always)]
pub fn call(number: u64, arguments: [u64; 5]) -> i64 {
    let result: i64;
    // SAFETY: whatever the call does to this guest is what the test asks for; the clobbers are those of `syscall`.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as i64 => result,
            in("rdi") arguments[0], in("rsi") arguments[1], in("rdx") arguments[2],
            in("r10") arguments[3], in("r8") arguments[4],
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// A call with one argument.
#[inline(always)]
pub fn call1(number: u64, a: u64) -> i64 {
    call(number, [a, 0, 0, 0, 0])
}

/// A call with two arguments.
#[inline(always)]
pub fn call2(number: u64, a: u64, b: u64) -> i64 {
    call(number, [a, b, 0, 0, 0])
}

/// A call with three arguments.
#[inline(always)]
pub fn call3(number: u64, a: u64, b: u64, c: u64) -> i64 {
    call(number, [a, b, c, 0, 0])
}

/// A call with four arguments.
#[inline(always)]
pub fn call4(number: u64, a: u64, b: u64, c: u64, d: u64) -> i64 {
    call(number, [a, b, c, d, 0])
}

/// One `mmuext_op`; gives back the call's result.
pub fn mmuext(command: u64, first: u64, second: u64) -> i64 {
    let operation = [command, first, second];
    call4(number::MMUEXT_OP, operation.as_ptr() as u64, 1, 0, number::DOMID_SELF)
}

/// One `mmu_update` of the caller's own tables or M2P.
pub fn mmu_update(pointer: u64, value: u64) -> i64 {
    let update = [pointer, value];
    call4(number::MMU_UPDATE, update.as_ptr() as u64, 1, 0, number::DOMID_SELF)
}

/// `update_va_mapping` of one address in the current address space.
pub fn update_va_mapping(address: u64, entry: u64, flags: u64) -> i64 {
    call3(number::UPDATE_VA_MAPPING, address, entry, flags)
}

/// Ends the domain for a reason (0 power-off, 1 reboot, 3 crash); as dom0 that ends the machine.
pub fn shutdown(reason: u32) -> ! {
    let argument = [reason];
    call2(number::SCHED_OP, number::sched::SHUTDOWN, argument.as_ptr() as u64);
    loop {
        core::hint::spin_loop();
    }
}
