//! What each operation may cost, in instructions: `compat-tests/budgets.toml`, with both Xens' figures beside ours.
//!
//! A run fails when an operation costs more than its budget and [`TOLERANCE`]. Only `compat-runner budgets update` writes
//! the file, in the commit that explains why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;

use crate::guest::{self, Guest, Pace};
use crate::hypervisor::Hypervisor;
use crate::places;
use crate::suite::{self, Wish};

/// Percent by which an operation may grow before it fails.
const TOLERANCE: u64 = 2;
/// What the geometric mean of all rows is to stay below.
const GOAL: f64 = 0.60;

/// The figures of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Ours, when the file was last written.
    pub xenolith: u64,
    /// Xen 4.17's.
    #[serde(rename = "xen-4.17")]
    pub xen_4_17: Option<u64>,
    /// Xen 4.20's.
    #[serde(rename = "xen-4.20")]
    pub xen_4_20: Option<u64>,
}

impl Budget {
    /// The better Xen's figure.
    pub fn mark(&self) -> Option<u64> {
        [self.xen_4_17, self.xen_4_20].into_iter().flatten().min()
    }

    /// Our figure as a part of the better Xen's.
    pub fn ratio(&self) -> Option<f64> {
        self.mark().map(|mark| self.xenolith as f64 / mark.max(1) as f64)
    }
}

/// Operations by name.
pub type Rows = BTreeMap<String, Budget>;

/// The file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// Rows that ought to be there and are not, with the reason.
    #[serde(default)]
    pub missing: BTreeMap<String, String>,
    /// Rows by the test guest that measures them.
    #[serde(default)]
    pub guest: BTreeMap<String, Rows>,
}

/// Where the file is. `XENOLITH_BUDGETS` names another.
fn path() -> PathBuf {
    std::env::var_os("XENOLITH_BUDGETS").map_or_else(|| places::tree().join("compat-tests/budgets.toml"), PathBuf::from)
}

/// Reads the file.
pub fn load() -> Result<Budgets> {
    let path = path();
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text, &path)
}

/// Takes the text apart; what is wrong with it becomes one sentence.
fn parse(text: &str, path: &Path) -> Result<Budgets> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1);
        let why = error.message().lines().next().unwrap_or("unreadable");
        anyhow!("{} is no budget file (line {line}: {why}); restore it from git", path.display())
    })
}

impl Budgets {
    /// What is wrong with the costs that a guest printed; empty when all are within their budgets.
    pub fn complaints(&self, guest: &str, costs: &BTreeMap<String, u64>) -> Vec<String> {
        let none = Rows::new();
        let rows = self.guest.get(guest).unwrap_or(&none);
        let mut found = Vec::new();
        for (name, &cost) in costs {
            match rows.get(name) {
                None => {
                    found.push(format!("{name}: {cost} instructions and no budget; `compat-runner budgets update`"))
                }
                Some(budget) if is_over(cost, budget.xenolith) => found.push(format!(
                    "{name}: {cost} instructions, {:.1} % above the budget of {}",
                    (cost as f64 / budget.xenolith.max(1) as f64 - 1.0) * 100.0,
                    budget.xenolith
                )),
                Some(_) => {}
            }
        }
        for name in rows.keys().filter(|name| !costs.contains_key(*name)) {
            found.push(format!("{name}: has a budget and was not measured"));
        }
        found
    }

    /// All rows of all guests.
    pub fn rows(&self) -> impl Iterator<Item = (&String, &Budget)> {
        self.guest.values().flatten()
    }

    /// The text of the file.
    fn text(&self) -> String {
        let mut text = String::from(HEAD);
        text.push_str("\n[missing]\n");
        for (name, reason) in &self.missing {
            text.push_str(&format!("{} = {}\n", quoted(name), quoted(reason)));
        }
        for (guest, rows) in &self.guest {
            text.push_str(&format!("\n[guest.{guest}]\n"));
            for (name, budget) in rows {
                let reference = |key: &str, figure: Option<u64>| {
                    figure.map_or(String::new(), |figure| format!(", \"{key}\" = {figure}"))
                };
                text.push_str(&format!(
                    "{} = {{ xenolith = {}{}{} }}\n",
                    quoted(name),
                    budget.xenolith,
                    reference("xen-4.17", budget.xen_4_17),
                    reference("xen-4.20", budget.xen_4_20)
                ));
            }
        }
        text
    }
}

const HEAD: &str = "\
# Instructions of each operation that the test guests measure: ours when this was last written, and the figures of Debian's
# Xens, all on QEMU's EPYC-Milan with one instruction a tick. `make test` fails when an operation costs 2 % more than ours.
# Written by `compat-runner budgets update` and by nothing else; the commit says why a figure grew. `missing` is kept by hand.
";

fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}

const fn is_over(cost: u64, budget: u64) -> bool {
    cost.saturating_mul(100) > budget.saturating_mul(100 + TOLERANCE)
}

/// The guests that measure.
fn measuring() -> Result<Vec<Guest>> {
    guest::build()?;
    Ok(guest::all()?.into_iter().filter(|guest| guest.recipe.icount).collect())
}

fn costs(guest: &Guest, hypervisor: Hypervisor) -> Result<BTreeMap<String, u64>> {
    let answer = suite::answer(guest, hypervisor, &Wish::of(Pace::Quick))?;
    ensure!(
        answer.report.verdict.as_deref() == Some("SUCCESS"),
        "{} did not finish on {}: {}",
        guest.name,
        hypervisor.name(),
        answer.complaints.join("; ")
    );
    Ok(answer.report.costs)
}

