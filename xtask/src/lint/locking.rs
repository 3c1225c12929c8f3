//! `docs/locking.md` lists exactly the lock levels that the code has, in their order, and the files that make locks of each.

use crate::lint::{finding::Finding, source::Source, tree::Tree};

/// The enum of levels.
pub const LEVELS: &str = "locks/src/level.rs";
/// The page with a table row `| number | `Name` | what it protects | `files` |` for each level.
pub const PAGE: &str = "docs/locking.md";

/// A level as the code or the page has it.
#[derive(Clone, PartialEq, Eq)]
struct Level {
    number: String,
    name: String,
}

/// A row of the page: where it stands, its level, the files it names.
struct Row<'a> {
    index: usize,
    level: Level,
    files: Vec<&'a str>,
}

/// All findings of this kind.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(code) = tree.text(LEVELS) else { return Vec::new() };
    let levels = levels(code);
    let rows = rows(tree.text(PAGE).unwrap_or(""));
    let mut findings = Vec::new();
    for level in levels.iter().filter(|level| !rows.iter().any(|row| row.level == **level)) {
        findings.push(Finding::file(PAGE, format!("has no row for level {} {}", level.number, level.name)));
    }
    let mut expected = levels.iter();
    for row in &rows {
        let Level { number, name } = &row.level;
        if !levels.contains(&row.level) {
            findings.push(Finding::line(PAGE, row.index, format!("{LEVELS} has no level {number} {name}")));
        } else if !expected.any(|level| *level == row.level) {
            findings.push(Finding::line(PAGE, row.index, format!("{name} is not in the order of {LEVELS}")));
        } else {
            check_files(tree, row, &mut findings);
        }
    }
    findings
}

/// The files a row names are those that use its level.
fn check_files(tree: &Tree, row: &Row<'_>, findings: &mut Vec<Finding>) {
    let name = &row.level.name;
    let sources = tree.files_ending(".rs");
    let users: Vec<&str> = sources.filter(|(path, text)| makes_locks(path, text, name)).map(|(path, _)| path).collect();
    for path in users.iter().filter(|path| !row.files.contains(path)) {
        findings.push(Finding::line(PAGE, row.index, format!("{path} uses {name} and is not named here")));
    }
    for path in row.files.iter().filter(|path| !users.contains(path)) {
        findings.push(Finding::line(PAGE, row.index, format!("{path} does not use {name}")));
    }
}

/// Whether a file of the hypervisor names the level in its code.
fn makes_locks(path: &str, text: &str, name: &str) -> bool {
    let counts =
        path.split('/').any(|part| part == "src") && !path.starts_with("locks/") && !path.starts_with("xtask/");
    let wanted = format!("Level::{name}");
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    counts
        && text.contains(&wanted)
        && Source::parse(text).code.iter().any(|line| {
            line.match_indices(&wanted).any(|(at, _)| {
                let (before, rest) = line.split_at(at);
                !before.ends_with(is_name) && !rest.trim_start_matches(&wanted).starts_with(is_name)
            })
        })
}

/// The variants of the enum, `Name = number,` a line.
fn levels(code: &str) -> Vec<Level> {
    let lines = Source::parse(code).code;
    let variant = |line: &String| {
        let (name, number) = line.trim().strip_suffix(',')?.split_once(" = ")?;
        number.parse::<u32>().ok()?;
        Some(Level { number: number.to_string(), name: name.to_string() })
    };
    lines.iter().filter_map(variant).collect()
}

/// The table's rows: those that start with a number.
fn rows(page: &str) -> Vec<Row<'_>> {
    page.lines().enumerate().filter_map(|(index, line)| row(index, line)).collect()
}

fn row(index: usize, line: &str) -> Option<Row<'_>> {
    let cells: Vec<&str> = line.trim().strip_prefix('|')?.split('|').map(str::trim).collect();
    let (number, name, files) = (cells.first()?, cells.get(1)?, cells.get(3)?);
    number.parse::<u32>().ok()?;
    let level = Level { number: (*number).to_string(), name: name.trim_matches('`').to_string() };
    Some(Row { index, level, files: files.split('`').skip(1).step_by(2).collect() })
}
