//! What operations cost in instructions on one CPU, the caller's few included: `COST name=instructions`.
#![no_std]
#![no_main]

mod area;
mod bounces;
mod calls;
mod channels;
mod devices;
mod emulation;
mod entries;
mod flushes;
mod grants;
mod pins;
mod reservations;
mod storms;
mod switches;
mod tables;
mod upcalls;

use compat_guests::number::vcpu;
use compat_guests::{memory, report, smp};

compat_guests::guest!(main);

fn main() {
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    calls::measure();
    tables::measure();
    flushes::measure();
    pins::measure();
    grants::measure();
    reservations::measure();
    emulation::measure();
    bounces::measure();
    storms::measure();
    devices::measure();
    let second = switches::start();
    if second {
        switches::measure(&switches::Names {
            polling: "two vCPUs, one CPU: event there and back, both polling",
            blocking: "two vCPUs, one CPU: event there and back, both blocking",
            one_cpu: Some(switches::OneCpu {
                yielding: "two vCPUs, one CPU: yield to the other and back",
                life: "vCPU up, its event, down",
            }),
        });
    }
    // Last: there is no way back from FIFO queues but to lose all ports.
    let queues = channels::measure();
    if second && let Some(queues) = queues {
        queues.measure_between_two();
    }
    report::value("done", 1);
}