/// Measures everything on all hypervisors and writes the file anew.
pub fn update() -> Result<()> {
    // What is not a budget file any more is replaced, except for what was written by hand.
    let mut budgets = Budgets { missing: load().map(|old| old.missing).unwrap_or_default(), ..Budgets::default() };
    for guest in measuring()? {
        let ours = costs(&guest, Hypervisor::Xenolith)?;
        if ours.is_empty() {
            // It counts time in instructions, and measures no operation.
            continue;
        }
        let (old, new) = (costs(&guest, Hypervisor::Xen)?, costs(&guest, Hypervisor::Xen420)?);
        let rows = ours.into_iter().map(|(name, xenolith)| {
            let (xen_4_17, xen_4_20) = (old.get(&name).copied(), new.get(&name).copied());
            (name, Budget { xenolith, xen_4_17, xen_4_20 })
        });
        budgets.guest.insert(guest.name.clone(), rows.collect());
    }
    let path = path();
    std::fs::write(&path, budgets.text()).with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Prints the file as a table, dearest first, and what it comes to.
pub fn show() -> Result<()> {
    let budgets = load()?;
    let mut rows: Vec<_> = budgets.rows().collect();
    rows.sort_by(|(_, left), (_, right)| right.ratio().partial_cmp(&left.ratio()).unwrap_or(std::cmp::Ordering::Equal));
    let figure = |value: Option<u64>| value.map_or("-".into(), |value| value.to_string());
    println!("{:<72} {:>9} {:>9} {:>9}  ratio", "operation", "xen 4.17", "xen 4.20", "xenolith");
    for (name, budget) in &rows {
        let ratio = budget.ratio().map_or("-".into(), |ratio| format!("{ratio:.2}"));
        let (old, new) = (figure(budget.xen_4_17), figure(budget.xen_4_20));
        println!("{name:<72} {old:>9} {new:>9} {:>9}  {ratio}", budget.xenolith);
    }
    for (name, reason) in &budgets.missing {
        println!("MISSING {name}: {reason}");
    }
    println!("{}", Summary::of(rows.iter().filter_map(|(_, budget)| budget.ratio())));
    Ok(())
}

/// What ratios come to.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Rows that can be compared.
    pub rows: usize,
    /// Rows that are dearer than on the better Xen.
    pub dearer: usize,
    /// Rows above the goal.
    pub above_goal: usize,
    /// The geometric mean of the ratios.
    pub mean: f64,
}

impl Summary {
    /// Sums ratios up.
    pub fn of(ratios: impl Iterator<Item = f64>) -> Self {
        let mut summary = Summary { rows: 0, dearer: 0, above_goal: 0, mean: 1.0 };
        let mut logarithms = 0.0;
        for ratio in ratios {
            summary.rows += 1;
            summary.dearer += usize::from(ratio > 1.0);
            summary.above_goal += usize::from(ratio > GOAL);
            logarithms += ratio.ln();
        }
        summary.mean = (logarithms / summary.rows.max(1) as f64).exp();
        summary
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Summary { rows, dearer, above_goal, mean } = self;
        write!(
            to,
            "{rows} operations: geometric mean {mean:.3} of the better Xen (goal {GOAL:.2}), {dearer} dearer than it, {above_goal} above the goal"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Budgets, Summary, is_over, parse};
    use std::collections::BTreeMap;
    use std::path::Path;

    fn example() -> Budgets {
        let mut budgets = Budgets::default();
        let budget = Budget { xenolith: 100, xen_4_17: Some(250), xen_4_20: Some(200) };
        budgets.guest.entry("cost".into()).or_default().insert("a, \"quoted\" row".into(), budget);
        budgets.missing.insert("b".into(), "why".into());
        budgets
    }

    #[test]
    fn what_is_written_reads_back() {
        let read = parse(&example().text(), Path::new("budgets.toml")).unwrap();
        assert_eq!(read.guest, example().guest);
        assert_eq!(read.missing, example().missing);
    }

    #[test]
    fn a_corrupt_file_is_told_in_one_sentence() {
        for text in ["[guest.cost]\n\"a\" = { xenolith = \"many\" }\n", "[guest", "[guest.cost]\n\"a\" = { xen = 1 }\n"]
        {
            let told = format!("{:#}", parse(text, Path::new("budgets.toml")).unwrap_err());
            assert!(told.starts_with("budgets.toml is no budget file (line ") && !told.contains('\n'), "{told}");
        }
    }

    #[test]
    fn growth_beyond_two_percent_fails_and_so_does_a_lost_or_new_row() {
        assert!(!is_over(102, 100) && is_over(103, 100) && !is_over(50, 100) && !is_over(u64::MAX, u64::MAX));
        let costs = |list: &[(&str, u64)]| -> BTreeMap<String, u64> {
            list.iter().map(|(name, cost)| ((*name).into(), *cost)).collect()
        };
        let name = "a, \"quoted\" row";
        assert!(example().complaints("cost", &costs(&[(name, 102)])).is_empty());
        assert_eq!(example().complaints("cost", &costs(&[(name, 103)])).len(), 1);
        assert_eq!(example().complaints("cost", &costs(&[("other", 1)])).len(), 2);
        assert_eq!(example().complaints("cost", &costs(&[])).len(), 1);
        assert!(example().complaints("smoke", &costs(&[])).is_empty());
    }

    #[test]
    fn the_better_xen_is_the_mark_and_means_are_geometric() {
        assert_eq!(example().rows().next().unwrap().1.ratio(), Some(0.5));
        let summary = Summary::of([0.25, 4.0].into_iter());
        assert!((summary.mean - 1.0).abs() < 1e-9 && summary.dearer == 1 && summary.rows == 2);
    }
}
