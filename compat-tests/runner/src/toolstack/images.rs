//! The files that the dom0 boots from: its root (made by set-up), the guests' disk and the initial RAM disk (made here).
//!
//! Each lies in the cache under a name with a hash of what it was made from, so a change makes a new one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::scenario::Scenario;
use crate::hypervisor::hex;
use crate::places;

fn recipes() -> PathBuf {
    places::tree().join("qubes-integration/toolstack")
}

/// The first half of the hash of some files' contents, in hexadecimal.
fn hash_of(files: &[PathBuf]) -> Result<String> {
    let mut all = Sha256::new();
    for file in files {
        all.update(std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    Ok(hex(&all.finalize()).chars().take(16).collect())
}

/// Runs a recipe script unless its output exists.
fn make(script: &str, output: &Path, arguments: &[PathBuf]) -> Result<()> {
    if output.exists() {
        return Ok(());
    }
    let mut command = Command::new(places::program("bash")?);
    command.arg(recipes().join(script)).arg(output).args(arguments);
    if !command.status()?.success() {
        bail!("{script} cannot make {}", output.display());
    }
    Ok(())
}

/// Dom0's root for a version of the tools. Set-up names it the same way (scripts/setup.sh).
pub fn root(tools: &str) -> Result<PathBuf> {
    let packages = recipes().join(format!("packages-{tools}"));
    if !packages.exists() {
        bail!("there is no dom0 with tools {tools}; qubes-integration/toolstack has packages-VERSION files");
    }
    let hash = hash_of(&[packages, recipes().join("make-root.sh")])?;
    let root = places::cache()?.join(format!("roots/dom0-{tools}-{hash}.img"));
    if !root.exists() {
        bail!("the root of a dom0 with tools {tools} is missing; run `TOOLS={tools} make setup`");
    }
    Ok(root)
}

fn kernels() -> Result<Vec<PathBuf>> {
    Ok(vec![places::cached("linux-6.1")?, places::cached("linux-6.12")?])
}

/// The read-only disk of guest kernels and images.
pub fn guests() -> Result<PathBuf> {
    let kernels = kernels()?;
    let mut sources: Vec<PathBuf> = kernels.iter().map(|kernel| kernel.join(".package")).collect();
    sources.extend(["make-guests.sh", "../initrd.sh", "guest/init", "guest/backend"].map(|name| recipes().join(name)));
    let output = places::cache()?.join(format!("images/guests-{}.img", hash_of(&sources)?));
    make("make-guests.sh", &output, &kernels)?;
    Ok(output)
}

/// The initial RAM disk that carries these scenarios.
pub fn initial(kernel: &str, scenarios: &[Scenario]) -> Result<PathBuf> {
    let scripts = places::tree().join("qubes-integration/scenarios");
    let mut carried = Vec::new();
    for entry in std::fs::read_dir(recipes().join("dom0"))? {
        carried.push(entry?.path());
    }
    carried.sort();
    carried.extend(scenarios.iter().map(|scenario| scripts.join(format!("{}.sh", scenario.name))));
    let directory = places::cached(&format!("linux-{kernel}"))?;
    let mut sources = vec![directory.join(".package")];
    sources.extend(["make-boot.sh", "../initrd.sh", "modules", "boot/init"].map(|name| recipes().join(name)));
    sources.extend(carried.iter().cloned());
    let output = places::cache()?.join(format!("images/toolstack-{kernel}-{}.gz", hash_of(&sources)?));
    let mut arguments = vec![directory];
    arguments.extend(carried);
    make("make-boot.sh", &output, &arguments)?;
    Ok(output)
}
