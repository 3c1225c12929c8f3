//! Exceptions and system calls that are handed to the guest kernel, and the way back.

use super::entries;
use compat_guests::cost::row_told;
use compat_guests::hypercall::call1;
use compat_guests::number;
use compat_guests::trap::{self, TrapInfo};
use compat_guests::user::{self, Entry};
use compat_guests::{cost, time};

/// Bounces between two time stamps.
const ROUNDS: u64 = 20;

/// All rows of this family.
pub fn measure() {
    let mut table = [TrapInfo::new(14, 0), TrapInfo::new(3, 3), TrapInfo::new(6, 0), TrapInfo::default()];
    table[0].address = &raw const entries::entry_fault as u64;
    table[1].address = &raw const entries::entry_resume as u64;
    table[2].address = &raw const entries::entry_skip as u64;
    call1(number::SET_TRAP_TABLE, table.as_ptr() as u64);
    in_batches("page fault bounce and iret", || entries::fault_loop(ROUNDS));
    in_batches("int3 bounce and iret", || entries::breakpoint_loop(ROUNDS));
    in_batches("undefined instruction bounce and iret", || entries::undefined_loop(ROUNDS));
    if user::prepare().is_ok() {
        from_user();
    }
    trap::install();
}

fn in_batches(name: &str, mut batch: impl FnMut()) {
    batch();
    let best = (0..10).map(|_| {
        let before = time::tsc();
        batch();
        time::tsc() - before
    });
    cost::print(name, best.min().unwrap_or(0), ROUNDS);
}

fn from_user() {
    trap::register_callback(2, 0, &raw const entries::entry_syscall as u64);
    for (name, code) in [
        ("user syscall bounce and iret", &raw const entries::user_syscalls),
        ("user page fault bounce and iret", &raw const entries::user_faults),
    ] {
        let code = Entry { rip: code as u64, flags: 0x202, selector: 0xe033 };
        row_told(name, |_| {
            user::run(code).map_or(0, |caught| caught.entry_registers[0].div_ceil(entries::USER_ROUNDS))
        });
    }
    trap::register_callback(2, 0, trap::stub(trap::SYSCALL));
}
