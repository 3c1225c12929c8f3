//! The shape of files: a head that says what it is, no logic in the files that only list others, and a size one can read.

use crate::lint::{
    finding::Finding,
    source::{Source, words},
    tree::Tree,
};

/// Files above the budget, one `path reason` a line.
pub const LIST: &str = "docs/size-exceptions.txt";

/// Lines of a source file at most.
pub const LINES: usize = 500;

/// All findings of this kind.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let exceptions = tree.exceptions(LIST);
    for (path, text) in tree.files() {
        let is_rust = path.ends_with(".rs");
        let is_assembly = path.ends_with(".S");
        if is_rust || is_assembly {
            check_head(path, text, &mut findings);
        }
        if is_rust && is_list_of_modules(path) {
            check_no_functions(path, text, &mut findings);
        }
        if is_rust || is_assembly || path.ends_with(".py") || path.ends_with(".sh") {
            check_size(path, text, &exceptions, &mut findings);
        }
    }
    for (path, reason) in exceptions {
        if tree.text(path).is_none() {
            findings.push(Finding::file(LIST, format!("lists {path}, which is not there")));
        }
        if reason.is_empty() {
            findings.push(Finding::file(LIST, format!("gives no reason for {path}")));
        }
    }
    findings
}

fn check_head(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let first = text.lines().next().unwrap_or("");
    let said = if path.ends_with(".rs") {
        first.strip_prefix("//!")
    } else {
        ["//", "/*", "#"].iter().find_map(|start| first.strip_prefix(start)).filter(|_| !first.starts_with("#include"))
    };
    if said.is_none_or(|said| said.trim().is_empty()) {
        let start = if path.ends_with(".rs") { "`//!`" } else { "a comment" };
        findings.push(Finding::line(path, 0, format!("the file must start with {start} saying what it is")));
    }
}

fn is_list_of_modules(path: &str) -> bool {
    path.contains("src/") && (path.ends_with("/lib.rs") || path.ends_with("/mod.rs"))
}

fn check_no_functions(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let source = Source::parse(text);
    let mut macro_depth = None;
    for (index, line) in source.code.iter().enumerate() {
        if line.contains("macro_rules!") {
            macro_depth = Some(0);
        }
        if let Some(depth) = macro_depth {
            let depth = depth + line.matches('{').count() as isize - line.matches('}').count() as isize;
            macro_depth = (depth > 0).then_some(depth);
            continue;
        }
        let mut found = words(line).skip_while(|word| *word != "fn").skip(1);
        if found.next().is_some() {
            findings.push(Finding::line(path, index, "a function where only modules are listed: give it a file"));
        }
    }
}

fn check_size(path: &str, text: &str, exceptions: &[(&str, &str)], findings: &mut Vec<Finding>) {
    let lines = text.lines().count();
    let excepted = exceptions.iter().any(|(listed, _)| *listed == path);
    if lines > LINES && !excepted {
        findings
            .push(Finding::file(path, format!("{lines} lines, the budget is {LINES}: split it, or say why in {LIST}")));
    } else if lines <= LINES && excepted {
        findings.push(Finding::file(path, format!("is in {LIST} and fits the budget")));
    }
}
