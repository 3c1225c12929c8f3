//! What a whole dom0 costs: the same kernel does the same work on the reference, on Xenolith and without a hypervisor, and
//! counts instructions as it goes (`qubes-integration/workload.c`).
//!
//! With one CPU a tick of the time stamp counter is an instruction, but for the time that the CPU waits for a device: that
//! passes as if it were spent on instructions. Only the kernel's boot has such; of the disk's piece the processor time counts.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::outcome::Work;
use super::stops;
use crate::dom0::{self, Choice, Tools};
use crate::hypervisor::Hypervisor;
use crate::linux;
use crate::qemu::{Icount, Machine};
use crate::report;

/// For one boot with all its work, on a busy host.
const LIMIT: Duration = Duration::from_secs(900);

/// Boots once and reads the figures; a boot that fails gives what it came to.
pub fn measure(hypervisor: Hypervisor) -> Result<Work> {
    let (choice, _) = linux::racer();
    let choice = Choice { memory: 1024, ..choice };
    let mut machine = choice.machine(hypervisor, "scenario=workload", Tools::Stress)?;
    machine.icount = Icount::On;
    dom0::add_disk(&mut machine)?;
    let run = machine.run("workload", LIMIT, "VERDICT")?;
    let mut report = report::parse(&run.log);
    let mut complaints = report::complaints(&run, &report);
    match stages(&machine, &run.log) {
        Ok(stages) => add_stages(&mut report.figures, stages),
        Err(error) => complaints.push(format!("{error:#}")),
    }
    Ok(Work { on: hypervisor.title().into(), figures: report.figures, complaints })
}

/// Where a kernel starts that a boot loader put at 1 MiB.
const BARE_ENTRY: u64 = 0x10_0000;

/// Instructions until the hypervisor's entry, if there is one, and until the kernel's.
fn stages(machine: &Machine, log: &str) -> Result<(Option<u64>, u64)> {
    if machine.hypervisor == Hypervisor::Bare {
        let counts = stops::count_to(machine, &[BARE_ENTRY])?;
        return Ok((None, *counts.first().context("no count")?));
    }
    let image = std::fs::read(machine.hypervisor.image()?)?;
    let entry = image.get(24..28).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    let (_, rest) = log.split_once("ENTRY ADDRESS: ").context("the boot log does not tell dom0's entry")?;
    let digits = rest.lines().next().unwrap_or_default().trim();
    let kernel = u64::from_str_radix(digits, 16).context("dom0's entry is no address")?;
    let counts = stops::count_to(machine, &[entry.context("no ELF image")?.into(), kernel])?;
    let [hypervisor, kernel] = counts.as_slice() else { bail!("no counts") };
    Ok((Some(*hypervisor), *kernel))
}

/// Puts the stages of the boot in the place of the moment of the first process.
fn add_stages(figures: &mut BTreeMap<String, u64>, (hypervisor, kernel): (Option<u64>, u64)) {
    if let Some(hypervisor) = hypervisor {
        figures.insert("boot: hypervisor's entry to dom0's".into(), kernel.saturating_sub(hypervisor));
    }
    if let Some(first) = figures.remove("first process") {
        figures.insert("boot: kernel's entry to its first process".into(), first.saturating_sub(kernel));
    }
}

#[cfg(test)]
mod tests {
    use super::add_stages;
    use std::collections::BTreeMap;

    #[test]
    fn stages_are_differences() {
        let mut figures = BTreeMap::from([("first process".to_owned(), 100)]);
        add_stages(&mut figures, (Some(10), 30));
        assert_eq!(figures.into_values().collect::<Vec<_>>(), [20, 70]);
    }
}
