//! Start-up, step by step: each step takes what the one before it made, so that only this order compiles.
//!
//! Context: boot CPU, interrupts off, until the first guest runs.

use core::sync::atomic::Ordering::Relaxed;

use spin::Once;

use super::{
    loader::{self, LoaderInfo},
    options,
};
use crate::{
    arch::{control, descriptors},
    console,
    cpu::{self, block, extended_state, features, smp, start},
    dom0,
    domain::RunFlags,
    interrupt::{io_apic, legacy, local_apic},
    memory,
    platform::{self, firmware},
    sched, sync,
    time::{calibrate, clock, wallclock, watchdog},
};

static LOADER: Once<LoaderInfo> = Once::new();

/// Our own command line.
pub fn command_line() -> &'static str {
    LOADER.get().map_or("", options::own_line)
}

/// Says why the machine cannot go on, and halts.
macro_rules! refuse {
    ($($text:tt)*) => {{
        log::error!($($text)*);
        control::halt_forever()
    }};
}

/// Runs the whole start-up; never returns. First part: on the boot stack and the boot tables.
pub fn run(magic: u32, information: u32) -> ! {
    console::log::install();
    console::output::with(|console| {
        if let Some(serial) = &console.serial {
            serial.set_up(0);
        }
        console.vga.enable();
    });
    banner();
    let Some(mut info) = loader::read(magic, information) else {
        refuse!("The boot loader's magic {magic:#x} is neither multiboot 1 nor multiboot 2. Halted.");
    };
    options::limit_memory(&mut info);
    let info = LOADER.call_once(|| info);
    options::apply(info);
    log::info!("Bootloader: {}", info.protocol);
    log::info!("Command line: {}", options::own_line(info));
    platform::memory_map::remember(info.regions());
    features::detect();
    let memory = match memory::setup::initialise(info) {
        Ok(memory) => memory,
        Err(errno) => refuse!("Too little memory for the hypervisor itself ({}). Halted.", errno.name()),
    };
    log::info!("System RAM: {}MB ({}kB)", memory.total_frames >> 8, memory.total_frames << 2);
    descriptors::fill_gates();
    let bits =
        raw_cpuid::CpuId::new().get_feature_info().map_or(0, |features| u32::from(features.initial_local_apic_id()));
    if let Err(errno) = start::prepare(bits, 0) {
        refuse!("No memory for the boot CPU's stacks ({}). Halted.", errno.name());
    }
    block::run_on_main_stack(0, on_own_stack)
}

fn banner() {
    log::info!("Xenolith version {} (Xen ABI 4.17)", env!("CARGO_PKG_VERSION"));
}

/// Second part: on the boot CPU's own stack and descriptors.
extern "C" fn on_own_stack() -> ! {
    start::enter_service_early();
    if let Err(errno) = memory::setup::release_boot_only() {
        log::warn!("The boot stack's memory is lost ({}).", errno.name());
    }
    sync::install();
    extended_state::detect();
    legacy::silence();
    console::output::size_ring(options::get().console.ring_size);
    let firmware = match firmware::read() {
        Ok(firmware) => firmware,
        Err(error) => refuse!("Cannot use this machine: {error}. Halted."),
    };
    if let Err(errno) = local_apic::choose(firmware.madt.local_address, options::x2apic()) {
        refuse!("Cannot map the local APIC ({}). Halted.", errno.name());
    }
    local_apic::enable();
    start_clock(firmware);
    start::enter_service();
    if let Err(errno) = io_apic::initialise(firmware) {
        refuse!("Cannot set up the I/O APICs ({}). Halted.", errno.name());
    }
    let limit = smp::Limit { cpus: options::max_cpus(), threads: options::threads() };
    match smp::start_others(firmware, limit) {
        Ok(running) => log::info!("Brought up {running} CPUs"),
        Err(errno) => refuse!("No memory for the other CPUs ({}). Halted.", errno.name()),
    }
    console::keys::listen();
    if options::get().cpu.watchdog {
        watchdog::start(options::get().cpu.watchdog_seconds);
    }
    #[cfg(feature = "fail-points")]
    crate::fail_points::start();
    #[cfg(not(feature = "fail-points"))]
    start_dom0()
}

fn start_clock(firmware: &firmware::Firmware) {
    let epoch = control::read_tsc();
    local_apic::start_counting();
    let measured = calibrate::measure(firmware, options::get().cpu.clock_source, local_apic::counter);
    clock::set(measured.tsc_hz, epoch);
    local_apic::set_timer_frequency(measured.apic_hz);
    log::info!(
        "Platform timer is {}.{:03}MHz {}",
        (measured.reference_hz + 500) / 1_000_000,
        (measured.reference_hz + 500) / 1000 % 1000,
        measured.reference
    );
    log::info!("Detected {}.{:03} MHz processor.", measured.tsc_hz / 1_000_000, measured.tsc_hz / 1000 % 1000);
    wallclock::initialise();
}

/// Last part: the first guest.
#[cfg_attr(feature = "fail-points", expect(dead_code, reason = "the containment test starts guests of its own"))]
fn start_dom0() -> ! {
    let Some(info) = LOADER.get() else { control::halt_forever() };
    if info.modules().next().is_none() {
        refuse!("No dom0 kernel: give it as the first module. Halted.");
    }
    let built = match block::with_deep_stack(0, block::MOST_EXTRA_PAGES, || dom0::build(info)) {
        Ok(built) => built,
        Err(errno) => refuse!("Panic on CPU 0: No memory for dom0's construction ({}). Halted.", errno.name()),
    };
    let domain = match built {
        Ok(domain) => domain,
        Err(error) => refuse!("Panic on CPU 0: Could not construct domain 0: {error}. Halted."),
    };
    console::guest::listen();
    if !options::get().console.keeps_vga {
        console::output::with(|console| console.vga.disable());
    }
    if options::get().console.switches_to_dom0 {
        console::input::give_to_dom0();
    }
    if let Some(first) = domain.vcpus().first() {
        sched::wake::release(first, RunFlags::DOWN);
    }
    log::info!("Free memory: {}kB", memory::physical::free_frames() << 2);
    cpu::this().work.fetch_or(cpu::Work::SCHEDULE.0, Relaxed);
    sched::idle::enter()
}
