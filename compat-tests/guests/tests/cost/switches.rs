//! Two vCPUs, on one CPU or on two: blocking, waking, and the change from one to the other.

use super::{entries, upcalls};
use compat_guests::cost::{row, row_of};
use compat_guests::events;
use compat_guests::hypercall::call2;
use compat_guests::number::{self, event, sched, vcpu};
use compat_guests::{memory, smp, time, trap};
use core::sync::atomic::{AtomicU32, Ordering};

/// vCPU 1's port and vCPU 0's.
static PORTS: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];
/// What vCPU 1 does.
static ROLE: AtomicU32 = AtomicU32::new(0);

const ANSWER_POLLING: u32 = 0;
const ANSWER_BLOCKING: u32 = 1;
const YIELD: u32 = 2;
const GO_DOWN: u32 = 3;
const TAKE_QUEUES: u32 = 4;

fn port(vcpu: usize) -> u32 {
    PORTS[vcpu].load(Ordering::Relaxed)
}

fn send(vcpu: usize) {
    events::on_port(event::SEND, port(vcpu));
}

/// Waits for an own event without taking upcalls.
fn wait_polling(vcpu: usize) {
    let own = [port(vcpu)];
    while events::is_pending(own[0]) == 0 {
        time::poll(&own, 0);
    }
    events::clear_pending(own[0]);
}

/// Waits for an own event by blocking; the upcall takes it.
#[inline(always)]
fn exchange_blocking(vcpu: usize, other: Option<usize>) {
    let before = entries::TAKEN[vcpu].load(Ordering::Relaxed);
    events::upcall_mask(vcpu as u64).store(1, Ordering::SeqCst);
    if let Some(other) = other {
        send(other);
    }
    while entries::TAKEN[vcpu].load(Ordering::Relaxed) == before {
        events::upcall_mask(vcpu as u64).store(1, Ordering::SeqCst);
        call2(number::SCHED_OP, sched::BLOCK, 0);
    }
}

/// vCPU 1: answers as it is told, for ever.
extern "C" fn second(_: u64) -> ! {
    loop {
        match ROLE.load(Ordering::SeqCst) {
            ANSWER_POLLING => {
                wait_polling(1);
                send(0);
            }
            ANSWER_BLOCKING => {
                exchange_blocking(1, None);
                send(0);
            }
            TAKE_QUEUES => {
                trap::register_callback(0, 0, &raw const entries::entry_second_fifo as u64);
                ROLE.store(ANSWER_BLOCKING, Ordering::SeqCst);
            }
            YIELD => _ = call2(number::SCHED_OP, sched::YIELD, 0),
            _ => {
                send(0);
                smp::operation(vcpu::DOWN, 1, 0);
            }
        }
    }
}

/// What the rows are called: they depend on where the vCPUs run.
pub struct Names {
    /// Both wait by polling.
    pub polling: &'static str,
    /// Both wait by blocking.
    pub blocking: &'static str,
    /// Rows that have a meaning on one CPU only: on two, one would have to spin until the other is done.
    pub one_cpu: Option<OneCpu>,
}

/// What the rows of one CPU are called.
pub struct OneCpu {
    /// Both yield.
    pub yielding: &'static str,
    /// A vCPU comes up, sends, goes down.
    pub life: &'static str,
}

/// Brings vCPU 1 up; it answers by polling.
pub fn start() -> bool {
    for vcpu in 0..2u32 {
        let Ok(port) = events::bind_ipi(vcpu) else { return false };
        PORTS[vcpu as usize].store(port, Ordering::Relaxed);
        upcalls::watch(vcpu as usize, port);
    }
    entries::INFO[1].store(memory::shared_info() + 64, Ordering::Relaxed);
    let mut context = smp::context(second, 0).u64(5112, &raw const entries::entry_second_upcall as u64);
    if smp::operation(vcpu::INITIALISE, 1, context.address()) != 0 || smp::operation(vcpu::UP, 1, 0) != 0 {
        return false;
    }
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 1, 0);
    true
}

/// vCPU 0 sends and waits for the answer of a vCPU 1 that polls.
pub fn exchange() {
    send(1);
    wait_polling(0);
}

/// The exchange once more, with FIFO queues, which both vCPUs have, and a vCPU 1 that is down; `ready` is told each new port.
#[allow(dead_code)]
pub fn measure_queues(name: &str, ready: impl Fn(usize, u32)) {
    for vcpu in 0..2usize {
        let Ok(port) = events::bind_ipi(vcpu as u32) else { return };
        PORTS[vcpu].store(port, Ordering::Relaxed);
        ready(vcpu, port);
    }
    ROLE.store(TAKE_QUEUES, Ordering::SeqCst);
    smp::operation(vcpu::UP, 1, 0);
    while ROLE.load(Ordering::SeqCst) == TAKE_QUEUES {
        call2(number::SCHED_OP, sched::YIELD, 0);
    }
    upcalls::with_upcalls(&entries::entry_first_fifo, || {
        row(name, |_| exchange_blocking(0, Some(1)));
    });
    events::mask_upcalls();
}

/// All rows of this family.
pub fn measure(names: &Names) {
    row(names.polling, |_| exchange());
    ROLE.store(ANSWER_BLOCKING, Ordering::SeqCst);
    // It still polls; from its next round on it blocks.
    exchange();
    upcalls::with_upcalls(&entries::entry_upcall, || {
        row(names.blocking, |_| exchange_blocking(0, Some(1)));
    });
    events::mask_upcalls();
    let Some(rows) = &names.one_cpu else { return };
    ROLE.store(YIELD, Ordering::SeqCst);
    exchange();
    row(rows.yielding, |_| _ = call2(number::SCHED_OP, sched::YIELD, 0));
    ROLE.store(GO_DOWN, Ordering::SeqCst);
    wait_polling(0);
    row_of(rows.life, 10, |_| {
        smp::operation(vcpu::UP, 1, 0);
        wait_polling(0);
    });
}
