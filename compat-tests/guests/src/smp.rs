//! Further vCPUs: `VCPUOP_initialise` with a whole context, up, down. Source: public header `xen.h`, arch `vcpu_guest_context`.

use crate::buffer::Buffer;
use crate::hypercall::call3;
use crate::memory::{PAGE, mfn_of, pages};
use crate::number;
use crate::start;
use crate::trap;

/// Bytes of a vcpu_guest_context.
pub const CONTEXT: usize = 5168;
/// `VGCF_in_kernel`.
pub const IN_KERNEL: u64 = 4;

/// A vcpu_op; gives back the call's result.
pub fn operation(command: u64, vcpu: u64, argument: u64) -> i64 {
    call3(number::VCPU_OP, command, vcpu, argument)
}

/// A context that runs `function(argument)` in kernel mode on its own stack, on the boot page tables, upcalls masked.
pub fn context(function: extern "C" fn(u64) -> !, argument: u64) -> Buffer<CONTEXT> {
    let stack = pages(4) + 4 * PAGE - 8;
    let mut context = Buffer::<CONTEXT>::new()
        .u64(512, IN_KERNEL)
        .u64(520 + 112, argument)
        .u64(520 + 128, function as *const () as u64)
        .u16(520 + 136, 0xe033)
        .u64(520 + 144, 0x1000)
        .u64(520 + 152, stack)
        .u16(520 + 160, 0xe02b)
        .u64(4968, 0xe02b)
        .u64(4976, stack)
        .u64(4984 + 24, mfn_of(start::pt_base()) << 12)
        .u64(5112, trap::stub(trap::EVENT))
        .u64(5120, trap::stub(trap::FAILSAFE))
        .u64(5128, trap::stub(trap::SYSCALL));
    for vector in 0..32u8 {
        let at = 720 + usize::from(vector) * 16;
        context = context.u16(at, vector.into()).u16(at + 2, 0xe033).u64(at + 8, trap::stub(vector.into()));
    }
    context
}

/// Initialises a vCPU and brings it up.
pub fn start(vcpu: u64, function: extern "C" fn(u64) -> !, argument: u64) -> i64 {
    let mut context = context(function, argument);
    match operation(number::vcpu::INITIALISE, vcpu, context.address()) {
        0 => operation(number::vcpu::UP, vcpu, 0),
        error => error,
    }
}
