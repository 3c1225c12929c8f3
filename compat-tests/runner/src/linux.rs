//! Debian's kernels as dom0: a shell, one boot with checks, the matrix of boots.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::dom0::{self, Choice, Tools};
use crate::guest::Pace;
use crate::hypervisor::Hypervisor;
use crate::kernel_images;
use crate::monitor::Reason;
use crate::quick;
use crate::report;
use crate::tally::Tally;

/// How dom0 ends the machine after its checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Ending {
    /// `poweroff`
    Poweroff,
    /// `reboot`
    Reboot,
}

/// What dom0 checks, in this order; the functions `check_*` of qubes-integration/dom0/checks.
pub const CHECKS: &str = "hypervisor,cpu_count,work,clocksource,disks,network,interrupts,cpus,host_cpus,kernel_log";
/// The same without devices.
const CORE_CHECKS: &str = "hypervisor,cpu_count,kernel_log";
/// All, and a minute against the RTC.
const LONG_CHECKS: &str =
    "hypervisor,cpu_count,work,clocksource,disks,network,interrupts,cpus,host_cpus,drift,kernel_log";

/// The load: stress-ng, compilers, a large copy; the functions of qubes-integration/dom0/stress-checks.
const STRESS_CHECKS: &str = "hypervisor,cpu_count,stress,compile,copy,clocksource,kernel_log";

/// How long stress-ng runs.
pub const STRESS_SECONDS: u32 = 120;

/// One boot with checks.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Kernel and machine.
    pub choice: Choice,
    /// Names of checks, separated by commas.
    pub checks: String,
    /// How it ends.
    pub ending: Ending,
    /// Time limit.
    pub limit: Duration,
}

impl Scenario {
    /// A name for logs: the load runs on a machine that other checks run on too.
    fn name(&self) -> String {
        let suffix = if self.checks == STRESS_CHECKS { "-stress" } else { "" };
        format!("{}{suffix}", self.choice.name())
    }
}

/// Boots dom0 to a root shell with the serial line on this terminal.
pub fn shell(choice: &Choice, hypervisor: Hypervisor) -> Result<()> {
    let mut machine = choice.machine(hypervisor, "scenario=shell", Tools::Busybox)?;
    dom0::add_disks(&mut machine)?;
    dom0::add_network(&mut machine)?;
    let mut command = machine.command()?;
    command.args(["-chardev", "stdio,id=tty,mux=on,signal=off", "-serial", "chardev:tty"]);
    println!("Ctrl-a x ends the machine; Ctrl-a b sends a break.");
    command.stdin(Stdio::inherit()).status().context("cannot start QEMU")?;
    Ok(())
}

/// A boot that was watched to its end.
pub struct Boot {
    /// What is wrong with it; empty when all is well.
    pub complaints: Vec<String>,
    /// Seconds from power-on to dom0's first user process.
    pub init_seconds: Option<f64>,
}

/// Boots once and judges.
pub fn check(scenario: &Scenario, hypervisor: Hypervisor) -> Result<Boot> {
    let Scenario { choice, checks, ending, limit } = scenario;
    let mut words =
        format!("scenario=check checks={checks} end={}", if *ending == Ending::Reboot { "reboot" } else { "poweroff" });
    let named = |name: &str| checks.split(',').any(|check| check == name);
    let tools = if named("stress") || named("compile") { Tools::Stress } else { Tools::Busybox };
    let mut machine = choice.machine(hypervisor, "", tools)?;
    if named("copy") {
        words = format!("{words} {}", dom0::add_copied_disks(&mut machine)?);
    }
    if named("disks") || named("interrupts") {
        words = format!("{words} {}", dom0::add_disks(&mut machine)?);
    }
    if named("network") || named("interrupts") {
        words = format!("{words} {}", dom0::add_network(&mut machine)?);
    }
    if let Some((_, line)) = machine.modules.first_mut() {
        *line = format!("{line} {words}");
    }
    let run = machine.run(&scenario.name(), *limit, "VERDICT")?;
    let report = report::parse(&run.log);
    let mut complaints = report::complaints(&run, &report);
    let wanted = if *ending == Ending::Reboot { Reason::Reset } else { Reason::PowerOff };
    if complaints.is_empty() && run.reason != Some(wanted) {
        complaints.push(format!("the machine should end by {wanted:?}, but: {:?} {:?}", run.end, run.reason));
    }
    let init_seconds = run.seen_at("INIT dom0 is up");
    if let Some(at) = init_seconds {
        println!("  {} on {}: init after {at:.1} s, {:.1} s in all", scenario.name(), hypervisor.name(), run.seconds);
    }
    if !complaints.is_empty() {
        println!("  last lines of {}:\n{}", run.log_file.display(), run.tail(20));
    }
    Ok(Boot { complaints, init_seconds })
}

/// How much longer than on Xen a boot may take before it counts: the noise of wall time on a busy machine.
const NOISE: f64 = 1.10;

