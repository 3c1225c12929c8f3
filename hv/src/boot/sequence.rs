//! Start-up, step by step: each step takes what the one before it made, so that only this order compiles.
//!
//! Context: boot CPU, interrupts off, until the first guest runs.

use super::loader;
use crate::{arch::control, console, memory, panic};

/// Runs the whole start-up; never returns.
pub fn run(magic: u32, information: u32) -> ! {
    console::log::install();
    console::output::with(|console| {
        if let Some(serial) = &console.serial {
            serial.set_up(0);
        }
        console.vga.enable();
    });
    banner();
    let Some(info) = loader::read(magic, information) else {
        log::error!("The boot loader's magic {magic:#x} is neither multiboot 1 nor multiboot 2. Halted.");
        control::halt_forever();
    };
    log::info!("Loaded by {}, command line: {}", info.protocol, info.command_line.as_str());
    for region in info.regions() {
        log::info!(" {:#018x} - {:#018x} type {}", region.start, region.start + region.length, region.kind);
    }
    if info.modules().next().is_none() {
        log::error!("No dom0 kernel: give it as the first module. Halted.");
        control::halt_forever();
    }
    let memory = match memory::setup::initialise(&info) {
        Ok(memory) => memory,
        Err(errno) => {
            log::error!("Too little memory for the hypervisor itself ({}). Halted.", errno.name());
            control::halt_forever();
        }
    };
    log::info!(
        "System RAM: {}MB ({}kB), free {}kB",
        memory.total_frames >> 8,
        memory.total_frames << 2,
        memory::physical::free_frames() << 2
    );
    panic::stop()
}

fn banner() {
    log::info!("Xenolith version {} (Xen ABI 4.17)", env!("CARGO_PKG_VERSION"));
}

/// What follows a fatal error: halt, so that the message stays readable.
pub fn end_after_panic() -> ! {
    control::halt_forever()
}
