//! Scenarios: shell scripts of `qubes-integration/scenarios` whose lines `#: key = value` say how they want to be booted.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::guest::Pace;
use crate::places;

/// Which of Debian's two implementations of xenstored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// `xenstored`, in C.
    #[default]
    C,
    /// `oxenstored`, in OCaml.
    Ocaml,
}

impl Store {
    /// The word on dom0's command line.
    pub const fn word(self) -> &'static str {
        match self {
            Store::C => "c",
            Store::Ocaml => "ocaml",
        }
    }
}

/// The lines `#: key = value` of a scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// One line: what a user does and what should come of it.
    pub about: String,
    /// Which runs it belongs to.
    #[serde(default = "full")]
    pub pace: Pace,
    /// Seconds that it may take after the daemons are up.
    #[serde(default = "two_minutes")]
    pub limit: u64,
    /// CPUs of the machine.
    #[serde(default = "one")]
    pub cpus: u32,
    /// QEMU's CPU model, where it has to be another than the run's.
    pub cpu: Option<String>,
    /// MiB of memory of the machine.
    #[serde(default = "two_gibibytes")]
    pub memory: u32,
    /// MiB of it for dom0.
    #[serde(default = "for_dom0")]
    pub dom0_memory: u32,
    /// Whether it runs after all others of its boot: it makes more domains on one hypervisor than on the other, so that
    /// guests have other numbers after it.
    #[serde(default)]
    pub last: bool,
    /// Whether the machine's clock ticks once an instruction, for speeds that do not depend on who else uses the host.
    #[serde(default)]
    pub counted: bool,
    /// Further options of the hypervisor.
    #[serde(default)]
    pub options: String,
    /// Which xenstored.
    #[serde(default)]
    pub store: Store,
    /// Kernels for guests besides 6.1 and 6.12, as set-up's GUEST_KERNELS names them.
    #[serde(default)]
    pub kernels: Vec<String>,
    /// What the hypervisor has to say before it resets the machine, of a scenario that ends so and not by power-off.
    pub reset_with: Option<String>,
}

const fn full() -> Pace {
    Pace::Full
}
const fn two_minutes() -> u64 {
    120
}
const fn one() -> u32 {
    1
}
const fn two_gibibytes() -> u32 {
    2048
}
const fn for_dom0() -> u32 {
    768
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's name without `.sh`.
    pub name: String,
    /// How it wants to be booted.
    pub recipe: Recipe,
    /// The script.
    pub script: PathBuf,
}

impl Scenario {
    /// Whether two scenarios can share a boot.
    pub fn shares_boot_with(&self, other: &Scenario) -> bool {
        let machine = |scenario: &Scenario| {
            let recipe = &scenario.recipe;
            let sizes = (recipe.cpus, recipe.cpu.clone(), recipe.memory, recipe.dom0_memory);
            (
                sizes,
                recipe.counted,
                recipe.options.clone(),
                recipe.store,
                recipe.kernels.clone(),
                recipe.reset_with.clone(),
            )
        };
        machine(self) == machine(other)
    }
}

/// What the lines `#: key = value` of a script say.
pub fn recipe<T: DeserializeOwned>(text: &str) -> Result<T> {
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#: ")).collect();
    Ok(toml::from_str(&lines.join("\n"))?)
}

/// The machine for a user who types: one without scenarios.
pub fn for_a_shell() -> Result<Recipe> {
    recipe("#: about = \"a shell\"")
}

/// All scenarios by name.
pub fn all() -> Result<Vec<Scenario>> {
    let directory = places::tree().join("qubes-integration/scenarios");
    let mut scenarios = Vec::new();
    for (name, script) in scripts(&directory)? {
        let recipe = recipe(&std::fs::read_to_string(&script)?).with_context(|| format!("{}", script.display()))?;
        scenarios.push(Scenario { name, recipe, script });
    }
    Ok(scenarios)
}

/// The shell scripts of a directory, by name.
pub fn scripts(directory: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut scripts = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        if let (Some(stem), Some("sh")) = (path.file_stem(), path.extension().and_then(|end| end.to_str())) {
            scripts.push((stem.to_string_lossy().into_owned(), path));
        }
    }
    scripts.sort();
    Ok(scripts)
}

/// The scenarios of these names in this order, or all when there are none.
pub fn named(names: &[String]) -> Result<Vec<Scenario>> {
    let scenarios = all()?;
    if names.is_empty() {
        return Ok(scenarios);
    }
    let find = |name: &String| match scenarios.iter().find(|scenario| scenario.name == *name) {
        Some(found) => Ok(found.clone()),
        None => bail!("there is no scenario `{name}`; `compat-runner toolstack --list` names them"),
    };
    names.iter().map(find).collect()
}

/// The scenarios of `make test` or `make test-full`.
pub fn of_pace(pace: Pace) -> Result<Vec<Scenario>> {
    let belongs = |scenario: &Scenario| pace == Pace::Full || scenario.recipe.pace == Pace::Quick;
    Ok(all()?.into_iter().filter(belongs).collect())
}

#[cfg(test)]
mod tests {
    use super::{Recipe, Store, all, recipe};

    #[test]
    fn every_scenario_has_a_recipe() {
        assert!(!all().unwrap().is_empty());
    }

    #[test]
    fn a_recipe_is_read_from_its_lines() {
        let recipe: Recipe =
            recipe("#: about = \"x\"\n# a remark\n#: store = \"ocaml\"\nxl list\n#: cpus = 4\n").unwrap();
        assert_eq!((recipe.about.as_str(), recipe.store, recipe.cpus, recipe.limit), ("x", Store::Ocaml, 4, 120));
    }

    #[test]
    fn a_mistyped_key_is_refused() {
        assert!(recipe::<Recipe>("#: about = \"x\"\n#: cpu = 4\n").is_err());
    }
}
