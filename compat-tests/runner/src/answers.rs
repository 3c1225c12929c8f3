//! Xen's recorded answers, kept in the cache under a key made of everything that went into the run.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::hypervisor::{file_hash, hex};
use crate::places;
use crate::qemu::Machine;
use crate::report::Report;

/// A recorded run.
#[derive(Serialize, Deserialize)]
pub struct Answer {
    /// What the log said.
    pub report: Report,
    /// What was wrong with it by itself.
    pub complaints: Vec<String>,
}

/// The key: hypervisor image, modules, command lines and machine.
pub fn key(machine: &Machine) -> Result<String> {
    let mut all = Sha256::new();
    all.update(file_hash(&machine.hypervisor.image()?)?);
    for (file, line) in &machine.modules {
        all.update(file_hash(file)?);
        all.update(line);
    }
    let (options, kind, cpu) = (&machine.options, &machine.machine, &machine.cpu);
    let (cpus, memory, icount, extra) = (machine.cpus, machine.memory, machine.icount, &machine.extra);
    // What the machine is made of counts too; change this number with `qemu.rs`.
    all.update("machine 2");
    all.update(format!("{options}|{kind}|{cpu}|{cpus}|{memory}|{icount:?}|{extra:?}"));
    Ok(hex(&all.finalize()))
}

fn file(key: &str) -> Result<PathBuf> {
    Ok(places::cache()?.join("answers").join(format!("{key}.json")))
}

/// The recorded run for a key, if there is one.
pub fn load(key: &str) -> Result<Option<Answer>> {
    let Ok(text) = std::fs::read_to_string(file(key)?) else { return Ok(None) };
    // A file of an older form is as good as none.
    Ok(serde_json::from_str(&text).ok())
}

/// Records a run.
pub fn store(key: &str, answer: &Answer) -> Result<()> {
    let path = file(key)?;
    std::fs::create_dir_all(path.parent().context("cache path")?)?;
    std::fs::write(&path, serde_json::to_string_pretty(answer)?).with_context(|| format!("{}", path.display()))
}
