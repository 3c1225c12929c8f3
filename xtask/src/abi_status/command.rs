//! Writes the page, or checks that it is what would be written.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::abi_status::{page, states};

/// Where the page lies.
const PAGE: &str = "docs/abi-status.md";

/// Writes the page. Errors: I/O, and a report that does not fit the inventory.
pub fn write(root: &Path) -> Result<()> {
    let page = page::render(&states::report(root)?)?;
    fs::write(root.join(PAGE), page).context(PAGE)
}

/// Compares the page with what would be written. Errors: the first line that differs.
pub fn check(root: &Path) -> Result<()> {
    let wanted = page::render(&states::report(root)?)?;
    let found = fs::read_to_string(root.join(PAGE)).context(PAGE)?;
    if wanted == found {
        return Ok(());
    }
    let (mut wanted, mut found) = (wanted.lines(), found.lines());
    for line in 1.. {
        let (wanted, found) = (wanted.next(), found.next());
        if wanted != found || wanted.is_none() {
            bail!("{PAGE}:{line} is {found:?}, the code says {wanted:?}; run `cargo run -p xtask -- abi-status`");
        }
    }
    Ok(())
}
