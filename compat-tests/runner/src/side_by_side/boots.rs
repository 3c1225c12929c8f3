//! The time line of a boot: the same dom0 on each hypervisor, by the clock, from power-on to its first process.

use std::time::Duration;

use anyhow::Result;

use super::outcome::Boot;
use crate::dom0::Tools;
use crate::hypervisor::Hypervisor;
use crate::linux;

/// Where stages end: a line that starts with this.
const ENDS: [(&str, &str); 3] =
    [("firmware and loader", "(XEN)"), ("hypervisor", "[    0.0"), ("kernel to first process", "INIT dom0 is up")];
/// Seconds for one boot.
const LIMIT: Duration = Duration::from_secs(300);

/// Boots once; what was not reached is not in the answer.
pub fn measure(hypervisor: Hypervisor) -> Result<Boot> {
    let (choice, _) = linux::racer();
    let machine = choice.machine(hypervisor, "scenario=check checks=hypervisor end=poweroff", Tools::Busybox)?;
    let run = machine.run("time-line", LIMIT, "VERDICT")?;
    let mut stages = Vec::new();
    let mut before = 0.0;
    for (name, marker) in ENDS {
        let Some(at) = run.seen_at(marker) else { break };
        stages.push((name.into(), at - before));
        before = at;
    }
    Ok(Boot { on: hypervisor.title().into(), stages })
}
