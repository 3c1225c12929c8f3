//! The hypervisors that a guest can be booted on.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::places;

/// Which hypervisor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Hypervisor {
    /// Debian's Xen 4.17: its answers are the expected ones.
    Xen,
    /// The Xen 4.20 of a later Debian: a second mark for costs.
    #[value(name = "xen-4.20")]
    Xen420,
    /// The one built from this tree.
    Xenolith,
    /// The same with fail points, for the containment test only.
    #[value(skip)]
    FailPoints,
    /// None: the kernel has the machine to itself.
    #[value(skip)]
    Bare,
}

impl Hypervisor {
    /// Lower-case name, as on the command line and in log names.
    pub const fn name(self) -> &'static str {
        match self {
            Hypervisor::Xen => "xen",
            Hypervisor::Xen420 => "xen-4.20",
            Hypervisor::Xenolith => "xenolith",
            Hypervisor::FailPoints => "xenolith-fail-points",
            Hypervisor::Bare => "bare",
        }
    }

    /// The name as a report has it.
    pub const fn title(self) -> &'static str {
        match self {
            Hypervisor::Xen => "Xen 4.17",
            Hypervisor::Xen420 => "Xen 4.20",
            Hypervisor::Xenolith | Hypervisor::FailPoints => "Xenolith",
            Hypervisor::Bare => "bare QEMU",
        }
    }

    /// Whether it is a Xen, so that what it answers can be recorded and kept.
    pub const fn is_reference(self) -> bool {
        matches!(self, Hypervisor::Xen | Hypervisor::Xen420)
    }

    /// The multiboot1 image that QEMU's `-kernel` takes. `XENOLITH_IMAGE` names another build of ours.
    pub fn image(self) -> Result<PathBuf> {
        match self {
            Hypervisor::Xen => places::cached("xen-4.17/xen.elf"),
            Hypervisor::Xen420 => places::cached("xen-4.20/xen.elf"),
            Hypervisor::Bare => bail!("without a hypervisor there is no image of one"),
            Hypervisor::FailPoints => Ok(places::fail_points_target().join("xenolith.elf")),
            Hypervisor::Xenolith => {
                let path = std::env::var_os("XENOLITH_IMAGE")
                    .map_or_else(|| places::target().join("xenolith.elf"), PathBuf::from);
                if !path.exists() {
                    bail!("{} is missing; run `make build`", path.display());
                }
                Ok(path)
            }
        }
    }
}

/// Which Xen is the mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, clap::ValueEnum)]
pub enum Reference {
    /// Debian 12's.
    #[value(name = "4.17")]
    #[serde(rename = "4.17")]
    Xen417,
    /// The one of the Debian after it.
    #[value(name = "4.20")]
    #[serde(rename = "4.20")]
    Xen420,
}

impl From<Reference> for Hypervisor {
    fn from(reference: Reference) -> Hypervisor {
        match reference {
            Reference::Xen417 => Hypervisor::Xen,
            Reference::Xen420 => Hypervisor::Xen420,
        }
    }
}

/// The SHA-256 of a file, in hexadecimal.
pub fn file_hash(path: &std::path::Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hex(&Sha256::digest(&bytes)))
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
