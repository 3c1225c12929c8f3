//! Running test guests: one on one hypervisor, or on both with the answers compared.

use std::time::Duration;

use anyhow::Result;

use crate::answers::{self, Answer};
use crate::budgets;
use crate::compare::{self, Allowance};
use crate::guest::{self, Guest, Pace, Where};
use crate::hypervisor::Hypervisor;
use crate::qemu::Machine;
use crate::quick;
use crate::report::{self, Report};
use crate::tally::Tally;

/// Lines of the serial log shown with a failure.
const TAIL: usize = 20;
/// Differences shown; the rest is counted.
const SHOWN: usize = 40;

/// How to run guests.
pub struct Wish {
    /// Which run.
    pub pace: Pace,
    /// Another command line for the guest.
    pub arguments: Option<String>,
    /// Another time limit for one run.
    pub limit: Option<Duration>,
    /// Whether recorded answers of Xen may stand for a run.
    pub recorded: Recorded,
    /// Print every line of the log.
    pub show: Show,
    /// The Xen to compare with.
    pub reference: Hypervisor,
}

impl Wish {
    /// The run that a suite makes: compared with Debian 12's Xen.
    pub fn of(pace: Pace) -> Self {
        Wish {
            pace,
            arguments: None,
            limit: None,
            recorded: Recorded::Use,
            show: Show::Failures,
            reference: Hypervisor::Xen,
        }
    }
}

/// Whether recorded answers may be used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Use them.
    Use,
    /// Run Xen again.
    Ignore,
    /// Use them, and those that an interrupted run left of this very build of ours.
    Resume,
}

/// How much to print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Nothing.
    Nothing,
    /// Failures only.
    Failures,
    /// The whole serial log.
    Everything,
}

/// The machine of a comparison with a later Xen than the expected one: the guest speaks that toolstack's interface, and the
/// hypervisor is told which version to name. The Xen does not know the option and gets it all the same, so that both
/// command lines are one.
fn as_release(reference: Hypervisor, guest: &Guest, mut machine: Machine) -> Machine {
    if reference == Hypervisor::Xen420 && guest.recipe.on == Where::Both {
        machine.options.push_str(" xen-version=4.20");
        machine.modules.iter_mut().for_each(|(_, line)| line.push_str(" domctl=0x17"));
    }
    machine
}

/// Runs one guest on one hypervisor. Xen's answer may come from the record.
pub fn answer(guest: &Guest, hypervisor: Hypervisor, wish: &Wish) -> Result<Answer> {
    let arguments = wish.arguments.as_deref().unwrap_or_else(|| guest.arguments(wish.pace));
    let machine = as_release(wish.reference, guest, guest.machine(hypervisor, arguments)?);
    let key = answers::key(&machine)?;
    if let Some(found) = answers::load(hypervisor, wish.recorded, &key)? {
        return Ok(found);
    }
    let run = machine.run(&guest.name, wish.limit.unwrap_or_else(|| guest.limit(wish.pace)), "VERDICT")?;
    let report = report::parse(&run.log);
    let complaints = report::complaints(&run, &report);
    if wish.show == Show::Everything {
        print!("{}", run.log);
    }
    if wish.show != Show::Nothing {
        println!("  {} on {}: {:.1} s", guest.name, hypervisor.name(), run.seconds);
    }
    if !complaints.is_empty() && wish.show != Show::Nothing {
        println!("  last lines of {}:\n{}", run.log_file.display(), run.tail(TAIL));
    }
    let answer = Answer { report, complaints };
    answers::store(hypervisor, wish.recorded, &key, &answer)?;
    Ok(answer)
}

/// Runs guests on one hypervisor and judges them by their own verdict; on ours by the budgets, too.
pub fn run_on(guests: &[Guest], hypervisor: Hypervisor, wish: &Wish) -> Result<Tally> {
    let mut tally = Tally::default();
    for guest in guests {
        let answer = answer(guest, hypervisor, wish)?;
        for (name, cost) in &answer.report.costs {
            println!("  {name:<44} {cost:>8}");
        }
        let mut complaints = answer.complaints;
        if hypervisor == Hypervisor::Xenolith {
            complaints.extend(over_budget(guest, &answer.report)?);
        }
        settle(&guest.name, &complaints, &mut tally);
    }
    Ok(tally)
}

