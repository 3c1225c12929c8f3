//! Runs a checkout's tests on both hypervisors and prints both verdicts side by side.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::catalogue::{self, Instance};
use super::kind::{Conditions, Kind, Outcome};
use super::verdict::Verdict;
use crate::hypervisor::Hypervisor;
use crate::suite::Recorded;
use crate::tally::Tally;

/// What to run and how.
pub struct Wish {
    /// The checkout.
    pub checkout: PathBuf,
    /// Which kind of tests.
    pub kind: Kind,
    /// Tests by name, with or without variation; none means all.
    pub names: Vec<String>,
    /// CPUs of the machine.
    pub cpus: u32,
    /// Further options of both hypervisors.
    pub options: String,
    /// Whether Xen's recorded verdicts may stand for a run.
    pub recorded: Recorded,
}

/// Runs the tests. A test fails that passes on Xen and does less here, or that breaks the hypervisor.
pub fn run(wish: &Wish) -> Result<Tally> {
    let tests = chosen(catalogue::read(&wish.checkout, wish.kind.environment())?, &wish.names)?;
    let width = tests.iter().map(|test| test.name.len()).max().unwrap_or(0);
    let conditions = Conditions { cpus: wish.cpus, options: wish.options.clone(), recorded: wish.recorded };
    let mut expected = BTreeMap::new();
    wish.kind.run(&tests, Hypervisor::Xen, &conditions, &mut |test, outcome| {
        if !outcome.tail.is_empty() {
            println!("  {:<width$}  {} on Xen", test.name, outcome.verdict.word());
        }
        expected.insert(test.name.clone(), outcome.verdict);
    })?;
    let mut table = Table { width, expected, tally: Tally::default(), rows: Vec::new() };
    println!("{}", table.line("test", "category", "Xen", "Xenolith"));
    wish.kind.run(&tests, Hypervisor::Xenolith, &conditions, &mut |test, outcome| table.add(test, &outcome))?;
    table.sum_up();
    Ok(table.tally)
}

fn chosen(all: Vec<Instance>, names: &[String]) -> Result<Vec<Instance>> {
    let fits = |test: &Instance, name: &String| {
        test.name == *name || test.name.split_once('~').is_some_and(|(stem, _)| stem == name)
    };
    if let Some(name) = names.iter().find(|name| !all.iter().any(|test| fits(test, name))) {
        bail!("the checkout has no test `{name}` of this kind");
    }
    Ok(all.into_iter().filter(|test| names.is_empty() || names.iter().any(|name| fits(test, name))).collect())
}

struct Table {
    width: usize,
    expected: BTreeMap<String, Verdict>,
    tally: Tally,
    rows: Vec<(Verdict, Verdict)>,
}

impl Table {
    fn line(&self, test: &str, category: &str, xen: &str, ours: &str) -> String {
        format!("{test:<width$}  {category:<14}  {xen:<9}  {ours:<9}", width = self.width)
    }

    fn add(&mut self, test: &Instance, outcome: &Outcome) {
        let ours = outcome.verdict;
        let Some(&xen) = self.expected.get(&test.name) else { return };
        let remark = match (ours.is_less_than(xen), ours == xen) {
            (true, _) => "LESS",
            (false, true) => "",
            (false, false) if ours > xen => "more",
            (false, false) => "differs",
        };
        println!("{}  {remark}", self.line(&test.name, &test.category, xen.word(), ours.word()).trim_end());
        let mut complaints = Vec::new();
        if remark == "LESS" {
            print!("{}", outcome.tail);
            complaints.push(remark.to_owned());
        }
        self.tally.count(&complaints);
        self.rows.push((xen, ours));
    }

    fn sum_up(&self) {
        let count = |pick: &dyn Fn(&(Verdict, Verdict)) -> bool| self.rows.iter().filter(|row| pick(row)).count();
        println!(
            "{} tests: {} pass on Xen, {} on Xenolith; {} with the same verdict, {} do less on Xenolith",
            self.rows.len(),
            count(&|(xen, _)| xen.is_pass()),
            count(&|(_, ours)| ours.is_pass()),
            count(&|(xen, ours)| xen == ours),
            count(&|(xen, ours)| ours.is_less_than(*xen)),
        );
    }
}
