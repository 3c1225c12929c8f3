//! Boots guests on Debian's Xen and on Xenolith under QEMU and compares what they saw.
//!
//! A hypervisor that panics, resets or hangs is a finding and is reported as one; only a missing tool or file ends the
//! runner early, with one sentence. A run that tests anything ends with the line `N passed, M failed`.
#![forbid(unsafe_code)]

mod answers;
mod budgets;
mod cli;
mod compare;
mod control;
mod dom0;
mod fail_points;
mod guest;
mod hypervisor;
mod iso;
mod kernel_images;
mod line;
mod linux;
mod monitor;
mod places;
mod qemu;
mod quick;
mod report;
mod server;
mod session;
mod side_by_side;
mod suite;
mod tally;
mod terminal;
mod toolstack;
mod xtf;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(tally)) => {
            println!("{} passed, {} failed", tally.passed, tally.failed);
            if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("compat-runner: {error:#}");
            ExitCode::from(2)
        }
    }
}
