//! Where the project lies.

use std::path::PathBuf;

/// The directory of the workspace, above this crate's.
pub fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}
