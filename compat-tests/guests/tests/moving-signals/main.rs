//! A message interrupt of a real device, an e1000e, whose event channel the second vCPU moves between both vCPUs without
//! end, and with it the interrupt between their CPUs. The first vCPU raises it and sees that each one arrives.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

use compat_guests::buffer::Buffer;
use compat_guests::e1000e::{Device, LINK};
use compat_guests::number::vcpu;
use compat_guests::pci::{self, Map};
use compat_guests::report::{check, result};
use compat_guests::{events, memory, smp, time};

compat_guests::guest!(main);

const BIND_PIRQ: u64 = 2;
const BIND_VCPU: u64 = 8;
const MSI: u32 = 5;
const ROUNDS: u32 = 2000;
/// Nanoseconds after which an interrupt is lost.
const PATIENCE: u64 = 2_000_000_000;

/// The port that is moved, and how often that was done and refused.
static PORT: AtomicU32 = AtomicU32::new(0);
static MOVES: AtomicU32 = AtomicU32::new(0);
static REFUSED: AtomicU32 = AtomicU32::new(0);

fn move_to(vcpu: u32) -> i64 {
    let mut argument = Buffer::<8>::new().u32(0, PORT.load(SeqCst)).u32(4, vcpu);
    events::operation(BIND_VCPU, &mut argument)
}

extern "C" fn mover(_: u64) -> ! {
    loop {
        for vcpu in [0, 1] {
            REFUSED.fetch_add(u32::from(move_to(vcpu) != 0), SeqCst);
            MOVES.fetch_add(1, SeqCst);
        }
    }
}

fn comes(port: u32) -> bool {
    let end = time::now() + PATIENCE;
    while time::now() < end {
        if events::is_pending(port) != 0 {
            events::clear_pending(port);
            return true;
        }
        core::hint::spin_loop();
    }
    false
}

fn main() {
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    memory::shared_info();
    pci::physdev(6, &mut Buffer::<8>::new().u32(0, 1));
    let Some(device) = Device::find() else { return };
    let devfn = device.devfn;
    let Some(position) = pci::capability(devfn, MSI) else { return };
    pci::announce(devfn);
    let (outcome, argument) = Map::message((0, devfn), 0, 0).call();
    result(format_args!("map"), outcome);
    let mut bind = Buffer::<12>::new().u32(0, argument.get_u32(12)).u32(4, 1);
    result(format_args!("bind"), events::operation(BIND_PIRQ, &mut bind));
    let port = bind.get_u32(8);
    PORT.store(port, SeqCst);
    pci::write(devfn, position + 2, 2, 1);
    result(format_args!("second"), smp::start(1, mover, 0));
    let mut lost = 0;
    for _ in 0..ROUNDS {
        device.raise(LINK);
        lost += u32::from(!comes(port));
        device.quiet();
        if lost > 3 {
            break;
        }
    }
    check("none-is-lost", (lost == 0).into(), format_args!("{lost} of {ROUNDS} lost"));
    let (moves, refused) = (MOVES.load(SeqCst), REFUSED.load(SeqCst));
    check("moved", (moves > ROUNDS / 10 && refused == 0).into(), format_args!("{moves} moves, {refused} refused"));
}
