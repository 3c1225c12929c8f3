//! Journeys: a guest goes from machine to machine. Scripts of `qubes-integration/journeys`, one for all machines, each of
//! which is booted with a number of its own (`leg=` of `legs=`); a disk they share, or a network, joins them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::boot::{self, Choice, results_port};
use super::scenario::{self, Recipe, Scenario};
use super::session::{AROUND, ENDS, TAIL, read};
use crate::answers;
use crate::hypervisor::{Hypervisor, hex};
use crate::monitor::Reason;
use crate::places;
use crate::suite::settle;
use crate::tally::Tally;

/// Bytes of the disk that the machines share.
const DISK: u64 = 512 << 20;

/// When the machines run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Machines {
    /// One after the other; the disk goes from each to the next.
    InTurn,
    /// Two at once with a network between them; both have the disk.
    Joined,
}

/// Which hypervisor of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stop {
    /// The Xen that the tools belong to.
    Xen,
    /// Ours.
    Xenolith,
}

/// The lines `#: key = value` of a journey.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JourneyRecipe {
    /// One line: what happens and what should come of it.
    pub about: String,
    /// When the machines run.
    pub machines: Machines,
    /// The hypervisors of the machines; each route is a run.
    pub routes: Vec<Vec<Stop>>,
    /// Seconds that each machine may take after its daemons are up.
    pub limit: u64,
}

/// A journey.
#[derive(Clone, Debug)]
pub struct Journey {
    /// The file's name without `.sh`.
    pub name: String,
    /// How it goes.
    pub recipe: JourneyRecipe,
    script: PathBuf,
}

/// The journeys of these names, or all when there are none.
pub fn named(names: &[String]) -> Result<Vec<Journey>> {
    let mut journeys = Vec::new();
    for (name, script) in scenario::scripts(&places::tree().join("qubes-integration/journeys"))? {
        let text = std::fs::read_to_string(&script)?;
        let recipe = scenario::recipe(&text).with_context(|| format!("{}", script.display()))?;
        journeys.push(Journey { name, recipe, script });
    }
    if let Some(unknown) = names.iter().find(|name| !journeys.iter().any(|journey| journey.name == **name)) {
        bail!("there is no journey `{unknown}`; `compat-runner toolstack --list` names them");
    }
    journeys.retain(|journey| names.is_empty() || names.contains(&journey.name));
    Ok(journeys)
}

/// Makes the journeys, every route of each, and judges them by their scripts' own verdicts.
pub fn run(journeys: &[Journey], choice: &Choice) -> Result<Tally> {
    let mut tally = Tally::default();
    for journey in journeys {
        for route in &journey.recipe.routes {
            let (name, complaints) = journey.take(route, choice)?;
            settle(&name, &complaints, &mut tally);
        }
    }
    Ok(tally)
}

fn hypervisor(stop: Stop, choice: &Choice) -> Result<Hypervisor> {
    match stop {
        Stop::Xen => choice.reference(),
        Stop::Xenolith => Ok(Hypervisor::Xenolith),
    }
}

fn stops(route: &[Stop], choice: &Choice) -> Result<Vec<Hypervisor>> {
    route.iter().map(|stop| hypervisor(*stop, choice)).collect()
}

/// One machine of a journey.
struct Leg<'a> {
    journey: &'a Journey,
    choice: &'a Choice,
    hypervisor: Hypervisor,
    /// Counted from 1.
    number: usize,
    /// Of how many.
    of: usize,
    disk: &'a Path,
}

impl Journey {
    /// Takes one of its routes; gives back what that is called and what went wrong.
    pub fn take(&self, route: &[Stop], choice: &Choice) -> Result<(String, Vec<String>)> {
        Ok((self.title(route, choice)?, self.make(&stops(route, choice)?, choice)?))
    }

    /// What one of its routes is called.
    pub fn title(&self, route: &[Stop], choice: &Choice) -> Result<String> {
        let names: Vec<&str> = stops(route, choice)?.iter().map(|stop| stop.name()).collect();
        Ok(format!("journey {} {}", self.name, names.join(" to ")))
    }

    /// What a run of this route is recorded under: all that went into it.
    pub fn key(&self, route: &[Stop], choice: &Choice) -> Result<String> {
        let keys: Vec<String> = self
            .legs(&stops(route, choice)?, choice, Path::new(""))
            .iter()
            .map(|leg| answers::key(&leg.alone()?))
            .collect::<Result<_>>()?;
        Ok(format!("journey-{}", hex(&Sha256::digest(keys.concat()))))
    }

