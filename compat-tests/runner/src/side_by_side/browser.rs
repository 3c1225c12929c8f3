//! Rendering the page in headless Chromium: does everything on it have a size, and what does it look like.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::places;

/// Width of the window, and its height while nothing is known of the page's.
const WIDTH: u32 = 1280;
const HEIGHT: u32 = 1000;

fn chromium(page: &Path, height: u32, argument: &str) -> Result<(String, String)> {
    let program = places::program("chromium").map_err(|_| {
        anyhow::anyhow!("chromium is not installed, so the page cannot be checked; `apt-get install chromium`")
    })?;
    let profile = std::env::temp_dir().join(format!("compare-{}", std::process::id()));
    let output = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"])
        .arg(format!("--window-size={WIDTH},{height}"))
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(argument)
        .arg(format!("file://{}", page.display()))
        .output()
        .context("cannot start chromium")?;
    let _ = std::fs::remove_dir_all(&profile);
    ensure!(output.status.success(), "chromium ended with {}", output.status);
    Ok((String::from_utf8_lossy(&output.stdout).into(), String::from_utf8_lossy(&output.stderr).into()))
}

/// Checks a page and takes its picture; gives back where that is.
pub fn check(page: &Path) -> Result<PathBuf> {
    let page = page.canonicalize().with_context(|| format!("cannot find {}", page.display()))?;
    let (tree, messages) = chromium(&page, HEIGHT, "--dump-dom")?;
    if let Some(line) = messages.lines().find(|line| line.contains("CONSOLE")) {
        bail!("the page has an error: {line}");
    }
    let Some(found) = attribute(&tree, "data-plots") else { bail!("the page's script did not run") };
    ensure!(found.ends_with(" empty=0") && !found.starts_with("0 "), "plots without a size on the page: {found}");
    let collisions = attribute(&tree, "data-collisions").unwrap_or_default();
    ensure!(collisions.is_empty(), "labels that run into others or out of their plot: {collisions}");
    let picture = page.with_extension("png");
    let height = attribute(&tree, "data-height").and_then(|digits| digits.parse().ok()).unwrap_or(HEIGHT);
    chromium(&page, height, &format!("--screenshot={}", picture.display()))?;
    ensure!(picture.exists(), "chromium took no picture");
    Ok(picture)
}

/// What the page's own script wrote into an attribute; see `style.rs`.
fn attribute<'a>(tree: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tree.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}