/// Boots the same dom0 in turn on both and compares the time to its first user process; the best of each counts.
pub fn race(choice: &Choice, rounds: u32) -> Result<Tally> {
    let scenario = Scenario {
        choice: choice.clone(),
        checks: "hypervisor".into(),
        ending: Ending::Poweroff,
        limit: Duration::from_secs(300),
    };
    let mut best = [f64::INFINITY; 2];
    let mut complaints = Vec::new();
    for _ in 0..rounds {
        for (hypervisor, best) in [Hypervisor::Xen, Hypervisor::Xenolith].into_iter().zip(&mut best) {
            let boot = check(&scenario, hypervisor)?;
            *best = best.min(boot.init_seconds.unwrap_or(f64::INFINITY));
            if hypervisor == Hypervisor::Xenolith {
                complaints.extend(boot.complaints);
            }
        }
    }
    let [xen, ours] = best;
    println!("  boot to first process: xen {xen:.1} s, xenolith {ours:.1} s, ratio {:.2}", ours / xen);
    if complaints.is_empty() && ours > xen * NOISE {
        complaints.push(format!("slower than Xen: {ours:.1} s against {xen:.1} s"));
    }
    let mut tally = Tally::default();
    tally.count(&complaints);
    println!("{} boot-time", if complaints.is_empty() { "PASS" } else { "FAIL" });
    complaints.iter().for_each(|complaint| println!("  {complaint}"));
    Ok(tally)
}

/// Runs scenarios one after the other.
pub fn run_all(scenarios: &[Scenario], hypervisor: Hypervisor) -> Result<Tally> {
    let mut tally = Tally::default();
    for scenario in scenarios {
        let complaints = check(scenario, hypervisor)?.complaints;
        tally.count(&complaints);
        println!("{} {}", if complaints.is_empty() { "PASS" } else { "FAIL" }, scenario.name());
        for complaint in complaints {
            println!("  {complaint}");
        }
    }
    Ok(tally)
}

/// A dom0 under load for `seconds` (of stress-ng alone; the compilers and the copy come after it).
pub fn stress(mut choice: Choice, seconds: u32) -> Scenario {
    choice.arguments = format!("{} seconds={seconds}", choice.arguments).trim_start().into();
    // Emulated CPUs that share real ones: boot, compilers and hashes take minutes of their own.
    let limit = Duration::from_secs(u64::from(seconds) + 600);
    Scenario { choice, checks: STRESS_CHECKS.into(), ending: Ending::Poweroff, limit }
}

/// The boots of a pace: quick ones cover each axis once, full ones their product.
pub fn matrix(pace: Pace) -> Vec<Scenario> {
    match pace {
        Pace::Quick => vec![
            scenario("6.1", "q35", "EPYC-Milan", 2, 2048, CHECKS, Ending::Poweroff),
            scenario("6.12", "q35", "max", 4, 1024, CORE_CHECKS, Ending::Reboot),
            scenario("6.12", "pc", "EPYC-Milan", 1, 512, CORE_CHECKS, Ending::Poweroff),
        ],
        Pace::Full => full_matrix(),
    }
}

/// The boots of a suite: those of the matrix, in the quick one less what `compat-tests/quick.toml` leaves out.
pub fn suite_boots(pace: Pace) -> Result<Vec<Scenario>> {
    let mut boots = matrix(pace);
    if pace == Pace::Quick {
        let left_out = quick::exclusions()?;
        boots.retain(|boot| !left_out.iter().any(|exclusion| exclusion.guest == boot.choice.name()));
    }
    Ok(boots)
}

/// What races Xen, and how often: one CPU, where wall time is steadiest.
pub fn racer() -> (Choice, u32) {
    let scenario = scenario("6.1", "q35", "EPYC-Milan", 1, 1024, "hypervisor", Ending::Poweroff);
    (scenario.choice, 3)
}

fn full_matrix() -> Vec<Scenario> {
    let mut all = Vec::new();
    for kernel in ["6.1", "6.12"] {
        for machine in ["q35", "pc"] {
            for cpu in ["EPYC-Milan", "max"] {
                for cpus in [1, 2, 4] {
                    let ending = if cpus == 2 { Ending::Reboot } else { Ending::Poweroff };
                    let checks = if cpus == 2 && cpu == "max" { LONG_CHECKS } else { CHECKS };
                    all.push(scenario(kernel, machine, cpu, cpus, 2048, checks, ending));
                }
            }
        }
        for memory in [512, 1024, 4096, 8192] {
            all.push(scenario(kernel, "q35", "EPYC-Milan", 2, memory, CORE_CHECKS, Ending::Poweroff));
        }
        let loaded = scenario(kernel, "q35", "EPYC-Milan", 4, 2048, STRESS_CHECKS, Ending::Poweroff);
        all.push(stress(loaded.choice, STRESS_SECONDS));
    }
    for format in kernel_images::formats() {
        let mut packed = scenario("6.1", "q35", "EPYC-Milan", 2, 1024, CORE_CHECKS, Ending::Poweroff);
        packed.choice.payload = format.into();
        all.push(packed);
    }
    all
}

fn scenario(kernel: &str, machine: &str, cpu: &str, cpus: u32, memory: u32, checks: &str, ending: Ending) -> Scenario {
    let choice = Choice {
        kernel: kernel.into(),
        payload: String::new(),
        cpus,
        memory,
        cpu: cpu.into(),
        machine: machine.into(),
        options: String::new(),
        arguments: String::new(),
    };
    // Four emulated CPUs on two real ones crawl.
    let limit = Duration::from_secs(300 + 60 * u64::from(cpus));
    Scenario { choice, checks: checks.into(), ending, limit }
}
