//! Calls that a timer interrupts half-way: they go on by themselves, and leave every register alone that is neither the
//! result nor an argument of the call.

use compat_guests::buffer::Buffer;
use compat_guests::number::{self, vcpu};
use compat_guests::report::check;
use compat_guests::{events, memory, smp};

const UPDATES: usize = 512;
const ROUNDS: u32 = 200;
const PERIOD: u64 = 1_000_000;
const MARK: u64 = 0x5a5a_0000_1234_5678;

/// mmu_update of a whole list; the result and the registers r8, r9, r12 and r13 after it, which started as marks.
fn update(list: &[[u64; 2]; UPDATES]) -> (i64, [u64; 4]) {
    let result: i64;
    let mut kept = [MARK, MARK + 1, MARK + 2, MARK + 3];
    // SAFETY: the call writes entries that the guest has already; the clobbers are those of `syscall` and its arguments.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number::MMU_UPDATE as i64 => result,
            inlateout("rdi") list.as_ptr() => _, inlateout("rsi") UPDATES => _,
            inlateout("rdx") 0u64 => _, inlateout("r10") number::DOMID_SELF => _,
            inlateout("r8") kept[0], inlateout("r9") kept[1],
            inlateout("r12") kept[2], inlateout("r13") kept[3],
            lateout("rcx") _, lateout("r11") _,
        );
    }
    (result, kept)
}

/// Long calls under a fast timer.
pub fn registers_survive(port: u32) {
    let address = memory::page();
    let request = [memory::entry_address(address, 1), memory::l1_entry(address)];
    let list = [request; UPDATES];
    let mut period = Buffer::<8>::new().u64(0, PERIOD);
    smp::operation(vcpu::SET_PERIODIC_TIMER, 0, period.address());
    let (mut interrupted, mut failed, mut changed) = (0, 0, 0);
    for _ in 0..ROUNDS {
        let before = events::delivered(port);
        let (result, kept) = update(&list);
        interrupted += u32::from(events::delivered(port) != before);
        failed += u32::from(result != 0);
        changed += u32::from(kept != [MARK, MARK + 1, MARK + 2, MARK + 3]);
    }
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    check(
        "preempted-registers",
        (interrupted > 0 && failed == 0 && changed == 0).into(),
        format_args!("{interrupted} of {ROUNDS} calls interrupted, {failed} failed, {changed} changed a register"),
    );
}
