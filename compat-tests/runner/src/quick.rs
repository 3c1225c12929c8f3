//! What `make test` leaves out and says so: `compat-tests/quick.toml`. `make test-full` leaves nothing out.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::places;

/// One thing that is left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// The test guest, or the boot of Linux by the name it has in the report.
    pub guest: String,
    /// What is missing.
    pub reason: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclusions {
    #[serde(default)]
    exclude: Vec<Exclusion>,
}

/// Reads the list; each entry must say why.
pub fn exclusions() -> Result<Vec<Exclusion>> {
    let path = places::tree().join("compat-tests/quick.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let list: Exclusions = toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
    for exclusion in &list.exclude {
        anyhow::ensure!(!exclusion.reason.trim().is_empty(), "{} has no reason", exclusion.guest);
    }
    Ok(list.exclude)
}

/// Prints what is left out, so that nobody takes it for tested.
pub fn announce() -> Result<()> {
    for Exclusion { guest, reason } in exclusions()? {
        println!("MISSING {guest}: {reason}");
    }
    Ok(())
}
