//! The hypervisor's options: read once from its command line, then put into effect or kept for whoever asks.
//!
//! Nothing here stops a boot: what is not understood, or not there, is named in a warning. Context: [`apply`] runs on the
//! boot CPU, before memory is set up; it takes the console's lock and allocates nothing.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use boot_options::{BootOptions, CommandLine, ConsoleOptions, SerialOptions, Warning};
use spin::Once;

use super::loader::{LoaderInfo, Module};
use crate::{
    console::{
        input,
        log::{self as console_log, Source},
        output,
        serial::Serial,
    },
    cpu::smp::Threads,
    interrupt::local_apic::X2Apic,
    platform::power,
};

static OPTIONS: Once<BootOptions<'static>> = Once::new();
static FOR_DOM0: Once<&'static str> = Once::new();
static DEFAULT: BootOptions<'static> = BootOptions::DEFAULT;

/// Everything that was asked for; defaults before [`apply`].
pub fn get() -> &'static BootOptions<'static> {
    OPTIONS.get().unwrap_or(&DEFAULT)
}

/// What our command line has for dom0's, behind " -- ".
pub fn for_dom0() -> &'static str {
    FOR_DOM0.get().copied().unwrap_or_default()
}

/// Our own line without the image's name.
pub fn own_line(info: &LoaderInfo) -> &str {
    CommandLine::without_image_name(info.command_line.as_str(), info.loader_name.as_str())
}

/// A module's line without the image's name, which stands there unless a multiboot 2 loader left it out.
pub fn module_line<'a>(info: &LoaderInfo, module: &'a Module) -> &'a str {
    CommandLine::without_image_name(module.text.as_str(), info.loader_name.as_str())
}

/// Most CPUs that may run (`maxcpus`, `nosmp`).
pub fn max_cpus() -> usize {
    get().cpu.max_cpus.map_or(usize::MAX, |count| count.max(1) as usize)
}

/// Whether more than one thread of a core is used (`smt`).
pub fn threads() -> Threads {
    if get().cpu.smt { Threads::All } else { Threads::FirstOfCore }
}

/// Whether x2APIC mode may be used (`x2apic`).
pub fn x2apic() -> X2Apic {
    if get().cpu.x2apic { X2Apic::Allowed } else { X2Apic::Forbidden }
}

/// Leaves out all memory above the limit that the command line sets (`mem`). Context: before the map is used.
pub fn limit_memory(info: &mut LoaderInfo) {
    let line = CommandLine::new(info.command_line.as_str(), info.loader_name.as_str());
    if let Some(limit) = BootOptions::parse(line.options, |_| ()).memory_limit {
        info.limit_memory(limit);
    }
}

/// Reads the command line and puts into effect what concerns what runs already.
pub fn apply(info: &'static LoaderInfo) {
    let line = CommandLine::new(info.command_line.as_str(), info.loader_name.as_str());
    FOR_DOM0.call_once(|| line.for_dom0);
    let options = OPTIONS.call_once(|| BootOptions::parse(line.options, |_| ()));
    apply_log_levels(&options.console);
    apply_console(&options.console);
    if let Some(minor) = options.minor_version {
        MINOR_VERSION.store(minor, Relaxed);
    }
    if options.reboot.stays_down {
        power::set_no_reboot();
    }
    power::set_reset(options.reboot.method, options.reboot.is_warm);
    // A second pass for the warnings, now that the console is the one that was asked for.
    let _ = BootOptions::parse(line.options, |warning| log::warn!("{warning}"));
    for (name, is_asked_for) in not_there(options) {
        if is_asked_for {
            log::warn!("{}", Warning::NoEffect(name));
        }
    }
}

fn apply_log_levels(options: &ConsoleOptions) {
    console_log::set_thresholds(Source::Hypervisor, options.log);
    console_log::set_thresholds(Source::Guest, options.guest_log);
}

