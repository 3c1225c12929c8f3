//! Running everything, with a progress bar. A hypervisor that fails is a row that says so, not an end.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::command::Options;
use super::outcome::{Conformance, Cost, Outcome};
use super::{boots, images, memory, mitigations, whole};
use crate::answers::Answer;
use crate::budgets::{self, Summary};
use crate::compare::{self, Allowance};
use crate::guest::{self, Guest, Pace, Where};
use crate::hypervisor::Hypervisor;
use crate::places;
use crate::suite::{self, Recorded, Show, Wish};

/// The progress bar and what is measured so far.
struct Collector<'a> {
    options: &'a Options,
    reference: Hypervisor,
    bar: ProgressBar,
}

/// Builds what is missing, runs, and compares.
pub fn everything(options: &Options) -> Result<Outcome> {
    guest::build()?;
    let guests: Vec<Guest> =
        guest::named(&options.names)?.into_iter().filter(|guest| guest.name != memory::GUEST).collect();
    let reference = Hypervisor::from(options.reference);
    let measuring = guests.iter().filter(|guest| guest.recipe.icount).count();
    let others = 2
        + 2
        + if options.no_boots { 0 } else { 2 }
        + if options.no_work { 0 } else { 3 }
        + 2 * mitigations::MODELS.len();
    let bar = ProgressBar::new((guests.len() * 2 + measuring + others) as u64);
    if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} [{bar:40}] {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    let collector = Collector { options, reference, bar };
    let outcome = collector.collect(&guests);
    collector.bar.finish_and_clear();
    outcome
}

impl Collector<'_> {
    /// One step of the bar.
    fn step<T>(&self, what: &str, on: Hypervisor, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.bar.set_message(format!("{what} on {}", on.title()));
        let done = work();
        self.bar.inc(1);
        done
    }

    fn collect(&self, guests: &[Guest]) -> Result<Outcome> {
        let (conformance, costs) = self.guests(guests)?;
        let costs_missing = budgets::load()?.missing;
        let costs_summary = Summary::of(costs.iter().filter_map(Cost::ratio));
        let both = [self.reference, Hypervisor::Xenolith];
        let (mut boots, mut memories, mut sizes, mut lines) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for hypervisor in both {
            memories.push(self.step("memory", hypervisor, || memory::measure(hypervisor))?);
            sizes.push(self.step("image", hypervisor, || images::measure(hypervisor))?);
            for cpu in mitigations::MODELS {
                lines.push(self.step("mitigations", hypervisor, || mitigations::read(hypervisor, cpu))?);
            }
            if !self.options.no_boots {
                boots.push(self.step("boot of dom0", hypervisor, || boots::measure(hypervisor))?);
            }
        }
        let mut work = Vec::new();
        if !self.options.no_work {
            for hypervisor in [Hypervisor::Bare, self.reference, Hypervisor::Xenolith] {
                work.push(self.step("dom0's work", hypervisor, || whole::measure(hypervisor))?);
            }
        }
        Ok(Outcome {
            work,
            setting: self.setting()?,
            conformance,
            costs,
            costs_summary,
            costs_missing,
            boots_missing: self.options.no_boots.then(|| "left out by --no-boots".into()),
            boots,
            memory: memories,
            images: sizes,
            mitigations: lines,
        })
    }

    fn guests(&self, guests: &[Guest]) -> Result<(Vec<Conformance>, Vec<Cost>)> {
        let allowed = compare::allowances()?;
        let recorded = if self.options.fresh { Recorded::Ignore } else { Recorded::Use };
        let wish = Wish { recorded, show: Show::Nothing, reference: self.reference, ..Wish::of(Pace::Quick) };
        let run = |guest: &Guest, on| self.step(&guest.name, on, || suite::answer(guest, on, &wish));
        let (mut rows, mut costs) = (Vec::new(), Vec::new());
        for guest in guests {
            let ours = run(guest, Hypervisor::Xenolith)?;
            let reference = match guest.recipe.on {
                Where::Both => Some(run(guest, self.reference)?),
                Where::Xenolith => None,
            };
            if guest.recipe.icount {
                let other = run(guest, other_xen(self.reference))?;
                let reference = reference.as_ref().map(|answer| &answer.report.costs);
                costs.extend(cost_rows(guest, self.reference, reference, &other.report.costs, &ours.report.costs));
            }
            rows.push(conformance(guest, &ours, reference.as_ref(), &allowed));
        }
        Ok((rows, costs))
    }

    fn setting(&self) -> Result<Vec<(String, String)>> {
        let version = |directory: &str| -> Result<String> {
            let text = std::fs::read_to_string(places::cached(&format!("{directory}/.package"))?)?;
            Ok(text
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(_, value)| value)
                .collect::<Vec<_>>()
                .join(" "))
        };
        let output = Command::new(places::emulator()?).arg("--version").output()?;
        let emulator = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
        let revision = Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(places::tree()).output();
        let revision =
            revision.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
        Ok(vec![
            ("Xenolith".into(), revision),
            ("answers compared with".into(), version(package_directory(self.reference))?),
            ("costs also compared with".into(), version(package_directory(other_xen(self.reference)))?),
            ("emulator".into(), emulator),
        ])
    }
}

const fn other_xen(reference: Hypervisor) -> Hypervisor {
    match reference {
        Hypervisor::Xen420 => Hypervisor::Xen,
        _ => Hypervisor::Xen420,
    }
}

const fn package_directory(hypervisor: Hypervisor) -> &'static str {
    match hypervisor {
        Hypervisor::Xen420 => "xen-4.20",
        _ => "xen-4.17",
    }
}

type Costs = BTreeMap<String, u64>;

/// Rows of all operations that any of the three measured.
fn cost_rows(guest: &Guest, reference: Hypervisor, marks: Option<&Costs>, other: &Costs, ours: &Costs) -> Vec<Cost> {
    let none = Costs::new();
    let marks = marks.unwrap_or(&none);
    let (old, new) = if reference == Hypervisor::Xen { (marks, other) } else { (other, marks) };
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).chain(ours.keys()).collect();
    let figure = |costs: &Costs, name: &String| costs.get(name).copied();
    names
        .into_iter()
        .map(|name| Cost {
            guest: guest.name.clone(),
            name: name.clone(),
            xen_4_17: figure(old, name),
            xen_4_20: figure(new, name),
            xenolith: figure(ours, name),
        })
        .collect()
}

fn conformance(guest: &Guest, ours: &Answer, reference: Option<&Answer>, allowed: &[Allowance]) -> Conformance {
    let verdict = |answer: &Answer| answer.report.verdict.clone().unwrap_or_else(|| "none".into());
    let answers = ours.report.values.len() + ours.report.tests.len();
    let mut row = Conformance {
        guest: guest.name.clone(),
        about: guest.recipe.about.clone(),
        reference: reference.map(verdict),
        xenolith: verdict(ours),
        same: answers,
        allowed: 0,
        differing: Vec::new(),
        complaints: ours.complaints.clone(),
    };
    if let Some(reference) = reference {
        let all = compare::differences(&guest.name, &reference.report, &ours.report, &[]).len();
        row.differing = compare::differences(&guest.name, &reference.report, &ours.report, allowed);
        row.allowed = all - row.differing.len();
        row.same = answers.saturating_sub(all);
        row.complaints = suite::own_failures(ours, &reference.report);
    }
    row
}
