//! Which crate of the workspace may use which: dependencies point downward only.

use toml::{Table, Value};

use crate::lint::{finding::Finding, tree::Tree};

/// State machines and pure logic: they know the interface and the locks, and not each other.
const LEAVES: &[&str] = &[
    "event-channels",
    "grant-tables",
    "pv-mmu",
    "pv-cpu",
    "scheduler",
    "frame-allocator",
    "firmware-tables",
    "device-interrupts",
    "guest-image",
    "boot-options",
];

/// What a crate of the workspace may use of the workspace; none for a crate this file does not know.
fn allowed(package: &str) -> Option<Vec<&'static str>> {
    let floor = ["abi", "locks"];
    Some(match package {
        "abi" | "locks" => Vec::new(),
        leaf if LEAVES.contains(&leaf) => floor.to_vec(),
        "hypercalls" => [&floor, LEAVES].concat(),
        "hv" => [&floor, LEAVES, &["hypercalls"]].concat(),
        "compat-guests" | "compat-runner" | "xtask" => vec!["abi"],
        _ => return None,
    })
}

/// All findings of this kind.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let manifests: Vec<(&str, Table)> = tree
        .files_ending("/Cargo.toml")
        .filter_map(|(path, text)| match text.parse::<Table>() {
            Ok(manifest) => Some((path, manifest)),
            Err(error) => {
                findings.push(Finding::file(path, format!("cannot be read: {error}")));
                None
            }
        })
        .collect();
    let packages: Vec<&str> = manifests.iter().filter_map(|(_, manifest)| package(manifest)).collect();
    for (path, manifest) in &manifests {
        let Some(name) = package(manifest) else {
            findings.push(Finding::file(path, "names no package"));
            continue;
        };
        let Some(allowed) = allowed(name) else {
            findings.push(Finding::file(path, format!("{name} has no place in the graph: give it one in xtask")));
            continue;
        };
        for dependency in dependencies(manifest) {
            if packages.contains(&dependency.as_str()) && !allowed.contains(&dependency.as_str()) {
                findings.push(Finding::file(path, format!("{name} may not depend on {dependency}")));
            }
        }
    }
    findings
}

fn package(manifest: &Table) -> Option<&str> {
    manifest.get("package")?.get("name")?.as_str()
}

/// Names of the packages a manifest depends on in any way.
fn dependencies(manifest: &Table) -> Vec<String> {
    let mut tables = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(Value::as_table) {
        tables.extend(targets.values().filter_map(Value::as_table));
    }
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let sections = tables.iter().flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()));
    sections.flatten().map(|(key, value)| renamed(value).unwrap_or(key).to_string()).collect()
}

/// The package behind a dependency that has another name here.
fn renamed(dependency: &Value) -> Option<&str> {
    dependency.get("package")?.as_str()
}
