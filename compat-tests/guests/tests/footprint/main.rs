//! How much memory the hypervisor leaves: `FIGURE name=pages`. What it cannot be asked is not printed.
#![no_std]
#![no_main]

use compat_guests::buffer::Buffer;
use compat_guests::hypercall::{call1, call2};
use compat_guests::number::{self, memory as op};
use compat_guests::{memory, report, say, time};

compat_guests::guest!(main);

/// `XEN_SYSCTL_physinfo` and the version of the interface: 4.17's and 4.20's.
const PHYSINFO: u32 = 3;
const VERSION: u32 = 0x15;
/// Where the union starts, and in it the number of free pages.
const FREE_PAGES: usize = 8 + 48;
/// Nanoseconds until the hypervisor has given back what only its start needed.
const SETTLED: u64 = 2_000_000_000;

fn main() {
    memory::shared_info();
    time::poll(&[], time::now() + SETTLED);
    let mut domain = Buffer::<8>::new().u16(0, number::DOMID_SELF as u16);
    let pages = call2(number::MEMORY_OP, op::CURRENT_RESERVATION, domain.address());
    report::check("reservation", (pages > 0).into(), format_args!("{pages}"));
    say!("FIGURE dom0 pages={pages}");
    let mut argument = Buffer::<136>::new().u32(0, PHYSINFO).u32(4, VERSION);
    if call1(number::SYSCTL, argument.address()) == 0 {
        say!("FIGURE free pages={}", argument.get_u64(FREE_PAGES));
    }
}
