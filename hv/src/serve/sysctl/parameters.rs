//! Options that can be changed while the host runs.

use abi::{Errno, Result};
use boot_options::{LogLevel, LogThresholds};
use hypercalls::{
    authority::ControlDomain,
    op::hypfs::{Parameter, ParameterHost, ParameterText},
};

use crate::{
    boot::options::{self, GrantLimit},
    console::log::{self as console_log, Source},
    serve::Caller,
};

impl ParameterHost for Caller<'_> {
    fn parameter(&self, parameter: Parameter) -> ParameterText {
        match parameter {
            Parameter::GrantFrames => ParameterText::new(format_args!("{}", options::grant_limit(GrantLimit::Frames))),
            Parameter::MaptrackFrames => {
                ParameterText::new(format_args!("{}", options::grant_limit(GrantLimit::MaptrackFrames)))
            }
            Parameter::GuestLogLevel => thresholds(console_log::thresholds(Source::Guest)),
            Parameter::LogLevel => thresholds(console_log::thresholds(Source::Hypervisor)),
        }
    }

    fn set_parameter(&mut self, _authority: ControlDomain, parameter: Parameter, text: &str) -> Result<()> {
        match parameter {
            Parameter::GrantFrames => set_grant_limit(GrantLimit::Frames, text),
            Parameter::MaptrackFrames => set_grant_limit(GrantLimit::MaptrackFrames, text),
            Parameter::GuestLogLevel => set_thresholds(Source::Guest, text),
            Parameter::LogLevel => set_thresholds(Source::Hypervisor, text),
        }
    }
}

fn set_grant_limit(which: GrantLimit, text: &str) -> Result<()> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    options::set_grant_limit(which, number.map_err(|_| Errno::EINVAL)?);
    Ok(())
}

/// As on Xen, a level that is none becomes the default, and the call fails all the same.
fn set_thresholds(source: Source, text: &str) -> Result<()> {
    let (thresholds, was_understood) = LogThresholds::parse_at_run_time(text);
    console_log::set_thresholds(source, thresholds);
    if was_understood { Ok(()) } else { Err(Errno::EINVAL) }
}

fn thresholds(value: LogThresholds) -> ParameterText {
    ParameterText::new(format_args!("{}/{}", name(value.always), name(value.limited)))
}

fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::None => "none",
        LogLevel::Error => "error",
        LogLevel::Warning => "warning",
        LogLevel::Info => "info",
        LogLevel::Debug => "all",
    }
}
