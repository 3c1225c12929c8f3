//! Calls that do next to nothing: what getting in and out costs.

use compat_guests::cost::row;
use compat_guests::hypercall::{call1, call2};
use compat_guests::number::{self, sched, vcpu};
use compat_guests::{smp, time};

/// All rows of this family.
pub fn measure() {
    row("null hypercall (xen_version)", |_| _ = call2(number::XEN_VERSION, 0, 0));
    row("unknown hypercall number", |_| _ = call1(63, 0));
    let mut list = [[0u64; 8]; 32];
    row("multicall of 32 xen_version", |_| {
        for one in &mut list {
            one[0] = number::XEN_VERSION;
        }
        call2(number::MULTICALL, list.as_ptr() as u64, 32);
    });
    row("sched_op yield", |_| _ = call2(number::SCHED_OP, sched::YIELD, 0));
    row("stack_switch", |_| _ = call2(number::STACK_SWITCH, 0xe02b, 0xffff_ffff_8050_0000));
    row("set_segment_base", |_| _ = call2(number::SET_SEGMENT_BASE, 0, 0));
    row("fpu_taskswitch", |_| _ = call1(number::FPU_TASKSWITCH, 0));
    let later = time::now() + 1_000_000_000;
    row("set_timer_op", |round| _ = call1(number::SET_TIMER_OP, later + round));
    call1(number::SET_TIMER_OP, 0);
    row("vcpu_op is_up", |_| _ = smp::operation(vcpu::IS_UP, 0, 0));
}
