//! The releases of Xen whose public headers this crate is compared with.

use std::path::{Path, PathBuf};

/// One set of headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    /// Debian 12's libxen-dev, installed.
    Xen417,
    /// Debian 13's libxen-dev, unpacked into the cache by `scripts/setup.sh`.
    Xen420,
}

/// Oldest first.
pub const RELEASES: [Release; 2] = [Release::Xen417, Release::Xen420];

impl Release {
    /// As a C name is marked that one release alone has (`struct foo @4.20`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Xen417 => "4.17",
            Self::Xen420 => "4.20",
        }
    }

    /// The directory that holds `xen/xen.h`. Panics with what to do when it does not: a comparison that did not happen
    /// is not a success.
    pub fn include(self) -> PathBuf {
        let directory = match self {
            Self::Xen417 => PathBuf::from("/usr/include"),
            Self::Xen420 => cache().join("xen-headers-4.20/usr/include"),
        };
        assert!(
            directory.join("xen/xen.h").exists(),
            "the public headers of Xen {} are not at {}: run `make setup`, which gets them from Debian's libxen-dev",
            self.name(),
            directory.display()
        );
        directory
    }

    /// The C name without its mark, if it is meant for this release.
    pub fn c_name(self, marked: &str) -> Option<&str> {
        match marked.split_once(" @") {
            Some((name, release)) => (release == self.name()).then_some(name),
            None => Some(marked),
        }
    }
}

/// Where `scripts/setup.sh` keeps what it fetched.
fn cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    variable("XENOLITH_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|directory| directory.join("xenolith")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/xenolith")))
        .expect("none of XENOLITH_CACHE, XDG_CACHE_HOME and HOME is set: where is the cache?")
}

/// Path of a header below `xen/`, without the detours of nested includes.
pub fn header_name(include: &Path, path: &str) -> Option<String> {
    let below = path.strip_prefix(include.join("xen").to_str()?)?.trim_start_matches('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in below.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => (),
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