    fn legs<'a>(&'a self, stops: &[Hypervisor], choice: &'a Choice, disk: &'a Path) -> Vec<Leg<'a>> {
        let of = stops.len();
        let leg = |(index, hypervisor): (usize, &Hypervisor)| Leg {
            journey: self,
            choice,
            hypervisor: *hypervisor,
            number: index + 1,
            of,
            disk,
        };
        stops.iter().enumerate().map(leg).collect()
    }

    /// One route; gives back what went wrong.
    fn make(&self, stops: &[Hypervisor], choice: &Choice) -> Result<Vec<String>> {
        let disk = places::logs()?.join(format!("journey-{}.disk", self.name));
        let _ = std::fs::remove_file(&disk);
        std::fs::File::create(&disk)?.set_len(DISK)?;
        let legs = self.legs(stops, choice, &disk);
        let complaints = match self.recipe.machines {
            Machines::InTurn => in_turn(&legs)?,
            Machines::Joined => joined(&legs)?,
        };
        let _ = std::fs::remove_file(&disk);
        Ok(complaints)
    }
}

/// Stops at the first machine that fails: what it should hand on is not there.
fn in_turn(legs: &[Leg]) -> Result<Vec<String>> {
    for leg in legs {
        let complaints = leg.run()?;
        if !complaints.is_empty() {
            return Ok(complaints);
        }
    }
    Ok(Vec::new())
}

fn joined(legs: &[Leg]) -> Result<Vec<String>> {
    let runs: Vec<Result<Vec<String>>> = std::thread::scope(|scope| {
        let machines: Vec<_> = legs.iter().map(|leg| scope.spawn(|| leg.run())).collect();
        machines.into_iter().map(|machine| machine.join().unwrap_or_else(|_| bail!("its thread died"))).collect()
    });
    let mut complaints = Vec::new();
    for run in runs {
        complaints.extend(run?);
    }
    Ok(complaints)
}

impl Leg<'_> {
    /// Boots the machine and tells what went wrong there.
    fn run(&self) -> Result<Vec<String>> {
        let name = format!("journey-{}-{}", self.journey.name, self.number);
        let mut machine = self.machine()?;
        let results = places::logs()?.join(format!("{name}.{}.results", self.hypervisor.name()));
        let _ = std::fs::remove_file(&results);
        machine.extra.extend(results_port(&results));
        let run = machine.run(&name, Duration::from_secs(AROUND + self.journey.recipe.limit), "VERDICT")?;
        let report = read(&run.log, &std::fs::read_to_string(&results).unwrap_or_default());
        let at = format!("{} ({})", self.number, self.hypervisor.name());
        println!("  {name} on {}: {:.1} s", self.hypervisor.name(), run.seconds);
        for (figure, value) in &report.figures {
            println!("    {figure} = {value}");
        }
        let failed = report.tests.iter().filter(|(_, judged)| judged.word != "PASS");
        let mut complaints: Vec<String> =
            failed.map(|(name, judged)| format!("machine {at}: {name}: {} {}", judged.word, judged.detail)).collect();
        complaints.extend(report.trouble.map(|line| format!("machine {at}: hypervisor in trouble: {line}")));
        if !report.tests.contains_key(&format!("{}/{ENDS}", self.journey.name)) {
            complaints.push(format!("machine {at} did not run to its end"));
        } else if run.reason != Some(Reason::PowerOff) {
            complaints.push(format!("machine {at} should be powered off, but: {:?} {:?}", run.end, run.reason));
        }
        if !complaints.is_empty() {
            println!("  last lines of {}:\n{}", run.log_file.display(), run.tail(TAIL));
        }
        Ok(complaints)
    }

    /// The machine without what joins it with the others.
    fn alone(&self) -> Result<crate::qemu::Machine> {
        let recipe = Recipe { limit: self.journey.recipe.limit, ..scenario::for_a_shell()? };
        let scenario =
            Scenario { name: self.journey.name.clone(), recipe: recipe.clone(), script: self.journey.script.clone() };
        let mut machine = self.choice.machine(self.hypervisor, &recipe, &[scenario])?;
        if let Some((_, line)) = machine.modules.first_mut() {
            *line += &format!(" leg={} legs={}", self.number, self.of);
        }
        Ok(machine)
    }

    fn machine(&self) -> Result<crate::qemu::Machine> {
        let mut machine = self.alone()?;
        let shared = match self.journey.recipe.machines {
            Machines::InTurn => "",
            // Both have it open at once; what keeps them apart is that the guest is in one place only.
            Machines::Joined => ",share-rw=on",
        };
        let mut disk = boot::drive("carried", self.disk, "file.locking=off");
        if let Some(device) = disk.last_mut() {
            *device += shared;
        }
        machine.extra.extend(disk);
        if self.journey.recipe.machines == Machines::Joined {
            machine.extra.extend(self.card());
        }
        Ok(machine)
    }

    /// A network card whose cable ends at the other machine's.
    fn card(&self) -> Vec<String> {
        let end = |number: usize| {
            std::env::temp_dir()
                .join(format!("compat-runner-{}-cable-{number}", std::process::id()))
                .display()
                .to_string()
        };
        let (own, other) = (end(self.number), end(3 - self.number.min(2)));
        let _ = std::fs::remove_file(&own);
        let cable = format!("dgram,id=between,local.type=unix,local.path={own},remote.type=unix,remote.path={other}");
        let card = format!("virtio-net-pci,netdev=between,mac=52:54:00:00:00:{:02x}", self.number);
        vec!["-netdev".into(), cable, "-device".into(), card]
    }
}
