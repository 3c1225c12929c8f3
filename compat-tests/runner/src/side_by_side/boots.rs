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

/// Rounds, in each of which all boot in turn.
pub const ROUNDS: u32 = 3;

/// The shorter of two boots: what else the host does makes them longer only. One that was not seen to its end counts for less.
pub fn better(one: Option<Boot>, other: Boot) -> Boot {
    match one {
        Some(one) if one.stages.len() == other.stages.len() && one.total() < other.total() => one,
        Some(one) if one.stages.len() > other.stages.len() => one,
        _ => other,
    }
}

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

#[cfg(test)]
mod tests {
    use super::{Boot, better};

    #[test]
    fn the_shorter_whole_boot_counts() {
        let boot = |seconds: &[f64]| Boot {
            on: "x".into(),
            stages: seconds.iter().map(|seconds| ("stage".into(), *seconds)).collect(),
        };
        assert_eq!(better(None, boot(&[5.0])).total(), 5.0);
        assert_eq!(better(Some(boot(&[5.0, 1.0])), boot(&[4.0, 1.0])).total(), 5.0);
        assert_eq!(better(Some(boot(&[5.0, 1.0])), boot(&[1.0])).total(), 6.0);
        assert_eq!(better(Some(boot(&[1.0])), boot(&[5.0, 1.0])).total(), 6.0);
    }
}
