//! Command line of the chores; see the library for what they do.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::{Result, bail};
use xtask::{abi_status, image, lint, root::root};

const USAGE: &str = "usage: cargo run -p xtask -- lint | abi-status [--check] | image LINKED OUT";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = root()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["image", linked, out] => image::write(linked.as_ref(), out.as_ref()),
        ["lint"] => lint::run::lint(&root),
        ["abi-status"] => abi_status::command::write(&root),
        ["abi-status", "--check"] => abi_status::command::check(&root),
        _ => bail!(USAGE),
    }
}
