//! The test guests: which there are, how each wants to be booted, building them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::hypervisor::Hypervisor;
use crate::places;
use crate::qemu::{Icount, Machine};

/// Which runs a test belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// In `make test`.
    #[default]
    Quick,
    /// Only in `make test-full`.
    Full,
}

/// Where a test makes sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Where {
    /// On both, and the answers are compared.
    #[default]
    Both,
    /// Only on the hypervisor built here.
    Xenolith,
}

/// `tests/NAME/test.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// One line: which behaviour.
    pub about: String,
    /// Number of CPUs.
    #[serde(default = "one")]
    pub cpus: u32,
    /// MiB of memory of the machine.
    #[serde(default = "a_gibibyte")]
    pub memory: u32,
    /// MiB of it for the guest.
    #[serde(default = "an_eighth")]
    pub dom0_memory: u32,
    /// QEMU's CPU model.
    #[serde(default = "milan")]
    pub cpu: String,
    /// Seconds.
    #[serde(default = "a_minute")]
    pub time_limit: u64,
    /// Time is instructions, and so are the figures the guest prints.
    #[serde(default)]
    pub icount: bool,
    /// The guest's command line.
    #[serde(default)]
    pub arguments: String,
    /// The guest's command line in the full run, where it differs.
    #[serde(default)]
    pub full_arguments: Option<String>,
    /// Seconds in the full run, where they differ.
    #[serde(default)]
    pub full_time_limit: Option<u64>,
    /// Further options of the hypervisor.
    #[serde(default)]
    pub options: String,
    /// Devices of the machine, as QEMU's `-device` takes them.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Which runs it belongs to.
    #[serde(default)]
    pub pace: Pace,
    /// Where it makes sense.
    #[serde(default)]
    pub on: Where,
    /// What part of Xen's a figure may be at most, by the figure's name.
    #[serde(default)]
    pub figures_at_most: BTreeMap<String, f64>,
}

const fn one() -> u32 {
    1
}
const fn a_gibibyte() -> u32 {
    1024
}
const fn an_eighth() -> u32 {
    128
}
const fn a_minute() -> u64 {
    60
}
fn milan() -> String {
    "EPYC-Milan".into()
}

/// A test guest.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The folder's and binary's name.
    pub name: String,
    /// How it wants to be booted.
    pub recipe: Recipe,
}

/// All test guests by name.
pub fn all() -> Result<Vec<Guest>> {
    let directory = places::tree().join("compat-tests/guests/tests");
    let mut guests = Vec::new();
    for entry in std::fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        let file = path.join("test.toml");
        if let (Some(name), true) = (path.file_name(), file.exists()) {
            let text = std::fs::read_to_string(&file)?;
            let recipe = toml::from_str(&text).with_context(|| format!("{}", file.display()))?;
            guests.push(Guest { name: name.to_string_lossy().into_owned(), recipe });
        }
    }
    guests.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(guests)
}

/// The guests of these names, or all when there are none.
pub fn named(names: &[String]) -> Result<Vec<Guest>> {
    let guests = all()?;
    if names.is_empty() {
        return Ok(guests);
    }
    for name in names {
        if !guests.iter().any(|guest| guest.name == *name) {
            bail!("there is no test guest `{name}`; `compat-runner list` names them");
        }
    }
    Ok(guests.into_iter().filter(|guest| names.contains(&guest.name)).collect())
}

/// Builds all test guests with Debian's compiler; quick when nothing changed.
pub fn build() -> Result<()> {
    let status = Command::new(places::program("bash")?).arg(places::tree().join("scripts/build-guests.sh")).status()?;
    if !status.success() {
        bail!("the test guests do not build");
    }
    Ok(())
}

impl Guest {
    /// The built image.
    pub fn image(&self) -> Result<PathBuf> {
        let path = places::target().join("guests/x86_64-unknown-none/release").join(&self.name);
        if !path.exists() {
            bail!("{} was not built; is it listed in compat-tests/guests/Cargo.toml?", path.display());
        }
        Ok(path)
    }

    /// The guest's command line at a pace.
    pub fn arguments(&self, pace: Pace) -> &str {
        match (pace, &self.recipe.full_arguments) {
            (Pace::Full, Some(arguments)) => arguments,
            _ => &self.recipe.arguments,
        }
    }

    /// The time limit at a pace.
    pub fn limit(&self, pace: Pace) -> Duration {
        let seconds = match (pace, self.recipe.full_time_limit) {
            (Pace::Full, Some(limit)) => limit,
            _ => self.recipe.time_limit,
        };
        Duration::from_secs(seconds)
    }

    /// The machine that boots the guest on a hypervisor.
    pub fn machine(&self, hypervisor: Hypervisor, arguments: &str) -> Result<Machine> {
        let recipe = &self.recipe;
        Ok(Machine {
            hypervisor,
            options: format!(
                "com1=115200,8n1 console=com1 dom0_mem={}M loglvl=all guest_loglvl=all {}",
                recipe.dom0_memory, recipe.options
            ),
            modules: vec![(self.image()?, arguments.into())],
            machine: "q35".into(),
            cpu: recipe.cpu.clone(),
            cpus: recipe.cpus,
            memory: recipe.memory,
            icount: if recipe.icount { Icount::On } else { Icount::Off },
            disc: None,
            extra: recipe.devices.iter().flat_map(|device| ["-device".into(), device.clone()]).collect(),
        })
    }
}
