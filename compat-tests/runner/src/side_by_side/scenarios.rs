//! What a user of Debian's toolstack sees on both hypervisors: the scenarios of `qubes-integration/scenarios`, Xen's own
//! test programs among them, and the journeys from machine to machine.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use super::outcome::{Conformance, Figure};
use super::progress::Progress;
use crate::answers::{self, Answer};
use crate::compare::{self, Allowance};
use crate::guest::Pace;
use crate::hypervisor::{Hypervisor, Reference};
use crate::report::Report;
use crate::suite::{Recorded, Show};
use crate::toolstack::boot::Choice;
use crate::toolstack::journey::{self, Journey, Stop};
use crate::toolstack::scenario::{self, Scenario};
use crate::toolstack::session::{self, ENDS, Wish};

/// The scenario that runs Xen's own test programs: quick enough to be in every comparison.
const PROGRAMS: &str = "test-programs";

/// What is to be run, and what is not.
pub struct Plan {
    /// Scenarios that share a boot, boot by boot.
    pub sessions: Vec<Vec<Scenario>>,
    /// Journeys.
    pub journeys: Vec<Journey>,
    /// Names of the rest.
    pub left_out: Vec<String>,
}

/// What a run saw.
#[derive(Default)]
pub struct Seen {
    /// One row a scenario or route of a journey.
    pub rows: Vec<Conformance>,
    /// Numbers that scenarios report without a judgement.
    pub figures: Vec<Figure>,
}

impl Plan {
    /// The scenarios and journeys that words name: `quick`, `all`, `none`, or their own names.
    pub fn of(words: &[String]) -> Result<Self> {
        let (scenarios, journeys) = (scenario::all()?, journey::named(&[])?);
        let names = || scenarios.iter().map(|each| &each.name).chain(journeys.iter().map(|each| &each.name));
        let known = |word: &str| ["quick", "all", "none"].contains(&word) || names().any(|name| name == word);
        if let Some(word) = words.iter().find(|word| !known(word)) {
            bail!("there is no scenario or journey `{word}`; `compat-runner toolstack --list` names them");
        }
        let wanted = |name: &str, pace: Pace| {
            words.iter().any(|word| match word.as_str() {
                "all" => true,
                "quick" => pace == Pace::Quick || name == PROGRAMS,
                word => word == name,
            })
        };
        let (run, other): (Vec<_>, Vec<_>) =
            scenarios.into_iter().partition(|each| wanted(&each.name, each.recipe.pace));
        let (journeys, no_journeys): (Vec<_>, Vec<_>) =
            journeys.into_iter().partition(|each| wanted(&each.name, Pace::Full));
        let left_out = other.into_iter().map(|each| each.name);
        let left_out = left_out.chain(no_journeys.into_iter().map(|each| format!("journey {}", each.name))).collect();
        Ok(Self { sessions: session::sessions(&run), journeys, left_out })
    }

    /// How many steps it has.
    pub fn steps(&self) -> usize {
        self.sessions.len() * 2 + self.journeys.iter().map(|journey| journey.recipe.routes.len()).sum::<usize>()
    }

    /// Runs it, with the tools that belong to the reference.
    pub fn run(&self, reference: Reference, recorded: Recorded, progress: &Progress) -> Result<Seen> {
        let tools = if reference == Reference::Xen420 { "4.20" } else { "4.17" };
        let wish = Wish { choice: Choice { tools: tools.into(), ..Choice::default() }, recorded, show: Show::Nothing };
        let listed = compare::allowances(reference.into())?;
        let mut seen = Seen::default();
        for session in &self.sessions {
            let what = session.iter().map(|each| each.name.as_str()).collect::<Vec<_>>().join(" ");
            let run = |on| progress.step(&what, on, || session::answer(session, on, &wish));
            let (xen, ours) = (run(reference.into())?, run(Hypervisor::Xenolith)?);
            let first = seen.rows.len();
            for scenario in session {
                let (xen, ours) = (session::part(&xen.report, scenario), session::part(&ours.report, scenario));
                let allowed = compare::beside(reference.into(), &scenario.name, &xen, &ours, &listed);
                let fails = compare::fails_alone(&xen, &ours).into_iter().map(str::to_owned).collect();
                let row = row(scenario, &xen, &ours, &allowed);
                let complaints = session::dead(&scenario.name, &xen, &ours, &listed);
                seen.rows.push(Conformance { reference_fails: fails, complaints, ..row });
                seen.figures.extend(figures(scenario, &xen, &ours));
            }
            // What is wrong with the boot as a whole is told once.
            if let Some(row) = seen.rows.get_mut(first) {
                row.complaints.extend(ours.complaints);
            }
        }
        for journey in &self.journeys {
            for route in &journey.recipe.routes {
                let what = format!("journey {}", journey.name);
                let take = || take(journey, route, &wish);
                let (name, complaints) = progress.step(&what, Hypervisor::Xenolith, take)?;
                seen.rows.push(of_journey(name, journey, complaints));
            }
        }
        Ok(seen)
    }
}

