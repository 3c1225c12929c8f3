//! What hypervisors say at boot that they do against speculation, on the CPU models that tests use.

use anyhow::{Context, Result};

use super::outcome::Mitigation;
use crate::guest::{self, Pace};
use crate::hypervisor::Hypervisor;

/// CPU models of the tests.
pub const MODELS: [&str; 2] = ["EPYC-Milan", "max"];
/// What such lines have in common.
const WORDS: [&str; 5] = ["Xen settings:", "Support for PV VMs", "XPTI", "L1TF shadowing", "mitigation"];

/// Boots a small guest and picks the lines out of the log.
pub fn read(hypervisor: Hypervisor, cpu: &str) -> Result<Mitigation> {
    let guests = guest::named(&["smoke".into()])?;
    let guest = guests.first().context("there is no smoke guest")?;
    let mut machine = guest.machine(hypervisor, "")?;
    machine.cpu = cpu.into();
    let run = machine.run("mitigations", guest.limit(Pace::Quick), "VERDICT")?;
    let lines = run
        .log
        .lines()
        .filter(|line| WORDS.iter().any(|word| line.contains(word)) && !line.trim_end().ends_with("facilities:"))
        .map(|line| line.trim_start_matches("(XEN)").trim().to_owned())
        .collect();
    Ok(Mitigation { on: hypervisor.title().into(), cpu: cpu.into(), lines })
}
