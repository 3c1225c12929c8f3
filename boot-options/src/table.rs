//! The options by name, each with what it does.

use crate::argument::{Argument, BadValue, Parsed};
use crate::log_level::LogThresholds;
use crate::options::BootOptions;

/// Applies one option.
pub(crate) type Apply = for<'a> fn(&mut BootOptions<'a>, Argument<'a>) -> Parsed<'a>;

/// Every option that has an effect.
pub(crate) const OPTIONS: &[(&str, Apply)] = &[
    ("acpi", |options, argument| {
        let text = argument.text()?;
        match text {
            "force" | "strict" | "ht" | "noirq" | "verbose" | "off" | "no" => {
                options.acpi = if text == "no" { "off" } else { text };
                Ok(())
            }
            _ => Err(BadValue(text)),
        }
    }),
    ("clocksource", |options, argument| options.cpu.set_clock_source(argument)),
    ("com1", |options, argument| options.console.com1.apply(argument)),
    ("com2", |options, argument| options.console.com2.apply(argument)),
    ("conring_size", |options, argument| {
        options.console.ring_size = Some(argument.size()?);
        Ok(())
    }),
    ("console", |options, argument| options.console.set_devices(argument)),
    ("console_timestamps", |options, argument| options.console.set_timestamps(argument)),
    ("console_to_ring", |options, argument| flag(&mut options.console.keeps_guest_output, argument)),
    ("conswitch", |options, argument| options.console.set_switch(argument)),
    ("dom0_max_vcpus", |options, argument| options.dom0_vcpus.apply(argument)),
    ("dom0_mem", |options, argument| options.dom0_memory.apply(argument)),
    ("dom0_vcpus_pin", |options, argument| flag(&mut options.dom0_vcpus_pin, argument)),
    ("gnttab", |options, argument| options.grants.apply(argument)),
    ("gnttab_max_frames", |options, argument| {
        options.grants.max_frames = argument.number()?;
        Ok(())
    }),
    ("gnttab_max_maptrack_frames", |options, argument| {
        options.grants.max_maptrack_frames = argument.number()?;
        Ok(())
    }),
    ("guest_loglvl", |options, argument| levels(&mut options.console.guest_log, argument)),
    ("irq_ratelimit", |options, argument| {
        options.cpu.interrupt_rate = argument.number()?;
        Ok(())
    }),
    ("lapic", |options, argument| flag(&mut options.cpu.local_apic, argument)),
    ("loglvl", |options, argument| levels(&mut options.console.log, argument)),
    ("maxcpus", |options, argument| {
        options.cpu.max_cpus = Some(argument.number()?);
        Ok(())
    }),
    ("mem", |options, argument| {
        options.memory_limit = Some(argument.size()?);
        Ok(())
    }),
    ("nmi", |options, argument| options.cpu.set_nmi(argument)),
    ("noapic", |options, argument| inverted_flag(&mut options.cpu.io_apic, argument)),
    ("nolapic", |options, argument| inverted_flag(&mut options.cpu.local_apic, argument)),
    ("noreboot", |options, argument| flag(&mut options.reboot.stays_down, argument)),
    ("nosmp", |options, argument| {
        options.cpu.max_cpus = argument.truth()?.then_some(1).or(options.cpu.max_cpus);
        Ok(())
    }),
    ("pv-linear-pt", |options, argument| flag(&mut options.pv_linear_tables, argument)),
    ("reboot", |options, argument| options.reboot.set_method(argument)),
    ("sched", |options, argument| {
        options.scheduler = argument.text()?;
        Ok(())
    }),
    ("smt", |options, argument| flag(&mut options.cpu.smt, argument)),
    ("sync_console", |options, argument| flag(&mut options.console.is_synchronous, argument)),
    ("vga", |options, argument| options.console.set_vga(argument)),
    ("watchdog", |options, argument| options.cpu.set_watchdog(argument)),
    ("watchdog_timeout", |options, argument| options.cpu.set_watchdog_seconds(argument)),
    ("x2apic", |options, argument| flag(&mut options.cpu.x2apic, argument)),
    ("x2apic_phys", |options, argument| {
        options.cpu.x2apic_physical = Some(argument.truth()?);
        Ok(())
    }),
    // Our own: Xen has one version only.
    ("xen-version", |options, argument| {
        options.minor_version = Some(argument.minor_version()?);
        Ok(())
    }),
];

fn flag<'a>(target: &mut bool, argument: Argument<'a>) -> Parsed<'a> {
    *target = argument.truth()?;
    Ok(())
}

fn inverted_flag<'a>(target: &mut bool, argument: Argument<'a>) -> Parsed<'a> {
    *target = !argument.truth()?;
    Ok(())
}

fn levels<'a>(target: &mut LogThresholds, argument: Argument<'a>) -> Parsed<'a> {
    let text = argument.text()?;
    *target = LogThresholds::parse(text).ok_or(BadValue(text))?;
    Ok(())
}
