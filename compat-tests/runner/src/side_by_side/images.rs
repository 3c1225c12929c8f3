//! Sizes of the hypervisors' images.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::outcome::Image;
use crate::hypervisor::Hypervisor;
use crate::places;

/// Measures an image, plain and compressed the way Debian compresses Xen's.
pub fn measure(hypervisor: Hypervisor) -> Result<Image> {
    let file = hypervisor.image()?;
    let plain = std::fs::metadata(&file).with_context(|| format!("cannot read {}", file.display()))?.len();
    let output = Command::new(places::program("gzip")?).args(["-9", "-n", "-c"]).arg(&file).output()?;
    ensure!(output.status.success(), "gzip cannot read {}", file.display());
    Ok(Image { of: hypervisor.title().into(), plain, compressed: output.stdout.len() as u64 })
}
