//! Fires random domctl, sysctl and memory_op calls from dom0, whole and broken ones, at domains made for it and at such
//! that are not there. Only what dom0 asked for may happen: two bystanders that no call names stay as they are, no byte
//! beside an answer is written, in the end all memory is free again, and the hypervisor lives.
//!
//! Command line: `seed=N` (0: from the time stamp counter), `count=N`, `trace=1` to print every call and its result,
//! `version=N` for one interface version besides wrong ones, as to compare a trace with that of a Xen that knows no other.
//! Xen 4.17 survives some thousands of these calls.
#![no_std]
#![no_main]

mod bystander;
mod machine_shapes;
mod requests;
mod shapes;
mod world;

// These serve other guests too.
#[allow(dead_code)]
#[path = "../domains/guest.rs"]
mod guest;
#[allow(dead_code)]
#[path = "../hostile/random.rs"]
mod random;
#[allow(dead_code)]
#[path = "../domains/toolstack.rs"]
mod toolstack;

use bystander::{Bystander, Life};
use compat_guests::control::{make, sysctl};
use compat_guests::hypercall::{call, call2};
use compat_guests::memory::{self, PAGE};
use compat_guests::number::vcpu;
use compat_guests::report::{check, give_up};
use compat_guests::trap::{self, Dealt, Saved};
use compat_guests::{events, number, say, smp, start, time};
use requests::Made;
use toolstack::{SET_AFFINITY, domctl, request};
use world::World;

compat_guests::guest!(main);

/// Calls between two looks at the bystanders.
const BETWEEN: u64 = 256;
/// What lies around requests.
const PATTERN: u64 = 0xa5c3_5a3c_a5c3_5a3c;

fn main() {
    let seed = match start::parameter("seed") {
        None | Some(0) => time::tsc() | 1,
        Some(seed) => seed,
    };
    let count = start::parameter("count").unwrap_or(2_000);
    let trace = start::parameter("trace") == Some(1);
    say!("NOTE seed={seed:#x} count={count}");
    memory::shared_info();
    smp::operation(vcpu::STOP_PERIODIC_TIMER, 0, 0);
    stay_alive();
    warm_up();
    let before = settled_pages();
    let scratch = memory::pages(4);
    let [Some(idle), Some(busy)] = [Life::Paused, Life::Runs].map(|life| Bystander::new(life, scratch)) else {
        give_up(format_args!("no bystanders"));
    };
    let bystanders = [idle, busy];
    let mut world = World::new(seed, &bystanders);
    let (mut succeeded, mut overwritten, mut unharmed) = (0, 0, true);
    for round in 0..count {
        if round % BETWEEN == 0 {
            mend_machine(&mut world);
            world.mend();
            for bystander in &bystanders {
                unharmed &= bystander.is_unharmed(scratch, round);
            }
        }
        paint(&world);
        let made = requests::choose(&mut world);
        let result = call(made.number, made.arguments);
        succeeded += u64::from(result >= 0);
        if trace {
            say!("CALL {round} {} {}.{:x} {:x?} -> {result}", made.number, made.command, made.version, words(&world));
        }
        overwritten += u64::from(!is_painted(&world, &made));
        if made.number == number::DOMCTL && made.command == 1 && result == 0 {
            let id = memory::read(made.arguments[0] + 8) as u16;
            world.adopt(id);
        }
    }
    let [idle, busy] = &bystanders;
    unharmed &= idle.is_unharmed(scratch, count) && busy.is_unharmed(scratch, count);
    check("bystanders", unharmed.into(), format_args!("{} calls, seed {seed:#x}", count));
    check("bystander-runs", busy.guest.runs().into(), format_args!(""));
    check("answers", (overwritten == 0).into(), format_args!("{overwritten} wrote beside their request"));
    check("meaningful", (succeeded > count / 20).into(), format_args!("{succeeded} of {count} succeeded"));
    clear_away(&mut world, before);
}

/// As many vCPUs at once as there will ever be: the tables that a hypervisor keeps for good to map its own memory with are
/// then there. Nothing is kept for the ids that domains had.
fn warm_up() {
    let mut made = [0; 10];
    for id in &mut made {
        let mut asked = toolstack::creation().u32(16 + 28, 128);
        domctl(&mut asked);
        *id = asked.get_u16(8);
        domctl(&mut request(toolstack::MAX_VCPUS, *id).u32(16, 128));
    }
    for id in made {
        world::end(id);
        guest::until_gone(id);
    }
}

