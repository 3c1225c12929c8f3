//! Comparing a guest's observations on Xenolith with those on Xen.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::hypervisor::{Hypervisor, Reference};
use crate::places;
use crate::report::Report;

/// Where we differ on purpose from Xen, of one release or of all.
const DELIBERATE: &str = "compat-tests/allowed-differences.toml";
/// Where releases of Xen differ from one another, and we are as Debian 12's.
const OF_RELEASES: &str = "compat-tests/release-differences.toml";

/// An allowed difference; `compat-tests/allowed-differences.toml` and `release-differences.toml` list them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// The Xen from which; none means each.
    #[serde(default)]
    pub reference: Option<Reference>,
    /// The test, or `*`.
    pub test: String,
    /// The key of the VALUE or TEST line; a `*` at the end stands for any rest.
    pub key: String,
    /// Why it may differ.
    pub reason: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowances {
    #[serde(default)]
    allow: Vec<Allowance>,
}

/// Reads the lists; each entry must say why. Gives those that count beside this Xen.
pub fn allowances(reference: Hypervisor) -> Result<Vec<Allowance>> {
    let (mut all, of_releases) = (read(DELIBERATE)?, read(OF_RELEASES)?);
    if let Some(entry) = of_releases.iter().find(|entry| entry.reference.is_none()) {
        anyhow::bail!("{OF_RELEASES}: {} {} does not say from which Xen", entry.test, entry.key);
    }
    all.extend(of_releases);
    all.retain(|allowance| allowance.reference.is_none_or(|of| Hypervisor::from(of) == reference));
    Ok(all)
}

fn read(name: &str) -> Result<Vec<Allowance>> {
    let path = places::tree().join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let list: Allowances = toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
    for allowance in &list.allow {
        anyhow::ensure!(!allowance.reason.trim().is_empty(), "{} {} has no reason", allowance.test, allowance.key);
    }
    Ok(list.allow)
}

impl Allowance {
    fn covers(&self, test: &str, key: &str) -> bool {
        let key_fits = match self.key.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix),
            None => self.key == key,
        };
        (self.test == "*" || self.test == test) && key_fits
    }
}

/// The entries that count beside this Xen, and one for each judged property that it fails by itself and we do not. Of
/// Debian 12's, whose answers are the expected ones, such a failure is one of the test.
pub fn beside(reference: Hypervisor, test: &str, xen: &Report, ours: &Report, listed: &[Allowance]) -> Vec<Allowance> {
    let mut allowed = listed.to_vec();
    if reference != Hypervisor::Xen {
        allowed.extend(fails_alone(xen, ours).into_iter().map(|key| Allowance {
            reference: None,
            test: test.into(),
            key: key.into(),
            reason: format!("{} fails it", reference.title()),
        }));
    }
    allowed
}

/// Judged properties that Xen fails and we do not.
pub fn fails_alone<'a>(xen: &'a Report, ours: &Report) -> Vec<&'a str> {
    let passes = |key: &String| ours.tests.get(key).is_some_and(|judged| judged.word == "PASS");
    let failed = xen.tests.iter().filter(|(key, judged)| judged.word != "PASS" && passes(key));
    failed.map(|(key, _)| key.as_str()).collect()
}

/// Entries of the lists for this very test that cover nothing: what they allowed is the same by now, or misspelt.
pub fn dead(test: &str, xen: &Report, ours: &Report, allowed: &[Allowance]) -> Vec<String> {
    let differing = differing(xen, ours);
    let covers_nothing = |entry: &&Allowance| !differing.iter().any(|(key, ..)| entry.covers(test, key));
    let dead = allowed.iter().filter(|entry| entry.test == test).filter(covers_nothing);
    dead.map(|entry| format!("{}: allowed to differ, and does not: remove the entry", entry.key)).collect()
}

/// Stands for an observation that one side does not have.
pub const NOTHING: &str = "(nothing)";

/// Every difference that is not allowed, one line each.
pub fn differences(test: &str, xen: &Report, ours: &Report, allowed: &[Allowance]) -> Vec<String> {
    let found = differing(xen, ours).into_iter();
    let found = found.filter(|(key, ..)| !allowed.iter().any(|allowance| allowance.covers(test, key)));
    found.map(|(key, xen, ours)| format!("{key}: xen {xen} xenolith {ours}")).collect()
}

/// What one side answers otherwise than the other, or not at all: key, Xen's answer, ours. Observations come first, then
/// judged properties.
fn differing<'a>(xen: &'a Report, ours: &'a Report) -> Vec<(&'a str, &'a str, &'a str)> {
    let values = |report: &'a Report| report.values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let words =
        |report: &'a Report| report.tests.iter().map(|(key, judged)| (key.as_str(), judged.word.as_str())).collect();
    let mut found = unequal(&values(xen), &values(ours));
    found.extend(unequal(&words(xen), &words(ours)));
    found
}

type Answers<'a> = BTreeMap<&'a str, &'a str>;

fn unequal<'a>(xen: &Answers<'a>, ours: &Answers<'a>) -> Vec<(&'a str, &'a str, &'a str)> {
    let keys: BTreeSet<&str> = xen.keys().chain(ours.keys()).copied().collect();
    let answer = |side: &Answers<'a>, key| side.get(key).copied().unwrap_or(NOTHING);
    let both = keys.into_iter().map(|key| (key, answer(xen, key), answer(ours, key)));
    both.filter(|(_, xen, ours)| xen != ours).collect()
}

