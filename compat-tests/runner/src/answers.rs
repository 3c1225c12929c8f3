//! Recorded answers under a key made of everything that went into the run: Xen's, kept in the cache, and for a comparison
//! that was interrupted those of this very build of ours, kept beside its report.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::hypervisor::{Hypervisor, file_hash, hex};
use crate::places;
use crate::qemu::Machine;
use crate::report::Report;
use crate::suite::Recorded;

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

fn file(hypervisor: Hypervisor, key: &str) -> Result<PathBuf> {
    let directory = if hypervisor.is_reference() {
        places::cache()?.join("answers")
    } else {
        places::target().join("compare/answers")
    };
    Ok(directory.join(format!("{key}.json")))
}

/// The recorded run that may stand for one on this hypervisor, if there is one.
pub fn load(hypervisor: Hypervisor, recorded: Recorded, key: &str) -> Result<Option<Answer>> {
    let may_stand = match recorded {
        Recorded::Ignore => false,
        Recorded::Use => hypervisor.is_reference(),
        Recorded::Resume => true,
    };
    if !may_stand {
        return Ok(None);
    }
    let Ok(text) = std::fs::read_to_string(file(hypervisor, key)?) else { return Ok(None) };
    // A file of an older form is as good as none.
    Ok(serde_json::from_str(&text).ok())
}

/// Records a run that came to a verdict; one of ours only to resume, and if nothing was wrong with it.
pub fn store(hypervisor: Hypervisor, recorded: Recorded, key: &str, answer: &Answer) -> Result<()> {
    let is_wanted = hypervisor.is_reference() || recorded == Recorded::Resume && answer.complaints.is_empty();
    if !is_wanted || answer.report.verdict.is_none() {
        return Ok(());
    }
    let path = file(hypervisor, key)?;
    std::fs::create_dir_all(path.parent().context("cache path")?)?;
    std::fs::write(&path, serde_json::to_string_pretty(answer)?).with_context(|| format!("{}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{Answer, load, store};
    use crate::hypervisor::Hypervisor;
    use crate::report::parse;
    use crate::suite::Recorded;

    #[test]
    fn ours_stands_for_a_run_only_to_resume_one_that_went_well() {
        let key = format!("test-{}", std::process::id());
        let answer = |complaints: &[&str]| Answer {
            report: parse("VALUE a=1\nVERDICT SUCCESS\n"),
            complaints: complaints.iter().map(|line| (*line).into()).collect(),
        };
        let kept = |recorded| load(Hypervisor::Xenolith, recorded, &key).unwrap().is_some();
        store(Hypervisor::Xenolith, Recorded::Use, &key, &answer(&[])).unwrap();
        store(Hypervisor::Xenolith, Recorded::Resume, &key, &answer(&["wrong"])).unwrap();
        assert!(!kept(Recorded::Resume));
        store(Hypervisor::Xenolith, Recorded::Resume, &key, &answer(&[])).unwrap();
        assert!(kept(Recorded::Resume) && !kept(Recorded::Use) && !kept(Recorded::Ignore));
        std::fs::remove_file(super::file(Hypervisor::Xenolith, &key).unwrap()).unwrap();
    }
}