/// Operations that cost more than they may.
fn over_budget(guest: &Guest, report: &Report) -> Result<Vec<String>> {
    if !guest.recipe.icount || report.verdict.is_none() {
        return Ok(Vec::new());
    }
    Ok(budgets::load()?.complaints(&guest.name, &report.costs))
}

/// Runs guests on both and compares.
pub fn compare(guests: &[Guest], wish: &Wish) -> Result<Tally> {
    let allowed = compare::allowances(wish.reference)?;
    let mut tally = Tally::default();
    for guest in guests {
        let complaints = compare_one(guest, wish, &allowed)?;
        settle(&guest.name, &complaints, &mut tally);
    }
    Ok(tally)
}

fn compare_one(guest: &Guest, wish: &Wish, listed: &[Allowance]) -> Result<Vec<String>> {
    let ours = answer(guest, Hypervisor::Xenolith, wish)?;
    if guest.recipe.on == Where::Xenolith {
        return Ok(ours.complaints);
    }
    let xen = answer(guest, wish.reference, wish)?;
    if xen.report.verdict.is_none() {
        println!("  {} comes to no verdict in {}", wish.reference.title(), guest.name);
        return Ok(no_answer(wish.reference, ours.complaints));
    }
    print!("{}", compare::cost_table(&xen.report, &ours.report));
    print!("{}", compare::figure_table(&xen.report, &ours.report));
    let allowed = compare::beside(wish.reference, &guest.name, &xen.report, &ours.report, listed);
    let failing = compare::fails_alone(&xen.report, &ours.report);
    if wish.reference != Hypervisor::Xen && !failing.is_empty() {
        println!("  {} fails {}: {}", wish.reference.title(), guest.name, failing.join(", "));
    }
    let mut complaints = own_failures(&ours, &xen.report);
    complaints.extend(compare::figures_above(&guest.recipe.figures_at_most, &xen.report, &ours.report));
    complaints.extend(over_budget(guest, &ours.report)?);
    let (missing, differing): (Vec<String>, Vec<String>) =
        compare::differences(&guest.name, &xen.report, &ours.report, &allowed)
            .into_iter()
            .partition(|line| ours.report.verdict.is_none() && line.ends_with(compare::NOTHING));
    complaints.extend(differing);
    if !missing.is_empty() {
        complaints.push(format!("{} observations are missing", missing.len()));
    }
    // Another command line than its own asks other questions.
    if ours.report.verdict.is_some() && wish.arguments.is_none() {
        complaints.extend(compare::dead(&guest.name, &xen.report, &ours.report, listed));
    }
    Ok(complaints)
}

/// What is wrong where Xen came to no verdict, given what is wrong on our side: of a later Xen that is its failure.
pub fn no_answer(reference: Hypervisor, mut ours: Vec<String>) -> Vec<String> {
    if reference == Hypervisor::Xen {
        ours.insert(0, "Xen gave no answer to compare with".into());
    }
    ours
}

/// What is wrong on our side by itself, less what Xen does the same way.
pub fn own_failures(ours: &Answer, xen: &Report) -> Vec<String> {
    let same_on_xen = |complaint: &str| {
        complaint.starts_with("verdict ")
            || complaint.split_once(':').and_then(|(name, _)| xen.tests.get(name)).is_some_and(|own| own.word != "PASS")
    };
    let failing = xen.verdict.as_deref() != Some("SUCCESS");
    ours.complaints.iter().filter(|complaint| !(failing && same_on_xen(complaint))).cloned().collect()
}

/// Counts one check and prints its verdict with what is wrong.
pub fn settle(name: &str, complaints: &[String], tally: &mut Tally) {
    tally.count(complaints);
    if complaints.is_empty() {
        println!("PASS {name}");
        return;
    }
    println!("FAIL {name}");
    for complaint in complaints.iter().take(SHOWN) {
        println!("  {complaint}");
    }
    if complaints.len() > SHOWN {
        println!("  and {} more", complaints.len() - SHOWN);
    }
}

/// The test guests of `make test` or `make test-full`, less those whose known state `compat-tests/quick.toml` tells.
pub fn guests_of(pace: Pace) -> Result<Vec<Guest>> {
    let guests = guest::all()?;
    if pace == Pace::Full {
        return Ok(guests);
    }
    let left_out = quick::exclusions()?;
    let is_left_out = |guest: &Guest| left_out.iter().any(|exclusion| exclusion.guest == guest.name);
    Ok(guests.into_iter().filter(|guest| guest.recipe.pace == Pace::Quick && !is_left_out(guest)).collect())
}