/// Free pages of the machine once their number stands still: Xen frees some a little later.
fn settled_pages() -> u64 {
    let (mut last, mut still) = (0, 0);
    while still < 300 {
        guest::breathe();
        let now = guest::free_pages();
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    last
}

/// The words of the request, for a trace.
fn words(world: &World) -> [u64; 9] {
    core::array::from_fn(|index| {
        let bytes = &world.request[8 * index..8 * index + 8];
        bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
    })
}

/// Fills the place for requests.
fn paint(world: &World) {
    for offset in (0..320).step_by(8).chain((PAGE - 320..PAGE).step_by(8)) {
        memory::write(world.place + offset, PATTERN);
    }
}

/// Whether everything around the request is as it was. One that began near the end of the page has only a before.
fn is_painted(world: &World, made: &Made) -> bool {
    let at = if made.number == number::MEMORY_OP { made.arguments[1] } else { made.arguments[0] };
    let at = if at & !(PAGE - 1) == world.constant { at - world.constant + world.place } else { at };
    if at & !(PAGE - 1) != world.place {
        return true;
    }
    let after = at + made.length.max(world::REQUEST as u64);
    let is_kept = |address: u64| memory::read(address) == PATTERN;
    let before = (world.place..(at & !7))
        .step_by(8)
        .filter(|address| address - world.place < 320 || world.place + PAGE - address <= 320);
    let behind = ((after + 7) & !7..world.place + 320).step_by(8);
    before.chain(behind).all(is_kept)
}

/// What fuzzed calls have rightly done to the machine and to dom0: CPUs off, pools, dom0's affinity, claims.
fn mend_machine(world: &mut World) {
    for cpu in 0..2 {
        make(&mut sysctl(11).u32(8, cpu).u32(12, 0));
    }
    mend_pools();
    let map = world.lists;
    memory::write(map, u64::MAX);
    for vcpu in 0..2 {
        let asked = request(SET_AFFINITY, 0).u32(16, vcpu).u32(20, 7);
        domctl(&mut asked.u64(24, map).u32(32, 64).u64(40, map).u32(48, 64));
    }
    stay_alive();
    adopt_all(world);
}

/// Pools but the first are emptied and destroyed, and their CPUs go to the first.
fn mend_pools() {
    let mut pool = 1;
    while let Some(found) = next_pool(pool) {
        let mut first = 1;
        while let Some(id) = world::next_domain(first) {
            make(&mut pool_request(6).u32(12, 0).u32(20, u32::from(id)));
            first = id + 1;
        }
        for cpu in 0..2 {
            make(&mut pool_request(5).u32(12, found).u32(24, cpu));
        }
        make(&mut pool_request(2).u32(12, found));
        pool = found + 1;
    }
    for cpu in 0..2 {
        make(&mut pool_request(4).u32(12, 0).u32(24, cpu));
    }
}

fn pool_request(operation: u32) -> compat_guests::control::Sysctl {
    sysctl(18).u32(8, operation)
}

/// The first pool with this number or a higher one.
fn next_pool(from: u32) -> Option<u32> {
    let mut asked = pool_request(3).u32(12, from);
    let mut map = 0u64;
    asked = asked.u64(32, &raw mut map as u64).u32(40, 64);
    (make(&mut asked) == 0).then(|| asked.get_u32(12))
}

/// Domains that came about without our being told, as when an answer could not be written.
fn adopt_all(world: &mut World) {
    let mut first = 1;
    while let Some(id) = world::next_domain(first) {
        world.adopt(id);
        first = id + 1;
    }
}

/// Everything goes, and all memory must come back.
fn clear_away(world: &mut World, before: u64) {
    mend_machine(world);
    let mut first = 1;
    while let Some(id) = world::next_domain(first) {
        world::end(id);
        first = id + 1;
    }
    let gone = (0..5000).any(|_| {
        guest::breathe();
        world::next_domain(1).is_none()
    });
    check("all-gone", gone.into(), format_args!("next is {:?}", world::next_domain(1)));
    // Xen gives back what the warm-up took only while the test runs, so it may be more.
    let after = settled_pages();
    check("memory", (after >= before).into(), format_args!("{after} pages free, {before} at first"));
    check("survives", (call2(number::XEN_VERSION, 0, 0) > 0).into(), format_args!(""));
}

/// Handlers as they must be, upcalls masked.
fn stay_alive() {
    trap::install();
    events::mask_upcalls();
    trap::handle(2, ignore);
    trap::handle(trap::EVENT, ignore);
    trap::handle(trap::NMI, ignore);
}

fn ignore(saved: &mut Saved) -> Dealt {
    // Upcalls stay masked when the handler returns.
    saved.set_flags(saved.flags() & !0x200);
    Dealt::Resume
}
