//! Where things are: the tree, the build directory, the cache that set-up fills, the kept logs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

/// The root of the source tree.
pub fn tree() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_path_buf()
}

/// The directory that cargo builds into.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tree().join("target"), PathBuf::from)
}

/// The directory that the image with fail points is built into: other flags, other objects.
pub fn fail_points_target() -> PathBuf {
    target().join("fail-points")
}

/// The cache that `make setup` fills.
pub fn cache() -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os("XENOLITH_CACHE") {
        return Ok(directory.into());
    }
    if let Some(directory) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(Path::new(&directory).join("xenolith"));
    }
    let home = std::env::var_os("HOME").context("neither XENOLITH_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/xenolith"))
}

/// A file that set-up puts into the cache.
pub fn cached(name: &str) -> Result<PathBuf> {
    let path = cache()?.join(name);
    if !path.exists() {
        bail!("{} is missing; run `make setup`", path.display());
    }
    Ok(path)
}

/// Where serial logs are kept, one file a run.
pub fn logs() -> Result<PathBuf> {
    let directory = target().join("compat-logs");
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory)
}

/// Finds a program in PATH, or says which package has it.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{name} is not installed; run `make setup`"))
}

/// Oldest major version of QEMU that emulates what a PV dom0 needs: Debian 12's own 7.2 gets SMAP wrong below one.
const EMULATOR_AT_LEAST: u32 = 10;

/// QEMU, once its version was seen to do.
pub fn emulator() -> Result<PathBuf> {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    if let Some(known) = FOUND.get() {
        return Ok(known.clone());
    }
    let path = program("qemu-system-x86_64")?;
    let output =
        Command::new(&path).arg("--version").output().with_context(|| format!("cannot start {}", path.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some(version) = version(&said) else {
        bail!("{} does not tell its version; QEMU {EMULATOR_AT_LEAST} or newer is needed", path.display());
    };
    if version.0 < EMULATOR_AT_LEAST {
        let (major, minor) = version;
        bail!(
            "{} is QEMU {major}.{minor}, and {EMULATOR_AT_LEAST} or newer is needed; `make setup` installs it from backports",
            path.display()
        );
    }
    Ok(FOUND.get_or_init(|| path).clone())
}

/// Major and minor number in what `--version` prints.
fn version(said: &str) -> Option<(u32, u32)> {
    let (_, rest) = said.split_once("version ")?;
    let mut numbers = rest.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn reads_the_emulators_version() {
        assert_eq!(version("QEMU emulator version 10.0.2 (Debian 1:10.0.2)"), Some((10, 0)));
        assert_eq!(version("something else"), None);
        assert_eq!(version("QEMU emulator version x"), None);
    }
}
