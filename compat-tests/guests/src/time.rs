//! System time from the vCPU's time page, and waiting. Source: public header `xen.h` (struct vcpu_time_info).

use crate::hypercall;
use crate::memory::shared_info;
use crate::number;

/// The time stamp counter.
pub fn tsc() -> u64 {
    // SAFETY: rdtsc changes only the two registers.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// One consistent read of a vCPU's time record: version, tsc stamp, system time, multiplier, shift, flags.
pub fn record(address: u64) -> [u64; 6] {
    let read32 = |offset: u64| {
        // SAFETY: the record lies in a mapped shared page.
        u64::from(unsafe { core::ptr::read_volatile((address + offset) as *const u32) })
    };
    loop {
        let version = read32(0);
        let stamp = crate::memory::read(address + 8);
        let system = crate::memory::read(address + 16);
        let multiplier = read32(24);
        let last = read32(28);
        if version & 1 == 0 && version == read32(0) {
            return [version, stamp, system, multiplier, last & 0xff, last >> 8 & 0xff];
        }
    }
}

/// System time now, in nanoseconds since boot, by vCPU 0's record.
pub fn now() -> u64 {
    let [_, stamp, system, multiplier, shift, _] = record(shared_info() + 32);
    let mut delta = tsc().wrapping_sub(stamp);
    let shift = shift as u8 as i8;
    if shift >= 0 {
        delta <<= shift;
    } else {
        delta >>= -shift;
    }
    system.wrapping_add(((u128::from(delta) * u128::from(multiplier)) >> 32) as u64)
}

/// Spins for some nanoseconds of system time.
pub fn spin(nanoseconds: u64) {
    let end = now() + nanoseconds;
    while now() < end {
        core::hint::spin_loop();
    }
}

/// `SCHEDOP_poll` on ports with an absolute timeout (0: none).
pub fn poll(ports: &[u32], timeout: u64) -> i64 {
    let argument = [ports.as_ptr() as u64, ports.len() as u64, timeout];
    hypercall::call2(number::SCHED_OP, number::sched::POLL, argument.as_ptr() as u64)
}
