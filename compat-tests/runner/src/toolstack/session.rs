//! One boot that runs several scenarios, and what each of them saw.

use std::time::Duration;

use anyhow::Result;

use super::boot::{Choice, results_port};
use super::scenario::Scenario;
use crate::answers::{self, Answer};
use crate::compare::{self, Allowance};
use crate::guest;
use crate::hypervisor::Hypervisor;
use crate::monitor::Reason;
use crate::places;
use crate::report::{self, Judged, Report};
use crate::suite::{Recorded, Show, settle};
use crate::tally::Tally;

/// Seconds that a machine may take until dom0's daemons are up, and to end.
pub const AROUND: u64 = 240;
/// Seconds on the wall that a second of a machine whose instructions are counted may take.
const COUNTED: u64 = 6;
/// Lines of the serial log shown with a failure.
pub const TAIL: usize = 30;

/// How to run scenarios.
pub struct Wish {
    /// Tools and kernel.
    pub choice: Choice,
    /// Whether recorded answers of Xen may stand for a run.
    pub recorded: Recorded,
    /// How much to print.
    pub show: Show,
}

/// Scenarios that want the same machine, in the order of the first of each.
pub fn sessions(scenarios: &[Scenario]) -> Vec<Vec<Scenario>> {
    let mut sessions: Vec<Vec<Scenario>> = Vec::new();
    for scenario in scenarios {
        match sessions.iter_mut().find(|session| session.iter().all(|other| other.shares_boot_with(scenario))) {
            Some(session) => session.push(scenario.clone()),
            None => sessions.push(vec![scenario.clone()]),
        }
    }
    sessions.iter_mut().for_each(|session| session.sort_by_key(|scenario| scenario.recipe.last));
    sessions
}

/// Runs one session on one hypervisor. Xen's answer may come from the record.
pub fn answer(session: &[Scenario], hypervisor: Hypervisor, wish: &Wish) -> Result<Answer> {
    let Some(first) = session.first() else { anyhow::bail!("a session without scenarios") };
    let mut machine = wish.choice.machine(hypervisor, &first.recipe, session)?;
    // Before the results port: where its file lies says nothing about the run.
    let key = answers::key(&machine)?;
    if let Some(found) = answers::load(hypervisor, wish.recorded, &key)? {
        return Ok(found);
    }
    let others = if session.len() > 1 { format!("-and-{}", session.len() - 1) } else { String::new() };
    let name = format!("toolstack-{}-{}{others}", wish.choice.tools, first.name);
    let results = places::logs()?.join(format!("{name}.{}.results", hypervisor.name()));
    let _ = std::fs::remove_file(&results);
    machine.extra.extend(results_port(&results));
    // A second of such a machine is several on the wall.
    let slower = if first.recipe.counted { COUNTED } else { 1 };
    let limit = (AROUND + session.iter().map(|scenario| scenario.recipe.limit).sum::<u64>()) * slower;
    let run = machine.run(&name, Duration::from_secs(limit), "VERDICT")?;
    let results = std::fs::read_to_string(&results).unwrap_or_default();
    let mut report = read(&run.log, &results);
    let last_words = first.recipe.reset_with.as_deref();
    if let Some(words) = last_words {
        // What it saw it hands over itself, at last: without that the reset came too early.
        let is_right = run.reason == Some(Reason::Reset) && run.log.contains(words) && !results.is_empty();
        end_by_reset(&mut report, &first.name, is_right);
    }
    if wish.show == Show::Everything {
        print!("{}", run.log);
    }
    if wish.show != Show::Nothing {
        println!("  {name} on {}: {:.1} s", hypervisor.name(), run.seconds);
    }
    let mut complaints = Vec::new();
    complaints.extend(report.trouble.iter().map(|line| format!("hypervisor in trouble: {line}")));
    if report.verdict.is_none() {
        complaints.push(format!("no verdict after {:.0} s", run.seconds));
    } else if last_words.is_none() && run.reason != Some(Reason::PowerOff) {
        complaints.push(format!("dom0 should power the machine off, but: {:?} {:?}", run.end, run.reason));
    }
    if !complaints.is_empty() && wish.show != Show::Nothing {
        println!("  last lines of {}:\n{}", run.log_file.display(), run.tail(TAIL));
    }
    let answer = Answer { report, complaints };
    answers::store(hypervisor, wish.recorded, &key, &answer)?;
    Ok(answer)
}

/// Observations come from the results port; the serial line, whose lines others may cut, stands in for it when the machine
/// did not get that far.
pub fn read(serial: &str, results: &str) -> Report {
    let mut report = report::parse(serial);
    if !results.is_empty() {
        let whole = report::parse(results);
        (report.values, report.tests, report.figures) = (whole.values, whole.tests, whole.figures);
    }
    report
}

/// A machine that was reset said no verdict: it is in how it ended, and so is whether the scenario ran to its end.
fn end_by_reset(report: &mut Report, name: &str, is_right: bool) {
    if is_right {
        let judged = Judged { word: "PASS".into(), detail: "the machine was reset".into() };
        report.tests.insert(format!("{name}/{ENDS}"), judged);
        report.verdict = Some("SUCCESS".into());
    }
}

