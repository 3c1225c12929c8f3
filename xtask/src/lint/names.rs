//! Nothing in the tree names the machine it was written on: no absolute paths of its own, no hosts.
//!
//! The rule has no list of bad names, which would be the names themselves. It knows the paths every Debian system (and
//! every xenstore) has and the hosts of public references; anything else is a finding.

use crate::lint::{finding::Finding, tree::Tree};

/// First components of absolute paths that are the same everywhere.
const COMMON_PATHS: &[&str] = &[
    "usr",
    "etc",
    "dev",
    "proc",
    "sys",
    "boot",
    "bin",
    "sbin",
    "lib",
    "lib64",
    "var",
    "run",
    "tmp",
    "mnt",
    "EFI",
    "efi", // Paths inside xenstore and the hypervisor file system.
    "local",
    "vm",
    "tool",
    "libxl",
    "params",
    "cpupool",
    "buildinfo",
    // A section of linker scripts, and the root of JSON pointers into QEMU messages.
    "DISCARD",
    "data",
];

/// Hosts of specifications, sources and licences that texts may refer to.
const COMMON_HOSTS: &[&str] = &[
    "github.com",
    "docs.rs",
    "crates.io",
    "doc.rust-lang.org",
    "www.rust-lang.org",
    "xenbits.xen.org",
    "xenbits.xenproject.org",
    "xenproject.org",
    "wiki.xenproject.org",
    "www.kernel.org",
    "git.kernel.org",
    "lore.kernel.org",
    "docs.kernel.org",
    "uefi.org",
    "www.gnu.org",
    "www.apache.org",
    "opensource.org",
    "spdx.org",
    "www.intel.com",
    "www.amd.com",
    "www.debian.org",
    "www.qubes-os.org",
];

/// All findings of this kind.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    // An ignore list names paths from the root of the project.
    for (path, text) in tree.files().filter(|(path, _)| !path.ends_with(".gitignore")) {
        for (index, line) in text.lines().enumerate() {
            for component in foreign_paths(line) {
                findings.push(Finding::line(path, index, format!("/{component}/ is a path of one machine")));
            }
            for host in foreign_hosts(line) {
                findings.push(Finding::line(path, index, format!("{host} is no host of public references")));
            }
        }
    }
    findings
}

/// First components of absolute paths on a line that are not common.
fn foreign_paths(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut before, mut before_that) = (' ', ' ');
    for (at, character) in line.char_indices() {
        // A quote after a word closes; what follows it goes on from there (`"$root"/boot`).
        let follows_word = before_that.is_alphanumeric() || before_that == '}';
        let starts = match before {
            '"' | '\'' => !follows_word,
            other => other.is_whitespace() || "`(=:,<>[{".contains(other),
        };
        (before_that, before) = (before, character);
        if character != '/' || !starts {
            continue;
        }
        let rest = line.get(at + 1..).unwrap_or("");
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let length = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let (component, after) = rest.split_at(length);
        let is_path = component.starts_with(|c: char| c.is_ascii_alphabetic()) && after.starts_with('/');
        if is_path && !COMMON_PATHS.contains(&component) {
            found.push(component);
        }
    }
    found
}

/// Hosts of URLs on a line that are not common.
fn foreign_hosts(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for scheme in ["http://", "https://", "ftp://", "rsync://"] {
        for (at, _) in line.match_indices(scheme) {
            let rest = line.get(at + scheme.len()..).unwrap_or("");
            let length =
                rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-.:@[]_".contains(c)).unwrap_or(rest.len());
            let (host, _) = rest.split_at(length);
            let host = host.trim_end_matches(['.', ':']);
            if !host.is_empty() && !COMMON_HOSTS.contains(&host) {
                found.push(host);
            }
        }
    }
    found
}
