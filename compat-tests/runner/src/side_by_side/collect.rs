//! Running everything, with a progress bar. A hypervisor that fails is a row that says so, not an end.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::Result;

use super::command::Options;
use super::outcome::{Boot, Conformance, Cost, Image, Memory, Mitigation, Outcome, Work};
use super::progress::Progress;
use super::{boots, framework, images, memory, mitigations, scenarios, whole};
use crate::answers::Answer;
use crate::budgets::{self, Summary};
use crate::compare::{self, Allowance};
use crate::guest::{self, Guest, Pace, Where};
use crate::hypervisor::Hypervisor;
use crate::places;
use crate::suite::{self, Recorded, Show, Wish};

/// What to run, and on what.
struct Collector<'a> {
    options: &'a Options,
    reference: Hypervisor,
    recorded: Recorded,
    guests: Vec<Guest>,
    scenarios: scenarios::Plan,
    xtf: Option<framework::Plan>,
    progress: Progress,
    revision: String,
}

/// What both hypervisors are, by themselves.
#[derive(Default)]
struct Sides {
    memory: Vec<Memory>,
    images: Vec<Image>,
    mitigations: Vec<Mitigation>,
}

/// Builds what is missing, runs, and compares.
pub fn everything(options: &Options) -> Result<Outcome> {
    // Now: the tree may move while the image that was built from it runs.
    let revision = revision();
    let recorded = match (options.fresh, options.resume) {
        (true, _) => Recorded::Ignore,
        (false, true) => Recorded::Resume,
        (false, false) => Recorded::Use,
    };
    // What was asked for and is not there is told before hours are spent on the rest.
    let scenarios = scenarios::Plan::of(&options.scenarios)?;
    let xtf = options.xtf.as_deref().map(|checkout| framework::Plan::of(checkout, recorded)).transpose()?;
    guest::build()?;
    let guests: Vec<Guest> =
        guest::named(&options.names)?.into_iter().filter(|guest| guest.name != memory::GUEST).collect();
    let steps = steps_of(options, &guests) + scenarios.steps() + xtf.as_ref().map_or(0, framework::Plan::steps);
    let reference = Hypervisor::from(options.reference);
    let progress = Progress::new(steps);
    Collector { options, reference, recorded, guests, scenarios, xtf, progress, revision }.collect()
}

/// Steps of everything but scenarios and XTF's tests.
fn steps_of(options: &Options, guests: &[Guest]) -> usize {
    let of_guest = |guest: &Guest| 1 + usize::from(guest.recipe.on == Where::Both) + usize::from(guest.recipe.icount);
    let of_side = 2 + if options.no_boots { 0 } else { boots::ROUNDS as usize };
    let of_all = mitigations::MODELS.len() + usize::from(!options.no_work);
    guests.iter().map(of_guest).sum::<usize>() + 2 * of_side + 3 * of_all
}

