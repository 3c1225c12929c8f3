//! Where unsafe code and assembly may be, and what must be said about it.

use crate::lint::{
    finding::Finding,
    source::{Source, words},
    tree::Tree,
};

/// Files that may hold unsafe code or assembly, one `path reason` a line.
pub const LIST: &str = "docs/unsafe-files.txt";

/// The privileged image, whose unsafe files are listed one by one.
const LISTED: &str = "hv/";
/// The test guests, which are not part of the hypervisor.
const EXEMPT: &str = "compat-tests/guests/";

/// All findings of this kind.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let list = tree.exceptions(LIST);
    for (path, text) in tree.files_ending(".rs").filter(|(path, _)| !path.starts_with(EXEMPT)) {
        let source = Source::parse(text);
        if path.starts_with(LISTED) {
            check_safety_comments(path, &source, &mut findings);
        }
        let dangerous = (0..source.code.len()).find(|index| danger(&source, *index).is_some());
        let listed = path.starts_with(LISTED) && list.iter().any(|(listed, _)| *listed == path);
        match dangerous {
            Some(index) if !listed => {
                let what = danger(&source, index).unwrap_or("unsafe code");
                let advice = if path.starts_with(LISTED) {
                    format!("{what} in a file that {LIST} does not list")
                } else {
                    format!("{what} outside hv")
                };
                findings.push(Finding::line(path, index, advice));
            }
            None if listed => findings.push(Finding::file(path, format!("is in {LIST} and has no unsafe code"))),
            _ => {}
        }
    }
    check_assembly_files(tree, &list, &mut findings);
    check_list(tree, &list, &mut findings);
    check_crate_roots(tree, &mut findings);
    findings
}

/// Unsafe code or assembly on a line, by name.
fn danger(source: &Source, index: usize) -> Option<&'static str> {
    let line = source.code.get(index)?;
    let macros = [("asm!", "asm!"), ("global_asm!", "global_asm!"), ("naked_asm!", "naked_asm!")];
    let compact: String = line.chars().filter(|character| !character.is_whitespace()).collect();
    if source.has_word(index, "unsafe") {
        return Some("unsafe code");
    }
    if compact.contains("#[naked]") || compact.contains("unsafe(naked)") {
        return Some("a naked function");
    }
    let is_used = |name: &str| {
        let word = name.trim_end_matches('!');
        words(line).any(|found| found == word) && compact.contains(name)
    };
    macros.into_iter().find(|(name, _)| is_used(name)).map(|(_, what)| what)
}

fn check_assembly_files(tree: &Tree, list: &[(&str, &str)], findings: &mut Vec<Finding>) {
    for (path, _) in tree.files_ending(".S").filter(|(path, _)| !path.starts_with(EXEMPT)) {
        if !path.starts_with(LISTED) {
            findings.push(Finding::file(path, "assembly outside hv"));
        } else if !list.iter().any(|(listed, _)| *listed == path) {
            findings.push(Finding::file(path, format!("assembly that {LIST} does not list")));
        }
    }
}

fn check_list(tree: &Tree, list: &[(&str, &str)], findings: &mut Vec<Finding>) {
    for (path, reason) in list {
        if tree.text(path).is_none() {
            findings.push(Finding::file(LIST, format!("lists {path}, which is not there")));
        }
        if reason.is_empty() {
            findings.push(Finding::file(LIST, format!("gives no reason for {path}")));
        }
    }
}

/// Every crate but hv and the test guests forbids unsafe code at each of its roots.
fn check_crate_roots(tree: &Tree, findings: &mut Vec<Finding>) {
    for (manifest, _) in tree.files_ending("/Cargo.toml") {
        let directory = manifest.trim_end_matches("Cargo.toml");
        if directory == LISTED || directory == EXEMPT {
            continue;
        }
        let roots = tree.files_ending(".rs").filter(|(path, _)| {
            path.strip_prefix(directory)
                .is_some_and(|rest| rest == "src/lib.rs" || rest == "src/main.rs" || rest.starts_with("src/bin/"))
        });
        for (path, text) in roots {
            if !Source::parse(text).code.iter().any(|line| line.trim() == "#![forbid(unsafe_code)]") {
                findings.push(Finding::file(path, "the root of a crate outside hv must have #![forbid(unsafe_code)]"));
            }
        }
    }
}

/// Every unsafe block and unsafe impl has a SAFETY comment above it (or on its line).
fn check_safety_comments(path: &str, source: &Source, findings: &mut Vec<Finding>) {
    for index in 0..source.code.len() {
        if opens_unsafe(source, index) && !has_safety_comment(source, index) {
            findings.push(Finding::line(path, index, "unsafe without a SAFETY comment that says why it is sound"));
        }
    }
}

fn opens_unsafe(source: &Source, index: usize) -> bool {
    let Some(line) = source.code.get(index) else {
        return false;
    };
    let compact: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let at_end =
        compact.ends_with("unsafe") && source.code.get(index + 1).is_some_and(|next| next.trim().starts_with('{'));
    source.has_word(index, "unsafe")
        && (compact.contains("unsafe {") || compact.contains("unsafe impl") || compact.contains("unsafe{") || at_end)
}

fn has_safety_comment(source: &Source, index: usize) -> bool {
    let says_safety = |index: usize| source.comments.get(index).is_some_and(|line| line.contains("SAFETY:"));
    if says_safety(index) {
        return true;
    }
    for above in (0..index).rev() {
        if says_safety(above) {
            return true;
        }
        let (code, comment) = match (source.code.get(above), source.comments.get(above)) {
            (Some(code), Some(comment)) => (code.trim(), comment.trim()),
            _ => return false,
        };
        let is_comment = code.is_empty() && !comment.is_empty();
        let is_attribute = code.starts_with("#[");
        let continues = !code.is_empty() && !code.ends_with([';', '{', '}', ',']);
        if !is_comment && !is_attribute && !continues {
            return false;
        }
    }
    false
}
