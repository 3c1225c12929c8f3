//! The states of operations, as the code reports them.

use std::{collections::BTreeMap, path::Path, process::Command};

use abi::operations::CALLS;
use anyhow::{Context, Result, bail};

use crate::lint::source::Source;

/// The program that prints the states, an example of the crate `hypercalls`.
const REPORTER: &str = "hypercalls/examples/abi_states.rs";

/// Where a hypercall's number leads to its handler.
const DISPATCHER: &str = "hypercalls/src/dispatch.rs";

/// What an operation does here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// What Xen does; the text, if there is any, says what is conservative about it.
    Works(String),
    /// What a Xen built or booted without the feature does; the text says which.
    Absent(String),
    /// Not yet; the text says what is left.
    Missing(String),
}

/// A hypercall and, if it has any, its sub-operation.
pub type Key = (u32, Option<u32>);

/// States by operation.
pub type States = BTreeMap<Key, State>;

/// Asks the code. Without a reporter nothing is claimed.
pub fn report(root: &Path) -> Result<States> {
    if !root.join(REPORTER).exists() {
        return Ok(States::new());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--package", "hypercalls", "--example", "abi_states"])
        .current_dir(root)
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!("{REPORTER} fails:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut states = parse(&String::from_utf8(output.stdout)?)?;
    let dispatcher = std::fs::read_to_string(root.join(DISPATCHER)).context(DISPATCHER)?;
    distrust_unrouted(&mut states, &Source::parse(&dispatcher));
    Ok(states)
}

/// A handler that no call number leads to works for nobody: its operations are missing, whatever their rows say. What
/// is absent needs no handler.
pub fn distrust_unrouted(states: &mut States, dispatcher: &Source) {
    let routed = |call: u32| {
        let name = CALLS.iter().find(|known| known.number == call).map_or("", |known| known.name);
        let lines = 0..dispatcher.code.len();
        lines.into_iter().any(|line| dispatcher.has_word(line, "Call") && dispatcher.has_word(line, name))
    };
    for ((call, _), state) in states.iter_mut() {
        if matches!(state, State::Works(_)) && !routed(*call) {
            *state = State::Missing("the dispatcher does not lead to it".to_string());
        }
    }
}

/// Reads lines `CALL OPERATION STATE TEXT`: the operation is `-` for the hypercall itself, the state one of `works`,
/// `absent` and `missing`. Errors: anything else, and an operation that is reported twice.
pub fn parse(text: &str) -> Result<States> {
    let mut states = States::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some(call), Some(operation), Some(state)) = (words.next(), words.next(), words.next()) else {
            bail!("no state in {line:?}");
        };
        let why = words.next().unwrap_or("").to_string();
        let operation =
            if operation == "-" { None } else { Some(operation.parse().with_context(|| line.to_string())?) };
        let key = (call.parse().with_context(|| line.to_string())?, operation);
        let state = match state {
            "works" => State::Works(why),
            "absent" => State::Absent(why),
            "missing" => State::Missing(why),
            other => bail!("unknown state {other:?}"),
        };
        if states.insert(key, state).is_some() {
            bail!("two states for {line:?}");
        }
    }
    Ok(states)
}