/// The minor version that callers are told; a word of its own, as the null hypercall reads it.
static MINOR_VERSION: AtomicU32 = AtomicU32::new(hypercalls::op::version::MINOR);

/// The minor version of Xen 4 that callers are told (`xen-version`).
#[inline]
pub fn minor_version() -> u32 {
    MINOR_VERSION.load(Relaxed)
}

/// A limit of grant tables.
#[derive(Clone, Copy)]
pub enum GrantLimit {
    /// Frames of a table.
    Frames,
    /// Frames of mapping handles.
    MaptrackFrames,
}

/// What was asked for at run time; 0 for nothing.
static GRANT_LIMITS: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];

fn grant_limit_word(which: GrantLimit) -> (&'static AtomicU32, u32) {
    let [frames, maptrack_frames] = &GRANT_LIMITS;
    match which {
        GrantLimit::Frames => (frames, get().grants.max_frames),
        GrantLimit::MaptrackFrames => (maptrack_frames, get().grants.max_maptrack_frames),
    }
}

/// The most that domains made from now on get (`gnttab_max_frames`, `gnttab_max_maptrack_frames`).
pub fn grant_limit(which: GrantLimit) -> u32 {
    let (word, at_boot) = grant_limit_word(which);
    match word.load(Relaxed) {
        0 => at_boot,
        asked => asked,
    }
}

/// Changes it; 0 says what was asked for at boot.
pub fn set_grant_limit(which: GrantLimit, frames: u32) {
    grant_limit_word(which).0.store(frames, Relaxed);
}

/// Keeps the devices of `console=`. A serial port is ours only if `com1=` or `com2=` gives it to us; else it is dom0's.
fn apply_console(options: &ConsoleOptions) {
    let ports = [(options.devices.com1, &options.com1), (options.devices.com2, &options.com2)];
    let chosen = ports.iter().find(|(is_listed, port)| *is_listed && port.is_given).map(|(_, port)| *port);
    if chosen.is_none() {
        log::info!("No serial console was asked for (com1=..., com2=...); this is the last message here.");
    }
    let serial = chosen.and_then(open);
    output::with(|console| {
        console.serial = serial;
        console.keeps_guest_output = options.keeps_guest_output;
        if !options.devices.vga {
            console.vga.disable();
        }
    });
    console_log::set_timestamps(options.timestamps);
    input::set_switch_letter(options.switch_letter);
    if chosen.is_some_and(|port| u16::try_from(port.io_base).is_err()) {
        log::warn!("A serial port with registers in memory is not supported; no serial console.");
    }
    if let Some(port) = chosen {
        warn_of_format(port);
    }
}

/// The port, set to its speed.
fn open(port: &SerialOptions) -> Option<Serial> {
    let serial = Serial::new(u16::try_from(port.io_base).ok()?);
    let divisor = port.baud.map_or(0, |baud| (port.clock_hz / 16 / baud.max(1)).clamp(1, u32::from(u16::MAX)));
    serial.set_up(divisor as u16);
    Some(serial)
}

fn warn_of_format(port: &SerialOptions) {
    if port.data_bits != 8 || port.stop_bits != 1 || port.parity != boot_options::Parity::None {
        log::warn!("Serial port {:#x} runs with 8 data bits, no parity and 1 stop bit.", port.io_base);
    }
}

/// Options that are understood, but ask for something that this version does not do. The table in README.md names them.
fn not_there(options: &BootOptions<'_>) -> [(&'static str, bool); 6] {
    let default = &BootOptions::DEFAULT;
    let (cpu, grants) = (&options.cpu, &options.grants);
    [
        ("x2apic_phys", cpu.x2apic_physical.is_some()),
        ("lapic", cpu.local_apic != default.cpu.local_apic),
        ("noapic", cpu.io_apic != default.cpu.io_apic),
        ("nmi", cpu.nmi != default.cpu.nmi),
        ("gnttab=transitive", grants.transitive),
        ("sched", !matches!(options.scheduler, "" | "credit2")),
    ]
}
