//! Compares the constants of this crate with the C ones, in both directions.

use std::collections::BTreeSet;

use abi::{Errno, layout::HEADERS};

use crate::{
    c_program::{self, Macro},
    c_types::Types,
    hand_written, left_out,
    releases::{RELEASES, Release},
};

/// A constant that this crate states.
pub struct Statement {
    /// The C expression, possibly marked for one release.
    pub c_name: String,
    pub place: String,
    pub value: i64,
}

/// Error numbers that never reach a guest, so the public header shows them to Xen only.
const INTERNAL_ERRORS: &[&str] = &["EINTR", "ERESTART"];

/// All of them, whichever list they stand in.
pub fn statements() -> Vec<Statement> {
    let mut all = Vec::new();
    let mut state = |c_name: &str, place: String, value| {
        all.push(Statement { c_name: c_name.to_string(), place, value });
    };
    for header in HEADERS {
        for family in header.families {
            for number in family.numbers {
                let place = format!("abi::{}::{}::{}", header.module, family.name, number.name);
                state(number.c_name, place, number.value);
            }
        }
        for number in header.constants {
            state(number.c_name, format!("abi::{}::{}", header.module, number.name), number.value);
        }
    }
    for number in Errno::NAMED.iter().filter(|number| !INTERNAL_ERRORS.contains(&number.name)) {
        state(number.c_name, format!("abi::errno::Errno::{}", number.name), number.value);
    }
    for (path, c_name, value) in hand_written::CONSTANTS {
        state(c_name, format!("abi::{path}"), *value);
    }
    all
}

/// Whether it is a single name and no expression.
fn is_name(c_name: &str) -> bool {
    c_name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// What all releases' headers know.
pub struct Names {
    pub macros: Vec<Macro>,
    pub types: Types,
}

impl Names {
    fn has(&self, name: &str) -> bool {
        self.types.enumerators.contains_key(name) || self.macros.iter().any(|item| item.name == name)
    }

    fn place(&self, name: &str) -> String {
        let from_macro = || {
            let item = self.macros.iter().find(|item| item.name == name)?;
            Some((item.place.0.clone(), item.place.1 as u64))
        };
        let place = self.types.enumerators.get(name).cloned().or_else(from_macro);
        place.map_or_else(String::new, |(header, line)| format!(" (xen/{header}:{line})"))
    }
}

/// Statements whose value differs from this release's, or which no release has under that name.
pub fn differences(release: Release, names: &Names, newest: &Names) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut compared = Vec::new();
    for statement in statements() {
        let Statement { c_name, place, value } = &statement;
        let Some(name) = release.c_name(c_name) else { continue };
        if name.is_empty() {
            if !left_out::is_listed(left_out::CONSTANTS_OUTSIDE_C, place) {
                wrong
                    .push(format!("{place}: has no C name; give it one, or a reason in left_out::CONSTANTS_OUTSIDE_C"));
            }
        } else if !is_name(name) || names.has(name) {
            compared.push((name.to_string(), place.clone(), *value));
        } else if !newest.has(name) && !left_out::is_listed(left_out::GONE, name) {
            wrong.push(format!("{place}: the headers have no integer `{name}`"));
        }
    }
    let expressions: Vec<String> = compared.iter().map(|(name, _, _)| name.clone()).collect();
    let values = c_program::evaluate(release, "numbers", &expressions);
    for ((name, place, ours), theirs) in compared.iter().zip(values) {
        let changed = release != RELEASES[0] && left_out::is_listed(left_out::CHANGED, name);
        if *ours != theirs && !changed {
            wrong.push(format!("{place}: is {ours}, C's {name}{} is {theirs}", names.place(name)));
        }
    }
    wrong
}

/// Integers of the headers that we neither state nor explain.
pub fn unstated(release: Release, names: &Names) -> Vec<String> {
    let stated: BTreeSet<String> =
        statements().iter().filter_map(|statement| release.c_name(&statement.c_name).map(str::to_string)).collect();
    let from_macros = names.macros.iter().map(|item| (item.name.clone(), item.place.0.clone(), item.place.1 as u64));
    let from_enums = names.types.enumerators.iter().map(|(name, (header, line))| (name.clone(), header.clone(), *line));
    let mut missing: Vec<String> = from_macros
        .chain(from_enums)
        .filter(|(name, header, _)| {
            let explained = |name: &str| stated.contains(name) || left_out::number(header, name);
            // `_FLAG` is the number of `FLAG`'s bit.
            let twin = name.strip_prefix('_').is_some_and(|flag| names.has(flag) && explained(flag));
            !left_out::header(header) && !explained(name) && !twin
        })
        .map(|(name, header, line)| format!("xen/{header}:{line}: {name}"))
        .collect();
    missing.sort();
    missing
}