impl Collector<'_> {
    fn collect(self) -> Result<Outcome> {
        let progress = &self.progress;
        let (conformance, costs) = progress.part("test guests", || self.guests())?;
        let sides = progress.part("memory and mitigations", || self.sides())?;
        let boots = progress.part("boots", || self.boots())?;
        let work = progress.part("a dom0's work", || self.work())?;
        let run_scenarios = || self.scenarios.run(self.options.reference, self.recorded, progress);
        let seen = progress.part("scenarios", run_scenarios)?;
        let xtf = match &self.xtf {
            Some(plan) => Some(progress.part("XTF", || plan.run(progress))?),
            None => None,
        };
        let costs_summary = Summary::of(costs.iter().filter_map(Cost::ratio));
        let (setting, costs_missing) = (self.setting()?, budgets::load()?.missing);
        Ok(Outcome {
            setting,
            conformance,
            scenarios: seen.rows,
            scenarios_left_out: self.scenarios.left_out,
            figures: seen.figures,
            xtf,
            costs,
            costs_summary,
            costs_missing,
            boots_missing: self.options.no_boots.then(|| "left out by --no-boots".into()),
            boots,
            memory: sides.memory,
            work,
            images: sides.images,
            mitigations: sides.mitigations,
            steps: self.progress.steps(),
            parts: self.progress.finish(),
        })
    }

    fn both(&self) -> [Hypervisor; 2] {
        [self.reference, Hypervisor::Xenolith]
    }

    fn sides(&self) -> Result<Sides> {
        let mut sides = Sides::default();
        for hypervisor in self.both() {
            let step = &self.progress;
            sides.memory.push(step.step("memory", hypervisor, || memory::measure(hypervisor))?);
            sides.images.push(step.step("image", hypervisor, || images::measure(hypervisor))?);
        }
        // Of the other Xen too: costs are compared with both.
        for hypervisor in [self.reference, other_xen(self.reference), Hypervisor::Xenolith] {
            for cpu in mitigations::MODELS {
                let read = || mitigations::read(hypervisor, cpu);
                sides.mitigations.push(self.progress.step("mitigations", hypervisor, read)?);
            }
        }
        Ok(sides)
    }

    fn boots(&self) -> Result<Vec<Boot>> {
        if self.options.no_boots {
            return Ok(Vec::new());
        }
        let mut best: Vec<Option<Boot>> = vec![None; self.both().len()];
        for _ in 0..boots::ROUNDS {
            for (on, best) in self.both().into_iter().zip(&mut best) {
                let boot = self.progress.step("boot of dom0", on, || boots::measure(on))?;
                *best = Some(boots::better(best.take(), boot));
            }
        }
        Ok(best.into_iter().flatten().collect())
    }

    fn work(&self) -> Result<Vec<Work>> {
        if self.options.no_work {
            return Ok(Vec::new());
        }
        let work = |on| self.progress.step("dom0's work", on, || whole::measure(on));
        [Hypervisor::Bare, self.reference, Hypervisor::Xenolith].into_iter().map(work).collect()
    }

    fn guests(&self) -> Result<(Vec<Conformance>, Vec<Cost>)> {
        let listed = compare::allowances(self.reference)?;
        let wish =
            Wish { recorded: self.recorded, show: Show::Nothing, reference: self.reference, ..Wish::of(Pace::Quick) };
        let run = |guest: &Guest, on| self.progress.step(&guest.name, on, || suite::answer(guest, on, &wish));
        let (mut rows, mut costs) = (Vec::new(), Vec::new());
        for guest in &self.guests {
            let ours = run(guest, Hypervisor::Xenolith)?;
            let reference = match guest.recipe.on {
                Where::Xenolith => None,
                Where::Both => match run(guest, self.reference)? {
                    // On a busy host it may have run out of time: once more.
                    answer if answer.report.verdict.is_none() => Some(suite::answer(guest, self.reference, &wish)?),
                    answer => Some(answer),
                },
            };
            // Some count time in instructions, and measure no operation.
            if guest.recipe.icount && !ours.report.costs.is_empty() {
                let other = run(guest, other_xen(self.reference))?;
                let reference = reference.as_ref().map(|answer| &answer.report.costs);
                costs.extend(cost_rows(guest, self.reference, reference, &other.report.costs, &ours.report.costs));
            }
            rows.push(conformance(guest, &ours, reference.as_ref().map(|answer| (self.reference, answer)), &listed));
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
        Ok(vec![
            ("Xenolith".into(), self.revision.clone()),
            ("answers compared with".into(), version(package_directory(self.reference))?),
            ("costs also compared with".into(), version(package_directory(other_xen(self.reference)))?),
            ("emulator".into(), emulator),
        ])
    }
}

/// The tree's commit, and whether it has changes on top; empty outside a repository.
fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(places::tree()).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    named(git(&["rev-parse", "--short", "HEAD"]), &git(&["status", "--porcelain"]))
}

fn named(commit: String, changes: &str) -> String {
    if changes.is_empty() { commit } else { format!("{commit}, with changes that are not committed") }
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

fn conformance(
    guest: &Guest,
    ours: &Answer,
    reference: Option<(Hypervisor, &Answer)>,
    listed: &[Allowance],
) -> Conformance {
    let verdict = |answer: &Answer| answer.report.verdict.clone().unwrap_or_else(|| "none".into());
    let answers = ours.report.values.len() + ours.report.tests.len();
    let mut row = Conformance {
        guest: guest.name.clone(),
        about: guest.recipe.about.clone(),
        reference: reference.map(|(_, answer)| verdict(answer)),
        xenolith: verdict(ours),
        same: answers,
        allowed: 0,
        reasons: BTreeMap::new(),
        differing: Vec::new(),
        reference_fails: Vec::new(),
        complaints: ours.complaints.clone(),
    };
    if let Some((on, xen)) = reference {
        if xen.report.verdict.is_none() {
            row.complaints = suite::no_answer(on, row.complaints);
            row.reference_fails.push("no verdict".into());
            row.same = 0;
            return row;
        }
        let (name, xen, ours_said) = (&guest.name, &xen.report, &ours.report);
        row.reference_fails = compare::fails_alone(xen, ours_said).into_iter().map(str::to_owned).collect();
        let allowed = compare::beside(on, name, xen, ours_said, listed);
        let all = compare::differences(name, xen, ours_said, &[]).len();
        row.differing = compare::differences(name, xen, ours_said, &allowed);
        row.allowed = all - row.differing.len();
        row.reasons = compare::reasons(name, xen, ours_said, &allowed);
        row.same = answers.saturating_sub(all);
        row.complaints = suite::own_failures(ours, xen);
        if ours_said.verdict.is_some() {
            row.complaints.extend(compare::dead(name, xen, ours_said, listed));
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_changed_tree_is_told() {
        assert_eq!(named("abc".into(), ""), "abc");
        assert!(named("abc".into(), " M Makefile").starts_with("abc, with changes"));
    }
}
