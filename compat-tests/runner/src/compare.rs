//! Comparing a guest's observations on Xenolith with those on Xen.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::places;
use crate::report::Report;

/// An allowed difference; `compat-tests/allowed-differences.toml` lists them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
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

/// Reads the list; each entry must say why.
pub fn allowances() -> Result<Vec<Allowance>> {
    let path = places::tree().join("compat-tests/allowed-differences.toml");
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

/// Stands for an observation that one side does not have.
pub const NOTHING: &str = "(nothing)";

/// Every difference that is not allowed, one line each.
pub fn differences(test: &str, xen: &Report, ours: &Report, allowed: &[Allowance]) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |key: &str, expected: Option<&String>, got: Option<&String>| {
        if expected != got && !allowed.iter().any(|allowance| allowance.covers(test, key)) {
            let show = |value: Option<&String>| value.map_or(NOTHING, |text| text.as_str()).to_owned();
            found.push(format!("{key}: xen {} xenolith {}", show(expected), show(got)));
        }
    };
    for (key, value) in &xen.values {
        compare(key, Some(value), ours.values.get(key));
    }
    for (key, value) in &ours.values {
        if !xen.values.contains_key(key) {
            compare(key, None, Some(value));
        }
    }
    for (key, judged) in &xen.tests {
        compare(key, Some(&judged.word), ours.tests.get(key).map(|own| &own.word));
    }
    for (key, judged) in &ours.tests {
        if !xen.tests.contains_key(key) {
            compare(key, None, Some(&judged.word));
        }
    }
    found
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
    use super::{Allowance, differences, figures_above, reasons};
    use crate::report::parse;

    #[test]
    fn differences_are_found_both_ways_and_allowances_hide_them() {
        let xen = parse("VALUE a=1\nVALUE b=2\nTEST t: PASS\n");
        let ours = parse("VALUE a=1\nVALUE c=3\nTEST t: FAIL\n");
        assert_eq!(differences("x", &xen, &ours, &[]).len(), 3);
        let allow = |key: &str| Allowance { test: "*".into(), key: key.into(), reason: "r".into() };
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
