//! Runs a checkout's tests on both hypervisors and prints both verdicts side by side.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Serialize;

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

/// A test's verdicts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Row {
    /// The test, with its variation.
    pub name: String,
    /// XTF's category.
    pub category: String,
    /// On Xen.
    pub xen: Verdict,
    /// On Xenolith.
    pub xenolith: Verdict,
}

impl Row {
    /// Whether this is a finding against us.
    pub fn is_less(&self) -> bool {
        self.xenolith.is_less_than(self.xen)
    }

    fn remark(&self) -> &'static str {
        match (self.is_less(), self.xenolith == self.xen) {
            (true, _) => "LESS",
            (false, true) => "",
            (false, false) if self.xenolith > self.xen => "more",
            (false, false) => "differs",
        }
    }
}

/// How the verdicts of many tests compare, in a line.
pub fn sum_up(rows: &[Row]) -> String {
    let count = |pick: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| pick(row)).count();
    format!(
        "{} tests: {} pass on Xen, {} on Xenolith; {} with the same verdict, {} do less on Xenolith",
        rows.len(),
        count(&|row| row.xen.is_pass()),
        count(&|row| row.xenolith.is_pass()),
        count(&|row| row.xen == row.xenolith),
        count(&Row::is_less),
    )
}

/// Is told of each test as it ends.
pub trait Watcher {
    /// It ended on Xen.
    fn on_xen(&mut self, test: &Instance, outcome: &Outcome);
    /// It ended on Xenolith, so both verdicts are there.
    fn on_both(&mut self, row: &Row, outcome: &Outcome);
}

/// The tests that a wish means.
pub fn chosen(wish: &Wish) -> Result<Vec<Instance>> {
    let all = catalogue::read(&wish.checkout, wish.kind.environment())?;
    let fits = |test: &Instance, name: &String| {
        test.name == *name || test.name.split_once('~').is_some_and(|(stem, _)| stem == name)
    };
    if let Some(name) = wish.names.iter().find(|name| !all.iter().any(|test| fits(test, name))) {
        bail!("the checkout has no test `{name}` of this kind");
    }
    let named = |test: &Instance| wish.names.is_empty() || wish.names.iter().any(|name| fits(test, name));
    Ok(all.into_iter().filter(named).collect())
}

/// Runs tests on both.
pub fn rows(wish: &Wish, tests: &[Instance], watcher: &mut dyn Watcher) -> Result<Vec<Row>> {
    let conditions = Conditions { cpus: wish.cpus, options: wish.options.clone(), recorded: wish.recorded };
    let (mut expected, mut rows) = (BTreeMap::new(), Vec::new());
    wish.kind.run(tests, Hypervisor::Xen, &conditions, &mut |test, outcome| {
        watcher.on_xen(test, &outcome);
        expected.insert(test.name.clone(), outcome.verdict);
    })?;
    wish.kind.run(tests, Hypervisor::Xenolith, &conditions, &mut |test, outcome| {
        let Some(&xen) = expected.get(&test.name) else { return };
        let (name, category) = (test.name.clone(), test.category.clone());
        let row = Row { name, category, xen, xenolith: outcome.verdict };
        watcher.on_both(&row, &outcome);
        rows.push(row);
    })?;
    Ok(rows)
}

/// Runs the tests. A test fails that passes on Xen and does less here, or that breaks the hypervisor.
pub fn run(wish: &Wish) -> Result<Tally> {
    let tests = chosen(wish)?;
    let width = tests.iter().map(|test| test.name.len()).max().unwrap_or(0);
    let mut table = Table { width, headed: false, tally: Tally::default() };
    println!("{}", sum_up(&rows(wish, &tests, &mut table)?));
    Ok(table.tally)
}

/// Prints rows as they come.
struct Table {
    width: usize,
    headed: bool,
    tally: Tally,
}

impl Table {
    fn line(&self, test: &str, category: &str, xen: &str, ours: &str) -> String {
        format!("{test:<width$}  {category:<14}  {xen:<9}  {ours:<9}", width = self.width)
    }
}

impl Watcher for Table {
    fn on_xen(&mut self, test: &Instance, outcome: &Outcome) {
        if !outcome.tail.is_empty() {
            println!("  {:<width$}  {} on Xen", test.name, outcome.verdict.word(), width = self.width);
        }
    }

    fn on_both(&mut self, row: &Row, outcome: &Outcome) {
        if !self.headed {
            println!("{}", self.line("test", "category", "Xen", "Xenolith"));
            self.headed = true;
        }
        let (remark, line) = (row.remark(), self.line(&row.name, &row.category, row.xen.word(), row.xenolith.word()));
        println!("{}  {remark}", line.trim_end());
        let mut complaints = Vec::new();
        if row.is_less() {
            print!("{}", outcome.tail);
            complaints.push(remark.to_owned());
        }
        self.tally.count(&complaints);
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, Verdict, sum_up};

    #[test]
    fn rows_are_counted_by_what_they_mean() {
        let row = |xen, xenolith| Row { name: "a".into(), category: "xsa".into(), xen, xenolith };
        let rows = [
            row(Verdict::Success, Verdict::Success),
            row(Verdict::Success, Verdict::Skip),
            row(Verdict::Failure, Verdict::Skip),
        ];
        assert_eq!(rows.each_ref().map(Row::remark), ["", "LESS", "more"]);
        assert_eq!(
            sum_up(&rows),
            "3 tests: 2 pass on Xen, 1 on Xenolith; 1 with the same verdict, 1 do less on Xenolith"
        );
    }
}
