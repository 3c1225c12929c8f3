//! Where the project lies.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The directory of the workspace, above this crate's. Asked of cargo when the program runs: a target directory that
/// several checkouts share would otherwise name the wrong one. Errors: if cargo did not start the program.
pub fn root() -> Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("start this with `cargo run -p xtask`")?;
    let mut root = PathBuf::from(manifest);
    root.pop();
    Ok(root)
}
