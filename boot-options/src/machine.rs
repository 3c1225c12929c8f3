//! Options about CPUs, clocks, restarts and grant tables.

use crate::argument::{Argument, BadValue, Parsed};
use crate::number::{item_truth, number32};

/// How to restart the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RebootMethod {
    /// By a triple fault.
    Triple,
    /// By the keyboard controller.
    Keyboard,
    /// By ACPI's reset register.
    Acpi,
    /// By port 0xcf9, a reset.
    Pci,
    /// By port 0xcf9, a full power cycle.
    Power,
    /// By EFI.
    Efi,
}

/// What to do when the machine is to restart or has crashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RebootOptions {
    /// `noreboot`: stop after a crash.
    pub stays_down: bool,
    /// The method asked for; `None` to choose.
    pub method: Option<RebootMethod>,
    /// Whether the BIOS is to skip its memory test.
    pub is_warm: bool,
}

impl RebootOptions {
    /// Letters between commas.
    pub(crate) fn set_method<'a>(&mut self, argument: Argument<'a>) -> Parsed<'a> {
        argument.items(|item| {
            match item.as_bytes().first()? {
                b't' => self.method = Some(RebootMethod::Triple),
                b'k' => self.method = Some(RebootMethod::Keyboard),
                b'a' => self.method = Some(RebootMethod::Acpi),
                b'p' => self.method = Some(RebootMethod::Pci),
                b'P' => self.method = Some(RebootMethod::Power),
                b'e' => self.method = Some(RebootMethod::Efi),
                b'n' => self.stays_down = true,
                b'w' => self.is_warm = true,
                b'c' => self.is_warm = false,
                _ => return None,
            }
            Some(())
        })
    }
}

/// The clock that platform time is read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockSource {
    /// ACPI's power management timer.
    Acpi,
    /// High precision event timer.
    Hpet,
    /// Time-stamp counter.
    Tsc,
    /// Programmable interval timer.
    Pit,
}

/// Who hears of an NMI with a hardware reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NmiAction {
    /// Nobody.
    Ignore,
    /// dom0.
    Dom0,
    /// The machine stops.
    Fatal,
}

/// CPUs, interrupt controllers, clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuOptions {
    /// Most CPUs to start.
    pub max_cpus: Option<u32>,
    /// Whether more than one thread of a core is used.
    pub smt: bool,
    /// Whether a CPU that hangs stops the machine.
    pub watchdog: bool,
    /// After how many seconds.
    pub watchdog_seconds: u32,
    /// Whether x2APIC mode is used where there is one.
    pub x2apic: bool,
    /// Physical (`true`) or clustered (`false`) destinations in x2APIC mode; `None` to choose.
    pub x2apic_physical: Option<bool>,
    /// Whether the local APIC is used.
    pub local_apic: bool,
    /// Whether I/O APICs are used.
    pub io_apic: bool,
    /// Clock asked for.
    pub clock_source: Option<ClockSource>,
    /// NMIs.
    pub nmi: NmiAction,
    /// Most interrupts of one source in 10 ms; 0 for no limit.
    pub interrupt_rate: u32,
}

impl CpuOptions {
    /// Without any option given.
    pub const DEFAULT: Self = Self {
        max_cpus: None,
        smt: true,
        watchdog: false,
        watchdog_seconds: 5,
        x2apic: true,
        x2apic_physical: None,
        local_apic: true,
        io_apic: true,
        clock_source: None,
        nmi: NmiAction::Dom0,
        interrupt_rate: 10_000,
    };

    /// A truth value, or "force".
    pub(crate) fn set_watchdog<'a>(&mut self, argument: Argument<'a>) -> Parsed<'a> {
        self.watchdog = argument.value == Some("force") || argument.truth()?;
        Ok(())
    }

    /// A time-out other than 0 switches the watchdog on, 0 off.
    pub(crate) fn set_watchdog_seconds<'a>(&mut self, argument: Argument<'a>) -> Parsed<'a> {
        let seconds = argument.number()?;
        self.watchdog = seconds != 0;
        if self.watchdog {
            self.watchdog_seconds = seconds;
        }
        Ok(())
    }

    pub(crate) fn set_clock_source<'a>(&mut self, argument: Argument<'a>) -> Parsed<'a> {
        let text = argument.text()?;
        self.clock_source = Some(match text {
            "acpi" => ClockSource::Acpi,
            "hpet" => ClockSource::Hpet,
            "tsc" => ClockSource::Tsc,
            "pit" => ClockSource::Pit,
            _ => return Err(BadValue(text)),
        });
        Ok(())
    }

    pub(crate) fn set_nmi<'a>(&mut self, argument: Argument<'a>) -> Parsed<'a> {
        let text = argument.text()?;
        self.nmi = match text {
            "ignore" => NmiAction::Ignore,
            "dom0" => NmiAction::Dom0,
            "fatal" => NmiAction::Fatal,
            _ => return Err(BadValue(text)),
        };
        Ok(())
    }
}

/// Limits of grant tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GrantOptions {
    /// Most frames of a domain's table.
    pub max_frames: u32,
    /// Most frames of a domain's mapping handles.
    pub max_maptrack_frames: u32,
    /// Highest version asked for; `None` if nothing is said.
    pub max_version: Option<u8>,
    /// Whether GNTTABOP_transfer works.
    pub transfer: bool,
    /// Whether transitive grants were asked for.
    pub transitive: bool,
}

impl GrantOptions {
    /// Without any option given.
    pub const DEFAULT: Self =
        Self { max_frames: 64, max_maptrack_frames: 1024, max_version: None, transfer: true, transitive: false };

    pub(crate) fn apply<'a>(&mut self, argument: Argument<'a>) -> Parsed<'a> {
        argument.items(|item| {
            if let Some(version) = item.strip_prefix("max-ver:") {
                let version = number32(version).filter(|version| (1..=2).contains(version))?;
                self.max_version = Some(version as u8);
            } else if let Some(value) = item_truth(item, "transfer") {
                self.transfer = value?;
            } else {
                self.transitive = item_truth(item, "transitive")??;
            }
            Some(())
        })
    }
}
