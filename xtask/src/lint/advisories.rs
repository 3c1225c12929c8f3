//! `compat-tests/xsa-map.toml` says of every advisory of `compat-tests/advisories.tsv` what keeps it from being ours, and
//! points at things that are there.

use toml::{Table, Value};

use crate::lint::{finding::Finding, source::Source, tree::Tree};

/// The advisories: number, area, cause, title, separated by tabs.
pub const LIST: &str = "compat-tests/advisories.tsv";
/// What answers each of them.
pub const MAP: &str = "compat-tests/xsa-map.toml";
/// Advisories about the x86 hypervisor itself until July 2026. Who adds one raises this.
pub const COUNT: usize = 277;

const GUESTS: &str = "compat-tests/guests/tests";

/// All findings of this kind.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(list) = tree.text(LIST) else { return Vec::new() };
    let mut findings = Vec::new();
    let numbers = numbers(list, &mut findings);
    if numbers.len() != COUNT {
        findings.push(Finding::file(LIST, format!("has {} advisories, not {COUNT}", numbers.len())));
    }
    let map = match tree.text(MAP).unwrap_or("").parse::<Table>() {
        Ok(map) => map,
        Err(error) => return vec![Finding::file(MAP, error.to_string())],
    };
    let (features, rows) = (table(&map, "features"), table(&map, "advisories"));
    for (name, feature) in &features {
        check_feature(tree, name, feature, &mut findings);
    }
    for number in numbers.iter().filter(|number| !rows.contains_key(number.as_str())) {
        findings.push(Finding::file(MAP, format!("has no row for advisory {number}")));
    }
    for (number, row) in &rows {
        if !numbers.contains(number) {
            findings.push(Finding::file(MAP, format!("{number} is not in {LIST}")));
        }
        for complaint in complaints(tree, &features, row) {
            findings.push(Finding::file(MAP, format!("{number}: {complaint}")));
        }
    }
    findings
}

fn table(map: &Table, name: &str) -> Table {
    map.get(name).and_then(Value::as_table).cloned().unwrap_or_default()
}

/// The numbers of the list, each once.
fn numbers(list: &str, findings: &mut Vec<Finding>) -> Vec<String> {
    let mut numbers: Vec<String> = Vec::new();
    for (index, line) in list.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split('\t').collect();
        let number = cells.first().copied().unwrap_or_default().to_string();
        if cells.len() != 4 || cells.contains(&"") || number.parse::<u32>().is_err() || numbers.contains(&number) {
            findings.push(Finding::line(LIST, index, "is not `number, area, cause, title` of a new advisory"));
        } else {
            numbers.push(number);
        }
    }
    numbers
}

/// A feature's absence stands in a text that will change when it comes.
fn check_feature(tree: &Tree, name: &str, feature: &Value, findings: &mut Vec<Finding>) {
    let text = |key: &str| feature.get(key).and_then(Value::as_str).unwrap_or_default();
    let (file, seen) = (text("file"), text("seen"));
    if text("what").is_empty() || seen.is_empty() {
        findings.push(Finding::file(MAP, format!("feature {name} lacks `what` or `seen`")));
    } else if !tree.text(file).is_some_and(|content| content.contains(seen)) {
        findings.push(Finding::file(MAP, format!("feature {name}: {file} does not say `{seen}`; has it come?")));
    }
}

/// What is wrong with one row.
fn complaints(tree: &Tree, features: &Table, row: &Value) -> Vec<String> {
    let Some(entry) = row.as_table().filter(|entry| entry.len() == 1) else {
        return vec!["wants exactly one of test, type, absent, open".to_string()];
    };
    let mut complaints = Vec::new();
    for (kind, value) in entry {
        let names: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        match (kind.as_str(), value.as_str()) {
            ("absent", Some(feature)) if features.contains_key(feature) => (),
            ("absent", Some(feature)) => complaints.push(format!("{feature} is none of [features]")),
            ("open", Some(why)) if !why.is_empty() => (),
            ("test" | "type", None) if names.is_empty() => complaints.push(format!("its `{kind}` names nothing")),
            ("test", None) => {
                complaints.extend(names.iter().filter(|name| !is_test(tree, name)).map(|name| missing(name)))
            }
            ("type", None) => {
                complaints.extend(names.iter().filter(|name| !is_item(tree, name)).map(|name| missing(name)))
            }
            _ => complaints.push(format!("`{kind}` is no answer of this form")),
        }
    }
    complaints
}

fn missing(name: &str) -> String {
    format!("there is no {name}")
}

/// `guest:FOLDER`, `guest:FOLDER/check`, `path::function` with the test attribute, or the path of a file.
fn is_test(tree: &Tree, name: &str) -> bool {
    if let Some(guest) = name.strip_prefix("guest:") {
        return is_guest_test(tree, guest);
    }
    let Some((path, function)) = name.split_once("::") else { return tree.text(name).is_some() };
    let Some(text) = tree.text(path) else { return false };
    let code = Source::parse(text).code;
    code.iter().enumerate().any(|(index, line)| {
        let above = code.iter().take(index).rev().map(|line| line.trim());
        let mut attributes = above.take_while(|line| line.is_empty() || line.starts_with("#["));
        line.contains(&format!("fn {function}(")) && attributes.any(|line| line == "#[test]")
    })
}

fn is_guest_test(tree: &Tree, name: &str) -> bool {
    let (guest, check) = name.split_once('/').map_or((name, None), |(guest, check)| (guest, Some(check)));
    let sources = format!("{GUESTS}/{guest}/");
    if tree.text(&format!("{sources}test.toml")).is_none() {
        return false;
    }
    let named =
        |text: &str, check: &str| text.contains(&format!("\"{check}\"")) || text.contains(&format!("{check}: "));
    check.is_none_or(|check| {
        tree.files_ending(".rs").any(|(path, text)| path.starts_with(&sources) && named(text, check))
    })
}

/// `path::name` of something defined in that file.
fn is_item(tree: &Tree, name: &str) -> bool {
    const KINDS: &[&str] = &["struct", "enum", "trait", "type", "fn", "const", "macro_rules!"];
    let Some((path, item)) = name.split_once("::") else { return false };
    let Some(text) = tree.text(path) else { return false };
    Source::parse(text).code.iter().any(|line| {
        let words: Vec<&str> =
            line.split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '!').collect();
        words.windows(2).any(|pair| matches!(pair, [kind, name] if KINDS.contains(kind) && *name == item))
    })
}
