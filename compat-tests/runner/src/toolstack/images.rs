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

/// Those that each guests' disk has, and `further` ones by their names.
fn kernels(further: &[String]) -> Result<Vec<PathBuf>> {
    let mut kernels = vec![places::cached("linux-6.1")?, places::cached("linux-6.12")?];
    for name in further {
        let kernel = places::cache()?.join(format!("linux-{name}"));
        if !kernel.join("modules").exists() {
            bail!("the kernel {name} for guests is missing; run `GUEST_KERNELS={name} make setup`");
        }
        kernels.push(kernel);
    }
    Ok(kernels)
}

/// The read-only disk of guest kernels and images; with `further` kernels besides the usual ones.
pub fn guests(further: &[String]) -> Result<PathBuf> {
    let kernels = kernels(further)?;
    let mut sources: Vec<PathBuf> = kernels.iter().map(|kernel| kernel.join(".package")).collect();
    sources.extend(["make-guests.sh", "../initrd.sh", "guest/init", "guest/backend"].map(|name| recipes().join(name)));
    let output = places::cache()?.join(format!("images/guests-{}.img", hash_of(&sources)?));
    make("make-guests.sh", &output, &kernels)?;
    Ok(output)
}

/// What a program of ours is linked with: Debian's static libraries, so that it runs in a guest without any, too.
const LIBRARIES: &[&str] = &["xenvchan", "xengnttab", "xenevtchn", "xenstore", "xentoolcore", "xentoollog", "pthread"];

/// Our own programs that these scripts call, built.
fn programs(scripts: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut wanted = Vec::new();
    for entry in std::fs::read_dir(recipes().join("programs"))? {
        let source = entry?.path();
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut is_called = false;
        for script in scripts {
            is_called |= std::fs::read_to_string(script)?.contains(&name);
        }
        if is_called {
            wanted.push(program(&source, &name)?);
        }
    }
    wanted.sort();
    Ok(wanted)
}

fn program(source: &Path, name: &str) -> Result<PathBuf> {
    let directory = places::cache()?.join(format!("images/program-{}", hash_of(&[source.to_path_buf()])?));
    let output = directory.join(name);
    if output.exists() {
        return Ok(output);
    }
    std::fs::create_dir_all(&directory)?;
    let mut command = Command::new(places::program("gcc")?);
    command.args(["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s", "-o"]).arg(&output).arg(source);
    command.args(LIBRARIES.iter().map(|library| format!("-l{library}")));
    if !command.status()?.success() {
        bail!("gcc cannot make {}", source.display());
    }
    Ok(output)
}

/// The initial RAM disk that carries these scenarios.
pub fn initial(kernel: &str, scenarios: &[Scenario]) -> Result<PathBuf> {
    let mut carried = Vec::new();
    for entry in std::fs::read_dir(recipes().join("dom0"))? {
        carried.push(entry?.path());
    }
    carried.sort();
    let scripts: Vec<PathBuf> = scenarios.iter().map(|scenario| scenario.script.clone()).collect();
    carried.extend(programs(&scripts)?);
    carried.extend(scripts);
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
