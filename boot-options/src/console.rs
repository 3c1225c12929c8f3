//! Where messages go: `console=`, the ring, time stamps, and who gets typed input.

use crate::argument::{Argument, BadValue, Parsed};
use crate::log_level::LogThresholds;
use crate::number::truth;
use crate::serial::SerialOptions;

/// Devices that print the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Devices {
    /// VGA text.
    pub vga: bool,
    /// First serial port.
    pub com1: bool,
    /// Second serial port.
    pub com2: bool,
}

/// What stands in front of every line of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timestamps {
    /// Nothing.
    None,
    /// Date and time of day.
    Date,
    /// The same with milliseconds.
    DateMilliseconds,
    /// Seconds since boot.
    Boot,
    /// The time-stamp counter.
    Raw,
}

/// All about the console.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsoleOptions {
    /// Devices of `console=`.
    pub devices: Devices,
    /// First serial port.
    pub com1: SerialOptions,
    /// Second serial port.
    pub com2: SerialOptions,
    /// Bytes of the ring that keeps the log; `None` for the default.
    pub ring_size: Option<u64>,
    /// Time stamps.
    pub timestamps: Timestamps,
    /// Letter that, with Ctrl and three times, switches typed input between dom0 and the hypervisor.
    pub switch_letter: u8,
    /// Whether input goes to dom0 by itself once it starts.
    pub switches_to_dom0: bool,
    /// Whether output waits for the device instead of for a buffer.
    pub is_synchronous: bool,
    /// Whether guests' console output is kept in the ring too.
    pub keeps_guest_output: bool,
    /// Whether the VGA console goes on after dom0 has started.
    pub keeps_vga: bool,
    /// Thresholds for the hypervisor's messages.
    pub log: LogThresholds,
    /// Thresholds for messages that guests cause.
    pub guest_log: LogThresholds,
}

impl ConsoleOptions {
    /// Without any option given.
    pub const DEFAULT: Self = Self {
        devices: Devices { vga: true, com1: true, com2: false },
        com1: SerialOptions::COM1,
        com2: SerialOptions::COM2,
        ring_size: None,
        timestamps: Timestamps::None,
        switch_letter: b'a',
        switches_to_dom0: true,
        is_synchronous: false,
        keeps_guest_output: false,
        keeps_vga: false,
        log: LogThresholds::HYPERVISOR,
        guest_log: LogThresholds::GUEST,
    };

    pub(crate) fn set_devices<'a>(&mut self, argument: Argument<'a>) -> Parsed<'a> {
        let mut devices = Devices::default();
        let result = argument.items(|item| {
            // A trailing H or L takes half of a port's 7-bit character set; here a port is not shared in that way.
            let device = item.strip_suffix(['H', 'L']).unwrap_or(item);
            match device {
                "vga" => devices.vga = true,
                "com1" => devices.com1 = true,
                "com2" => devices.com2 = true,
                "none" | "no" | "" => {}
                _ => return None,
            }
            Some(())
        });
        self.devices = devices;
        result
    }

    pub(crate) fn set_timestamps<'a>(&mut self, argument: Argument<'a>) -> Parsed<'a> {
        let text = argument.text()?;
        self.timestamps = match text {
            "none" => Timestamps::None,
            "date" | "" => Timestamps::Date,
            "datems" => Timestamps::DateMilliseconds,
            "boot" => Timestamps::Boot,
            "raw" => Timestamps::Raw,
            _ => match truth(text) {
                Some(true) => Timestamps::Date,
                Some(false) => Timestamps::None,
                None => return Err(BadValue(text)),
            },
        };
        Ok(())
    }

    /// A letter, and "x" behind it if input is to stay with the hypervisor.
    pub(crate) fn set_switch<'a>(&mut self, argument: Argument<'a>) -> Parsed<'a> {
        let text = argument.text()?;
        let (letter, stays) = match *text.as_bytes() {
            [letter] => (letter, false),
            [letter, b'x'] => (letter, true),
            _ => return Err(BadValue(text)),
        };
        if !letter.is_ascii_alphabetic() {
            return Err(BadValue(text));
        }
        self.switch_letter = letter.to_ascii_lowercase();
        self.switches_to_dom0 = !stays;
        Ok(())
    }

    /// Modes are the BIOS's business and not looked at; only "keep" is.
    pub(crate) fn set_vga<'a>(&mut self, argument: Argument<'a>) -> Parsed<'a> {
        argument.items(|item| {
            match item {
                "keep" => self.keeps_vga = true,
                "current" | "ask" => {}
                _ if ["text-", "gfx-", "mode-"].iter().any(|kind| item.starts_with(kind)) => {}
                _ => return None,
            }
            Some(())
        })
    }
}
