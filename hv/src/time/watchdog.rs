//! The watchdog (`watchdog`, `watchdog_timeout`): a CPU that stays in the hypervisor for too long stops the machine with
//! a report of where it is.
//!
//! CPUs watch one another: each takes its timer interrupt at least once a second, says so, and looks at the next CPU in
//! service. One that has said nothing for the whole time-out gets an NMI, whose handler prints what it interrupted. No
//! performance counters are needed, but two CPUs are: a machine with one has nobody to notice. Context: a CPU's timer
//! work; atomics only.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use pv_cpu::registers::Registers;

use crate::{console::output, cpu, interrupt::local_apic};

const SECOND: u64 = 1_000_000_000;
const NEVER: u64 = u64::MAX;

/// Nanoseconds; 0 while nobody watches.
static TIMEOUT: AtomicU64 = AtomicU64::new(0);
/// CPUs that were found stuck.
static STUCK: AtomicU64 = AtomicU64::new(0);

/// Watches from now on. Context: boot, all CPUs run.
pub fn start(seconds: u32) {
    if cpu::all().filter(|cpu| cpu.is_online()).count() < 2 {
        log::warn!("The watchdog needs a second CPU to watch from; it is off.");
        return;
    }
    TIMEOUT.store(u64::from(seconds) * SECOND, Relaxed);
    for cpu in cpu::all() {
        crate::sched::wake::interrupt(cpu, cpu::Work::TIMER);
    }
    log::info!("Watchdog: a CPU that is stuck for {seconds} s stops the machine.");
}

/// This CPU is alive: says so and looks at the next one; when it is to do so again.
pub fn beat(now: u64) -> u64 {
    let timeout = TIMEOUT.load(Relaxed);
    if timeout == 0 {
        return NEVER;
    }
    let this = cpu::this();
    this.beat.store(now, Relaxed);
    let others = || cpu::all().filter(|cpu| cpu.is_online() && cpu.index != this.index);
    let next = others().find(|cpu| cpu.index > this.index).or_else(|| others().next());
    if let Some(next) = next {
        let last = next.beat.load(Relaxed);
        // Its first beat starts its time.
        let is_stuck = last != 0 && now.saturating_sub(last) > timeout;
        if is_stuck && STUCK.fetch_or(1 << next.index, AcqRel) >> next.index & 1 == 0 {
            local_apic::send_nmi(next.apic_id);
        }
    }
    now + SECOND
}

/// This CPU has come into service: nothing it did not say before counts.
pub fn forget() {
    cpu::this().beat.store(0, Relaxed);
}

/// An NMI came: if it says that this CPU is stuck, the machine stops.
pub fn on_nmi(registers: &Registers) {
    let index = cpu::this().index;
    if STUCK.load(Acquire) >> index & 1 == 0 {
        return;
    }
    output::emergency(format_args!(
        "(XEN) Watchdog timer detects that CPU{index} is stuck!\n\
         (XEN) RIP: {:04x}:[<{:016x}>] RFLAGS: {:016x} RSP: {:016x}\n",
        registers.cs, registers.rip, registers.rflags, registers.rsp
    ));
    crate::panic::stop()
}
