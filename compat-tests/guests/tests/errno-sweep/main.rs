//! What every hypercall answers to arguments that are wrong in the usual ways: each result is a VALUE to compare.
//!
//! Left out: what would end the machine or change real hardware (shutdown, block without end, vCPU 0 down, ACPI sleep,
//! microcode, MTRRs, CPU and memory hotplug), and the bodies of domctl and sysctl.
#![no_std]
#![no_main]

mod calls;
mod families;

use compat_guests::sweep::one;
use compat_guests::{events, hypercall, number, trap};

compat_guests::guest!(main);

fn main() {
    // The builder starts a periodic timer; its event must not end a later poll or show up in a word.
    hypercall::call3(number::VCPU_OP, number::vcpu::STOP_PERIODIC_TIMER, 0, 0);
    events::mask_upcalls();
    plain_numbers();
    trap::install();
    families::version();
    families::memory();
    families::events();
    families::grants();
    families::scheduling();
    families::vcpus();
    families::physdev();
    families::platform();
    families::others();
    calls::traps_and_callbacks();
    calls::tables();
    calls::mappings();
    calls::descriptors();
    calls::registers();
    calls::multicalls();
    calls::console();
}

/// Every number with all arguments zero; 23 (iret) leaves for good.
fn plain_numbers() {
    for number in (0..72).chain([127, 128, 255, 0xffff_ffff, 1 << 32, u64::MAX]) {
        if number != number::IRET {
            one(format_args!("zero"), number, [0; 5]);
        }
    }
}
