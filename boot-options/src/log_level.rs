//! Thresholds of the console log: `loglvl` and `guest_loglvl`.

/// How much is logged: everything up to this severity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    /// Nothing.
    None,
    /// Errors.
    Error,
    /// And warnings.
    Warning,
    /// And information.
    Info,
    /// Everything ("debug" or "all").
    Debug,
}

/// What is printed always, and what only as far as a rate limit allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogThresholds {
    /// Up to this level always.
    pub always: LogLevel,
    /// Above `always`, up to this level, with a rate limit; never below `always`.
    pub limited: LogLevel,
}

impl LogThresholds {
    /// Default for the hypervisor's own messages.
    pub const HYPERVISOR: Self = Self { always: LogLevel::Warning, limited: LogLevel::Warning };
    /// Default for messages that guests cause.
    pub const GUEST: Self = Self { always: LogLevel::None, limited: LogLevel::Warning };

    /// Reads `level` or `always/limited`.
    pub fn parse(text: &str) -> Option<Self> {
        let (always, limited) = text.split_once('/').unwrap_or((text, text));
        let (always, limited) = (level(always)?, level(limited)?);
        Some(Self { always, limited: limited.max(always) })
    }

    /// Reads a change at run time, as Xen does: no text says the default, as does a level that is none, in front; behind a
    /// slash such a level is as the one in front. Whether all of it was understood comes with it.
    pub fn parse_at_run_time(text: &str) -> (Self, bool) {
        let (first, second) = text.split_once('/').map_or((text, None), |(first, second)| (first, Some(second)));
        let default = Self::HYPERVISOR.always;
        let known = level(first);
        let always = known.unwrap_or(default);
        let limited = second.map_or(known, level);
        let was_understood = text.is_empty() || known.is_some() && limited.is_some();
        (Self { always, limited: limited.unwrap_or(always).max(always) }, was_understood)
    }
}

fn level(text: &str) -> Option<LogLevel> {
    match text {
        "none" => Some(LogLevel::None),
        "error" => Some(LogLevel::Error),
        "warning" => Some(LogLevel::Warning),
        "info" => Some(LogLevel::Info),
        "debug" | "all" => Some(LogLevel::Debug),
        _ => None,
    }
}
