//! Everything that was asked for, and the words that were not understood.

use crate::argument::Argument;
use crate::console::ConsoleOptions;
use crate::dom0::{Dom0Memory, Dom0Vcpus};
use crate::ignored::IGNORED;
use crate::machine::{CpuOptions, GrantOptions, RebootOptions};
use crate::table::OPTIONS;
use core::fmt;

/// The options, with defaults for what was not given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BootOptions<'a> {
    /// Memory of dom0.
    pub dom0_memory: Dom0Memory,
    /// vCPUs of dom0.
    pub dom0_vcpus: Dom0Vcpus,
    /// Whether each vCPU of dom0 stays on one CPU.
    pub dom0_vcpus_pin: bool,
    /// Console and log.
    pub console: ConsoleOptions,
    /// Restarts.
    pub reboot: RebootOptions,
    /// CPUs, interrupt controllers, clocks.
    pub cpu: CpuOptions,
    /// Grant tables.
    pub grants: GrantOptions,
    /// Physical memory above this many bytes is left alone.
    pub memory_limit: Option<u64>,
    /// Whether guests may point page-table slots at tables of the same level.
    pub pv_linear_tables: bool,
    /// Value of `acpi=`, which dom0 is told too; empty if not given.
    pub acpi: &'a str,
    /// Value of `sched=`; empty if not given.
    pub scheduler: &'a str,
    /// Minor version of the Xen 4 that callers are told to be on (`xen-version=4.20`); `None` if not given.
    pub minor_version: Option<u32>,
}

impl BootOptions<'_> {
    /// Without any option given.
    pub const DEFAULT: Self = Self {
        dom0_memory: Dom0Memory { initial: None, min: None, max: None },
        dom0_vcpus: Dom0Vcpus::DEFAULT,
        dom0_vcpus_pin: false,
        console: ConsoleOptions::DEFAULT,
        reboot: RebootOptions { stays_down: false, method: None, is_warm: false },
        cpu: CpuOptions::DEFAULT,
        grants: GrantOptions::DEFAULT,
        memory_limit: None,
        pv_linear_tables: true,
        acpi: "",
        scheduler: "",
        minor_version: None,
    };
}

/// A word of the command line that has no effect, or not all of the effect it was given for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Warning<'a> {
    /// No option is called so. Reported once for each name.
    Unknown(&'a str),
    /// Xen has an option of that name; it has no effect here. Reported once for each name.
    NoEffect(&'a str),
    /// The option is known, a part of its value is not.
    BadValue {
        /// The option.
        name: &'a str,
        /// The part.
        value: &'a str,
    },
}

impl fmt::Display for Warning<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(formatter, "unknown command line option \"{}\" ignored", name.escape_default())
            }
            Self::NoEffect(name) => write!(formatter, "command line option \"{name}\" has no effect here"),
            Self::BadValue { name, value } => {
                write!(formatter, "command line option \"{name}\": bad value \"{}\" ignored", value.escape_default())
            }
        }
    }
}

impl<'a> BootOptions<'a> {
    /// Reads the hypervisor's part of a command line. Nothing in it is an error: what is not understood goes to
    /// `warn`, in the order of the line, and boot goes on.
    pub fn parse(line: &'a str, mut warn: impl FnMut(Warning<'a>)) -> Self {
        let mut options = Self::DEFAULT;
        for (index, argument) in arguments(line).enumerate() {
            let known = OPTIONS.iter().find(|(name, _)| argument.is(name));
            if let Some((name, apply)) = known {
                if let Err(bad) = apply(&mut options, argument) {
                    warn(Warning::BadValue { name, value: bad.0 });
                }
                continue;
            }
            if arguments(line).take(index).any(|earlier| earlier.is(argument.name)) {
                continue;
            }
            match IGNORED.iter().find(|name| argument.is(name)) {
                Some(name) => warn(Warning::NoEffect(name)),
                None => warn(Warning::Unknown(argument.word.split('=').next().unwrap_or_default())),
            }
        }
        options
    }
}

/// The words of a line.
fn arguments(line: &str) -> impl Iterator<Item = Argument<'_>> {
    line.split([' ', '\t']).filter(|word| !word.is_empty()).map(Argument::new)
}