/// Why differences are allowed, and how many each reason covers.
pub fn reasons(test: &str, xen: &Report, ours: &Report, allowed: &[Allowance]) -> BTreeMap<String, usize> {
    let all = differences(test, xen, ours, &[]).len();
    let mut reasons = BTreeMap::new();
    for allowance in allowed {
        let covered = all - differences(test, xen, ours, std::slice::from_ref(allowance)).len();
        if covered > 0 {
            *reasons.entry(allowance.reason.clone()).or_insert(0) += covered;
        }
    }
    reasons
}

/// Costs side by side with the ratio; empty if the test has none.
pub fn cost_table(xen: &Report, ours: &Report) -> String {
    let mut table = String::new();
    for (name, &reference) in &xen.costs {
        let own = ours.costs.get(name).copied();
        let ratio = own.map_or("-".into(), |own| format!("{:.2}", own as f64 / reference.max(1) as f64));
        let own = own.map_or("-".into(), |own| own.to_string());
        table.push_str(&format!("  {name:<72} xen {reference:>8} xenolith {own:>8} ratio {ratio}\n"));
    }
    table
}

/// Figures of both beside each other, and ours as a part of Xen's.
pub fn figure_table(xen: &Report, ours: &Report) -> String {
    let both = ours.figures.iter().filter_map(|(name, ours)| Some((name, *xen.figures.get(name)?, *ours)));
    both.map(|(name, xen, ours)| {
        let ratio = ours as f64 / xen.max(1) as f64;
        format!("    {name:<36} xen {xen:>12} xenolith {ours:>12} ratio {ratio:.2}\n")
    })
    .collect()
}

/// Figures that are above the part of Xen's that they may be, or that one side does not have.
pub fn figures_above(most: &BTreeMap<String, f64>, xen: &Report, ours: &Report) -> Vec<String> {
    let judge = |(name, part): (&String, &f64)| match (xen.figures.get(name), ours.figures.get(name)) {
        (Some(xen), Some(ours)) if *ours as f64 <= *xen as f64 * part => None,
        (Some(xen), Some(ours)) => Some(format!("{name}: {ours}, more than {part} of Xen's {xen}")),
        (xen, ours) => Some(format!("{name}: xen {xen:?} xenolith {ours:?}")),
    };
    most.iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::{Allowance, allowances, beside, dead, differences, figures_above, reasons};
    use crate::hypervisor::Hypervisor;
    use crate::report::parse;

    fn allow(key: &str) -> Allowance {
        Allowance { reference: None, test: "*".into(), key: key.into(), reason: "r".into() }
    }

    #[test]
    fn a_list_counts_beside_its_xen_only() {
        let of = |reference| allowances(reference).unwrap().into_iter().filter_map(|entry| entry.reference).count();
        assert!(of(Hypervisor::Xen) > 0 && of(Hypervisor::Xen420) > 0);
        let ours = |entry: &Allowance| entry.reference.is_none_or(|of| Hypervisor::from(of) == Hypervisor::Xen420);
        assert!(allowances(Hypervisor::Xen420).unwrap().iter().all(ours));
    }

    #[test]
    fn what_a_later_xen_fails_itself_is_not_our_failure() {
        let xen = parse("VALUE a=1\nTEST late: FAIL\nTEST both: FAIL\nTEST ours: PASS\n");
        let ours = parse("VALUE a=2\nTEST late: PASS\nTEST both: FAIL\nTEST ours: FAIL\n");
        let left = |reference| differences("x", &xen, &ours, &beside(reference, "x", &xen, &ours, &[]));
        assert_eq!(left(Hypervisor::Xen420), ["a: xen 1 xenolith 2", "ours: xen PASS xenolith FAIL"]);
        assert_eq!(left(Hypervisor::Xen).len(), 3, "but of the reference it is the test's");
    }

    #[test]
    fn an_entry_that_covers_nothing_is_dead() {
        let (xen, ours) = (parse("VALUE a=1\nVALUE b=2\n"), parse("VALUE a=2\nVALUE b=2\n"));
        let of_test = |test: &str, key: &str| Allowance { test: test.into(), ..allow(key) };
        let list = [of_test("x", "a*"), of_test("x", "b"), of_test("other", "b"), of_test("*", "b")];
        assert_eq!(dead("x", &xen, &ours, &list), ["b: allowed to differ, and does not: remove the entry"]);
    }

    #[test]
    fn differences_are_found_both_ways_and_allowances_hide_them() {
        let xen = parse("VALUE a=1\nVALUE b=2\nTEST t: PASS\n");
        let ours = parse("VALUE a=1\nVALUE c=3\nTEST t: FAIL\n");
        assert_eq!(differences("x", &xen, &ours, &[]).len(), 3);
        assert_eq!(differences("x", &xen, &ours, &[allow("b*"), allow("t")]).len(), 1);
        let told = reasons("x", &xen, &ours, &[allow("b*"), allow("t"), allow("none")]);
        assert_eq!(told.into_iter().collect::<Vec<_>>(), [("r".to_owned(), 2)]);
    }

    #[test]
    fn a_figure_may_be_its_part_of_xens_and_must_be_there() {
        let xen = parse("FIGURE a=100\nFIGURE b=100\n");
        let ours = parse("FIGURE a=110\nFIGURE b=111\n");
        let most = |name: &str| [(name.to_owned(), 1.1)].into();
        assert!(figures_above(&most("a"), &xen, &ours).is_empty());
        assert_eq!(figures_above(&most("b"), &xen, &ours).len(), 1);
        assert_eq!(figures_above(&most("c"), &xen, &ours).len(), 1);
    }
}
