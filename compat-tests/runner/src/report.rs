//! What a serial log says: observations, judged properties, the verdict, and signs of a hypervisor in trouble.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::qemu::{End, Run};

/// A property that a guest judged by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// `PASS` or `FAIL`.
    pub word: String,
    /// The rest of the line.
    pub detail: String,
}

/// A log, read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// `VALUE key=value` lines.
    pub values: BTreeMap<String, String>,
    /// `COST name=instructions` lines.
    pub costs: BTreeMap<String, u64>,
    /// `FIGURE name=number` lines: not compared.
    #[serde(default)]
    pub figures: BTreeMap<String, u64>,
    /// `TEST name: WORD detail` lines.
    pub tests: BTreeMap<String, Judged>,
    /// The word after `VERDICT`.
    pub verdict: Option<String>,
    /// The first line that only a failing hypervisor prints.
    pub trouble: Option<String>,
}

/// What a hypervisor prints when it is past helping.
const TROUBLE: [&str; 8] = [
    "Panic on CPU",
    "Xen BUG",
    "Assertion '",
    "FATAL TRAP",
    "FATAL PAGE FAULT",
    "DOUBLE FAULT",
    "hypervisor panic",
    "panicked at",
];

/// Reads a log.
pub fn parse(log: &str) -> Report {
    let mut report = Report::default();
    for raw in log.lines() {
        let line = raw.trim_end().trim_start_matches("(d0) ");
        if let Some(rest) = line.strip_prefix("VALUE ") {
            if let Some((key, value)) = rest.split_once('=') {
                report.values.insert(fresh_key(&report.values, key), value.into());
            }
        } else if let Some(rest) = line.strip_prefix("COST ") {
            if let Some((key, value)) = rest.split_once('=')
                && let Ok(value) = value.parse()
            {
                report.costs.insert(key.into(), value);
            }
        } else if let Some((key, value)) = line.strip_prefix("FIGURE ").and_then(|rest| rest.split_once('=')) {
            if let Ok(value) = value.parse() {
                report.figures.insert(key.into(), value);
            }
        } else if let Some(rest) = line.strip_prefix("TEST ") {
            judged(&mut report, rest);
        } else if let Some(rest) = line.strip_prefix("VERDICT ") {
            report.verdict = Some(rest.trim().into());
        } else if report.trouble.is_none()
            && !line.starts_with("TEST")
            && TROUBLE.iter().any(|sign| line.contains(sign))
        {
            report.trouble = Some(line.into());
        }
    }
    report
}

/// The key, or for a repeated one the key with a number: the second observation is one of its own.
fn fresh_key(values: &BTreeMap<String, String>, key: &str) -> String {
    if !values.contains_key(key) {
        return key.into();
    }
    (2..).map(|count| format!("{key}#{count}")).find(|next| !values.contains_key(next)).unwrap_or_default()
}

fn judged(report: &mut Report, rest: &str) {
    let Some((name, result)) = rest.split_once(": ") else { return };
    let (word, detail) = result.split_once(' ').unwrap_or((result, ""));
    let judged = Judged { word: word.into(), detail: detail.into() };
    // A name that failed once has failed.
    let entry = report.tests.entry(name.into()).or_insert_with(|| judged.clone());
    if judged.word != "PASS" {
        *entry = judged;
    }
}

/// What is wrong with a run by itself, without looking at the other hypervisor's.
pub fn complaints(run: &Run, report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(line) = &report.trouble {
        found.push(format!("hypervisor in trouble: {line}"));
    }
    for (name, judged) in &report.tests {
        if judged.word != "PASS" {
            found.push(format!("{name}: {} {}", judged.word, judged.detail));
        }
    }
    match (&report.verdict, &run.end) {
        (Some(word), _) if word == "SUCCESS" => {}
        (Some(word), _) if found.is_empty() => found.push(format!("verdict {word}")),
        (Some(_), _) => {}
        (None, End::TimedOut) => found.push(format!("no verdict within {:.0} s", run.seconds)),
        (None, _) => found.push("the machine ended without a verdict (reset, triple fault or early refusal)".into()),
    }
    found
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_every_kind_of_line() {
        let report =
            parse("(XEN) hello\nVALUE a.b=0x1\nCOST null=255\nTEST x: PASS fine\r\nTEST y: FAIL no\nVERDICT FAILURE\n");
        assert_eq!(report.values["a.b"], "0x1");
        assert_eq!(report.costs["null"], 255);
        assert_eq!(report.tests["x"].word, "PASS");
        assert_eq!(report.tests["y"].detail, "no");
        assert_eq!(report.verdict.as_deref(), Some("FAILURE"));
        assert_eq!(report.trouble, None);
    }

    #[test]
    fn a_failure_is_not_overwritten_by_a_later_pass() {
        assert_eq!(parse("TEST x: FAIL first\nTEST x: PASS then\n").tests["x"].word, "FAIL");
    }

    #[test]
    fn a_panic_is_trouble() {
        assert!(parse("(XEN) Panic on CPU 0:\n").trouble.is_some());
    }
}
