//! Where a machine's memory is while a small dom0 runs: what the firmware gave less what dom0 and the free heap have is the
//! hypervisor's own. The guest `footprint` asks the hypervisor; one that cannot answer says it in its boot log.

use anyhow::{Context, Result};

use super::outcome::Memory;
use crate::guest::{self, Pace};
use crate::hypervisor::Hypervisor;
use crate::report;

/// The guest that asks.
pub const GUEST: &str = "footprint";
/// KiB of a page.
const PAGE: u64 = 4;

/// Boots it and reads its figures.
pub fn measure(hypervisor: Hypervisor) -> Result<Memory> {
    let guests = guest::named(&[GUEST.into()])?;
    let guest = guests.first().context("there is no guest for it")?;
    let run = guest.machine(hypervisor, "")?.run("memory", guest.limit(Pace::Quick), "VERDICT")?;
    let report = report::parse(&run.log);
    let figure = |name: &str| report.figures.get(name).copied();
    let dom0 = figure("dom0 pages").with_context(|| format!("no figures in {}", run.log_file.display()))? * PAGE;
    let total = kilobytes(&run.log, "System RAM: ").context("the boot log does not say how much memory there is")?;
    let free = match figure("free pages") {
        Some(pages) => pages * PAGE,
        None => kilobytes(&run.log, "Free memory: ").context("neither calls nor the boot log tell what is free")?,
    };
    Ok(Memory { on: hypervisor.title().into(), total, dom0, free })
}

/// The number before `kB` on the first line with a marker.
fn kilobytes(log: &str, marker: &str) -> Option<u64> {
    let (_, rest) = log.lines().find_map(|line| line.split_once(marker))?;
    let digits = rest.split("kB").next()?;
    digits.rsplit(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::kilobytes;

    #[test]
    fn reads_both_ways_of_saying_it() {
        let log = "(XEN) System RAM: 1023MB (1048060kB)\n(XEN) Free memory: 902904kB\n";
        assert_eq!(kilobytes(log, "System RAM: "), Some(1_048_060));
        assert_eq!(kilobytes(log, "Free memory: "), Some(902_904));
        assert_eq!(kilobytes(log, "Other: "), None);
    }
}
