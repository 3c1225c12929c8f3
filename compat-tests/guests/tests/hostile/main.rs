//! Fires random hypercalls and reports that it is still there.
//!
//! Command line: `seed=N` (0: from the time stamp counter), `count=N`, `trace=1` to print every call before it is made, `pci=0` to leave out
//! the PCI commands of physdev_op, which Xen 4.17 does not survive.
#![no_std]
#![no_main]

mod attack;
mod random;
mod world;

use compat_guests::events;
use compat_guests::hypercall::{call, call2};
use compat_guests::report::check;
use compat_guests::trap::{self, Dealt, Saved};
use compat_guests::{memory, number, report, say, smp, start, time};

compat_guests::guest!(main);

/// Calls between two rounds of mending.
const BETWEEN: u64 = 512;

fn main() {
    let seed = match start::parameter("seed") {
        None | Some(0) => time::tsc() | 1,
        Some(seed) => seed,
    };
    let count = start::parameter("count").unwrap_or(10_000);
    let trace = start::parameter("trace") == Some(1);
    say!("NOTE seed={seed:#x} count={count}");
    memory::shared_info();
    smp::operation(number::vcpu::STOP_PERIODIC_TIMER, 0, 0);
    stay_alive();
    let mut world = world::World::new(seed, start::parameter("pci") != Some(0));
    grant_victims(&world);
    let mut succeeded = 0u64;
    for round in 0..count {
        let (number, arguments) = attack::choose(&mut world);
        if trace {
            say!("CALL {round} {number} {arguments:x?}");
            if number == number::MULTICALL {
                trace_entries(arguments[0], arguments[1]);
            }
        }
        let result = call(number, arguments);
        succeeded += u64::from(result >= 0);
        if matches!(
            number,
            number::SET_TRAP_TABLE | number::SET_CALLBACKS | number::CALLBACK_OP | number::NMI_OP | number::MULTICALL
        ) {
            stay_alive();
        }
        if round % BETWEEN == BETWEEN - 1 {
            world.mend();
            grant_victims(&world);
        }
        if round % 50_000 == 49_999 {
            say!("NOTE {} calls, {succeeded} succeeded", round + 1);
        }
    }
    check("survives", (call2(number::XEN_VERSION, 0, 0) > 0).into(), format_args!("{count} calls, seed {seed:#x}"));
    check("meaningful", (succeeded > count / 20).into(), format_args!("{succeeded} of {count} succeeded"));
}

/// Prints the calls of a multicall.
fn trace_entries(list: u64, count: u64) {
    for entry in (0..count).map(|index| list + index * 64) {
        let arguments: [u64; 5] = core::array::from_fn(|position| memory::read(entry + 16 + position as u64 * 8));
        say!("CALL   of these {} {arguments:x?}", memory::read(entry));
    }
}

/// Handlers and callbacks as they must be, upcalls masked, no breakpoints.
fn stay_alive() {
    trap::install();
    events::mask_upcalls();
    trap::handle(1, debug_trap);
    trap::handle(2, ignore);
    trap::handle(trap::EVENT, ignore);
    trap::handle(trap::NMI, ignore);
}

fn debug_trap(_: &mut Saved) -> Dealt {
    call2(number::SET_DEBUGREG, 7, 0);
    Dealt::Resume
}

fn ignore(saved: &mut Saved) -> Dealt {
    // Upcalls stay masked when the handler returns.
    saved.set_flags(saved.flags() & !0x200);
    Dealt::Resume
}

/// Sets the grant table up on the first call, and grants every victim to this domain.
fn grant_victims(world: &world::World) {
    static TABLE: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);
    let mut table = TABLE.load(core::sync::atomic::Ordering::Relaxed);
    if table == 0 {
        let frames = memory::page();
        let setup = [number::DOMID_SELF | 1 << 32, 0, frames];
        compat_guests::hypercall::call3(number::GRANT_TABLE_OP, 2, setup.as_ptr() as u64, 1);
        let Some(mapped) = memory::window(memory::read(frames)) else {
            report::give_up(format_args!("no grant table"));
        };
        table = mapped;
        TABLE.store(table, core::sync::atomic::Ordering::Relaxed);
    }
    for (index, &frame) in world.frames.iter().enumerate() {
        memory::write(table + (8 + index as u64) * 8, frame << 32 | if index % 3 == 0 { 5 } else { 1 });
    }
}