/// What one scenario saw: the lines whose keys start with its name, without it.
pub fn part(report: &Report, scenario: &Scenario) -> Report {
    let own = |key: &String| key.strip_prefix(&scenario.name)?.strip_prefix('/').map(str::to_owned);
    Report {
        values: report.values.iter().filter_map(|(key, value)| Some((own(key)?, value.clone()))).collect(),
        tests: report.tests.iter().filter_map(|(key, judged)| Some((own(key)?, judged.clone()))).collect(),
        figures: report.figures.iter().filter_map(|(key, figure)| Some((own(key)?, *figure))).collect(),
        ..Report::default()
    }
}

/// The property that every scenario has, printed by dom0's `run`.
pub const ENDS: &str = "ends";

/// Runs scenarios on one hypervisor and judges them by their own verdicts.
pub fn run_on(scenarios: &[Scenario], hypervisor: Hypervisor, wish: &Wish) -> Result<Tally> {
    let mut tally = Tally::default();
    for session in sessions(scenarios) {
        let answer = answer(&session, hypervisor, wish)?;
        for scenario in &session {
            let seen = part(&answer.report, scenario);
            let failed = seen.tests.iter().filter(|(_, judged)| judged.word != "PASS");
            let mut complaints: Vec<String> =
                failed.map(|(name, judged)| format!("{name}: {} {}", judged.word, judged.detail)).collect();
            if !seen.tests.contains_key(ENDS) {
                complaints.push("did not run to its end".into());
            }
            println!("  {}: {} observations", scenario.name, seen.values.len());
            for (name, figure) in &seen.figures {
                println!("    {name:<36} {figure:>12}");
            }
            settle(&format!("toolstack {}", scenario.name), &complaints, &mut tally);
        }
        settle_session(&session, &answer, &mut tally);
    }
    Ok(tally)
}

/// Runs scenarios on both and compares.
pub fn compare(scenarios: &[Scenario], wish: &Wish) -> Result<Tally> {
    let reference = wish.choice.reference()?;
    let listed = compare::allowances(reference)?;
    let mut tally = Tally::default();
    for session in sessions(scenarios) {
        let xen = answer(&session, reference, wish)?;
        let ours = answer(&session, Hypervisor::Xenolith, wish)?;
        for scenario in &session {
            let (xen, ours) = (part(&xen.report, scenario), part(&ours.report, scenario));
            print!("{}", compare::figure_table(&xen, &ours));
            let allowed = compare::beside(reference, &scenario.name, &xen, &ours, &listed);
            let mut complaints = complaints(&scenario.name, &xen, &ours, &allowed);
            complaints.extend(dead(&scenario.name, &xen, &ours, &listed));
            settle(&format!("toolstack {}", scenario.name), &complaints, &mut tally);
        }
        settle_session(&session, &ours, &mut tally);
    }
    Ok(tally)
}

/// What is wrong with a scenario on our side, given what it saw on Xen.
pub fn complaints(name: &str, xen: &Report, ours: &Report, allowed: &[Allowance]) -> Vec<String> {
    let mut complaints = compare::differences(name, xen, ours, allowed);
    if !xen.tests.contains_key(ENDS) {
        complaints.insert(0, "Xen gave no answer to compare with".into());
    } else if !ours.tests.contains_key(ENDS) {
        complaints.retain(|line| !line.ends_with(compare::NOTHING));
        complaints.insert(0, "did not run to its end".into());
    }
    complaints
}

/// Entries of the lists that cover nothing, where both sides ran to their ends. An entry under a name that a test guest has
/// too may be the guest's.
pub fn dead(name: &str, xen: &Report, ours: &Report, listed: &[Allowance]) -> Vec<String> {
    let whole = [xen, ours].iter().all(|report| report.tests.contains_key(ENDS));
    let is_guest = guest::all().is_ok_and(|guests| guests.iter().any(|guest| guest.name == name));
    if whole && !is_guest { compare::dead(name, xen, ours, listed) } else { Vec::new() }
}

/// What belongs to the boot and to none of its scenarios.
fn settle_session(session: &[Scenario], answer: &Answer, tally: &mut Tally) {
    let names: Vec<&str> = session.iter().map(|scenario| scenario.name.as_str()).collect();
    settle(&format!("toolstack boot of {}", names.join(" ")), &answer.complaints, tally);
}

#[cfg(test)]
mod tests {
    use super::{end_by_reset, read, sessions};
    use crate::toolstack::scenario;

    #[test]
    fn what_gives_guests_other_numbers_comes_last() {
        let sessions = sessions(&scenario::all().unwrap());
        assert!(sessions.iter().all(|session| session.is_sorted_by_key(|scenario| scenario.recipe.last)));
        let last = sessions.iter().filter_map(|session| session.last()).find(|scenario| scenario.recipe.last);
        assert_eq!(last.unwrap().name, "test-programs");
    }

    #[test]
    fn only_the_right_reset_is_an_end() {
        let mut report = read("TEST w/told: PASS\n", "");
        end_by_reset(&mut report, "w", false);
        assert!(report.verdict.is_none() && !report.tests.contains_key("w/ends"));
        end_by_reset(&mut report, "w", true);
        assert!(report.verdict.is_some() && report.tests["w/ends"].word == "PASS");
    }

    #[test]
    fn the_results_port_is_believed_before_the_serial_line() {
        let serial = "VALUE a/x=1(XEN) cut\nVERDICT SUCCESS\n";
        assert_eq!(read(serial, "VALUE a/x=12\n").values["a/x"], "12");
        assert_eq!(read(serial, "").values["a/x"], "1(XEN) cut");
        assert_eq!(read(serial, "VALUE a/x=12\n").verdict.as_deref(), Some("SUCCESS"));
    }
}
