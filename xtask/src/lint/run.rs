//! Runs all rules over the project.

use std::path::Path;

use anyhow::{Result, bail};

use crate::lint::{advisories, finding::Finding, graph, locking, names, shape, tree::Tree, unsafe_code};

/// Every finding of every rule.
pub fn findings(tree: &Tree) -> Vec<Finding> {
    [
        unsafe_code::check(tree),
        graph::check(tree),
        shape::check(tree),
        names::check(tree),
        locking::check(tree),
        advisories::check(tree),
    ]
    .concat()
}

/// Lints the project under `root` and prints what it finds. Errors: if it finds anything.
pub fn lint(root: &Path) -> Result<()> {
    let findings = findings(&Tree::load(root)?);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} findings"),
    }
}
