//! The containment test: a build of the hypervisor that breaks itself on behalf of victims, place by place, and audits
//! itself after each (`hv/src/fail_points`). Checked with debug assertions, so lock levels are part of the audit.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::hypervisor::Hypervisor;
use crate::places;
use crate::qemu::{End, Icount, Machine};
use crate::tally::Tally;

/// Seconds for one run, on a busy host.
const LIMIT: Duration = Duration::from_secs(480);
/// Fewer places than this means that the list was cut.
const LEAST: usize = 450;
/// One CPU interleaves victim and bystander, several run them side by side.
const CPUS: [u32; 2] = [1, 4];

/// Builds the image; quick when nothing changed.
fn build() -> Result<()> {
    let status = Command::new(places::program("bash")?)
        .arg(places::tree().join("scripts/build-image.sh"))
        .arg("fail-points")
        .env("CARGO_TARGET_DIR", places::target())
        .status()?;
    if !status.success() {
        bail!("the hypervisor with fail points does not build");
    }
    Ok(())
}

/// Builds and runs the test.
pub fn run() -> Result<Tally> {
    build()?;
    let mut tally = Tally::default();
    for cpus in CPUS {
        let name = format!("fail-points-{cpus}");
        let complaints = run_on(cpus, &name)?;
        println!("{} {name}", if complaints.is_empty() { "PASS" } else { "FAIL" });
        for complaint in &complaints {
            println!("  {complaint}");
        }
        tally.count(&complaints);
    }
    tally.add(watchdog()?);
    Ok(tally)
}

/// A CPU of the same image hangs: the watchdog says where, and the machine stops.
fn watchdog() -> Result<Tally> {
    let mut machine = machine(2);
    machine.options.push_str(" watchdog watchdog_timeout=3 fail-point=hang");
    let run = machine.run("watchdog", Duration::from_secs(30), "VERDICT")?;
    let mut complaints = Vec::new();
    for line in ["FAILPOINT this CPU hangs", "Watchdog timer detects that CPU", "'noreboot' set - not rebooting."] {
        if !run.log.contains(line) {
            complaints.push(format!("no line with \"{line}\"; last lines:\n{}", run.tail(12)));
        }
    }
    println!("{} watchdog", if complaints.is_empty() { "PASS" } else { "FAIL" });
    complaints.iter().for_each(|complaint| println!("  {complaint}"));
    let mut tally = Tally::default();
    tally.count(&complaints);
    Ok(tally)
}

fn machine(cpus: u32) -> Machine {
    Machine {
        hypervisor: Hypervisor::FailPoints,
        options: "com1=115200,8n1 console=com1 loglvl=all guest_loglvl=all noreboot".into(),
        modules: Vec::new(),
        machine: "q35".into(),
        cpu: "EPYC-Milan".into(),
        cpus,
        memory: 256,
        icount: Icount::Off,
        disc: None,
        extra: Vec::new(),
    }
}

fn run_on(cpus: u32, name: &str) -> Result<Vec<String>> {
    let run = machine(cpus).run(name, LIMIT, "VERDICT")?;
    let contained = run.log.lines().filter(|line| line.contains(": contained, audit clean")).count();
    println!("  {name}: {contained} places contained, {:.1} s", run.seconds);
    let mut complaints: Vec<String> = run
        .log
        .lines()
        .filter(|line| line.contains("FAILPOINT") && line.contains(": FAIL "))
        .map(String::from)
        .collect();
    if run.end != End::Exited || !run.log.contains("FAILPOINTS VERDICT SUCCESS") {
        complaints.push(format!("no verdict of success; last lines:\n{}", run.tail(12)));
    }
    if contained < LEAST {
        complaints.push(format!("only {contained} places were broken"));
    }
    Ok(complaints)
}