/// Takes a route of a journey, unless an interrupted run has: what it is called, and what went wrong.
fn take(journey: &Journey, route: &[Stop], wish: &Wish) -> Result<(String, Vec<String>)> {
    let (ours, key) = (Hypervisor::Xenolith, journey.key(route, &wish.choice)?);
    if answers::load(ours, wish.recorded, &key)?.is_some() {
        return Ok((journey.title(route, &wish.choice)?, Vec::new()));
    }
    let (name, complaints) = journey.take(route, &wish.choice)?;
    let report = Report { verdict: Some("SUCCESS".into()), ..Report::default() };
    answers::store(ours, wish.recorded, &key, &Answer { report, complaints: complaints.clone() })?;
    Ok((name, complaints))
}

/// The verdict of one side: its own judgements, and whether it came to its end.
fn verdict(report: &Report) -> &'static str {
    let passed = report.tests.contains_key(ENDS) && report.tests.values().all(|judged| judged.word == "PASS");
    if passed { "SUCCESS" } else { "FAILURE" }
}

fn row(scenario: &Scenario, xen: &Report, ours: &Report, allowed: &[Allowance]) -> Conformance {
    let all = compare::differences(&scenario.name, xen, ours, &[]).len();
    let differing = compare::differences(&scenario.name, xen, ours, allowed).len();
    Conformance {
        guest: scenario.name.clone(),
        about: scenario.recipe.about.clone(),
        reference: Some(verdict(xen).into()),
        xenolith: verdict(ours).into(),
        same: (ours.values.len() + ours.tests.len()).saturating_sub(all),
        allowed: all - differing,
        reasons: compare::reasons(&scenario.name, xen, ours, allowed),
        differing: session::complaints(&scenario.name, xen, ours, allowed),
        reference_fails: Vec::new(),
        complaints: Vec::new(),
    }
}

fn of_journey(name: String, journey: &Journey, complaints: Vec<String>) -> Conformance {
    Conformance {
        guest: name,
        about: journey.recipe.about.clone(),
        reference: None,
        xenolith: if complaints.is_empty() { "SUCCESS" } else { "FAILURE" }.into(),
        same: 0,
        allowed: 0,
        reasons: BTreeMap::new(),
        differing: Vec::new(),
        reference_fails: Vec::new(),
        complaints,
    }
}

fn figures(scenario: &Scenario, xen: &Report, ours: &Report) -> Vec<Figure> {
    let names: BTreeSet<&String> = xen.figures.keys().chain(ours.figures.keys()).collect();
    names
        .into_iter()
        .map(|name| Figure {
            scenario: scenario.name.clone(),
            name: name.clone(),
            reference: xen.figures.get(name).copied(),
            xenolith: ours.figures.get(name).copied(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{PROGRAMS, Plan, row, scenario};
    use crate::report::parse;

    fn names(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).into()).collect();
        Plan::of(&words).unwrap().sessions.into_iter().flatten().map(|each| each.name).collect()
    }

    #[test]
    fn words_choose_scenarios_and_the_rest_is_named() {
        let all = scenario::all().unwrap().len();
        assert!(names(&["quick"]).contains(&PROGRAMS.to_owned()) && names(&["quick"]).len() < all);
        assert_eq!((names(&["all"]).len(), names(&["none"]).len()), (all, 0));
        assert_eq!(names(&["crash", "smoke"]).len(), 2);
        let plan = Plan::of(&["none".into()]).unwrap();
        assert!(plan.left_out.len() > all && plan.left_out.iter().any(|name| name.starts_with("journey ")));
        assert!(Plan::of(&["nonsense".into()]).is_err());
    }

    #[test]
    fn a_scenario_that_did_not_end_is_a_failure() {
        let scenario = &scenario::all().unwrap()[0];
        let xen = parse("VALUE a=1\nVALUE b=1\nTEST ends: PASS\n");
        let same = row(scenario, &xen, &xen, &[]);
        assert!(same.passed() && same.xenolith == "SUCCESS" && same.same == 3);
        let cut = row(scenario, &xen, &parse("VALUE a=1\n"), &[]);
        assert_eq!(
            (cut.xenolith.as_str(), cut.differing.as_slice()),
            ("FAILURE", &["did not run to its end".into()][..])
        );
        let other = row(scenario, &xen, &parse("VALUE a=1\nVALUE b=2\nTEST ends: PASS\n"), &[]);
        assert_eq!((other.passed(), other.same, other.differing.len()), (false, 2, 1));
    }
}
