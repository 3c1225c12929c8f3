//! Xen's command line: what was asked for, as plain data, and a warning for everything that was not understood.
//!
//! Pure and without allocation; everything borrows from the line. [`CommandLine::new`] takes the loader's string apart,
//! [`BootOptions::parse`] reads the hypervisor's part, [`dom0_line`] makes the string that dom0 gets.
//! Source: Xen's user documentation of its command line (options, defaults and syntax).
#![no_std]
#![forbid(unsafe_code)]

mod argument;
mod console;
mod dom0;
mod dom0_line;
mod ignored;
mod line;
mod log_level;
mod machine;
mod number;
mod options;
mod serial;
mod table;

pub use console::{ConsoleOptions, Devices, Timestamps};
pub use dom0::{Amount, Dom0Memory, Dom0Pages, Dom0Vcpus};
pub use dom0_line::{Dom0LineInput, dom0_line};
pub use line::CommandLine;
pub use log_level::{LogLevel, LogThresholds};
pub use machine::{ClockSource, CpuOptions, GrantOptions, NmiAction, RebootMethod, RebootOptions};
pub use options::{BootOptions, Warning};
pub use serial::{Parity, SerialOptions};
