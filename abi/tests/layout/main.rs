//! Compares every struct, constant and error number of this crate with the C headers of Debian's libxen-dev: those of
//! Xen 4.17 and those of 4.20.
//!
//! Our side is what the crate's own lists say (`abi::layout::HEADERS`), and what a Rust parser finds beside them in the
//! sources. The C side is generated programs: types with sizes, offsets, header and line come from the compiler's debug
//! information, numbers from running them. Both directions are checked: what we state must be so in C, field by field,
//! and what C has must be stated or stand in `left_out.rs` with its reason. Without headers or compiler the tests fail:
//! a comparison that did not happen is not a success.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod c_program;
mod c_types;
mod hand_written;
mod left_out;
mod numbers;
mod other_bindings;
mod own_source;
mod releases;
mod structs;

use std::{collections::BTreeSet, path::Path};

use abi::layout::HEADERS;
use numbers::Names;
use own_source::Kind;
use releases::{RELEASES, Release};

fn names(release: Release) -> Names {
    let types = c_types::read(&c_program::with_debug_information(release), &release.include());
    Names { macros: c_program::integer_macros(release), types }
}

fn all_releases() -> [(Release, Names); 2] {
    RELEASES.map(|release| (release, names(release)))
}

/// Fails with the findings, each marked with its release.
fn none(what: &str, findings: Vec<(Release, Vec<String>)>) {
    let lines: Vec<String> = findings
        .iter()
        .flat_map(|(release, lines)| lines.iter().map(move |line| format!("Xen {}: {line}", release.name())))
        .collect();
    assert!(lines.is_empty(), "{} {what}:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn structs() {
    let releases = all_releases();
    for (release, names) in &releases {
        assert!(names.types.by_name.len() > 500, "Xen {}: the debug information was not understood", release.name());
    }
    let differences = releases.iter().map(|(release, names)| (*release, structs::differences(*release, &names.types)));
    none("structs or fields differ from the C headers", differences.collect());
    let unstated = releases.iter().map(|(release, names)| (*release, structs::unstated(*release, &names.types)));
    none("structs of the C headers are neither in abi nor in left_out.rs", unstated.collect());
}

#[test]
fn numbers() {
    let releases = all_releases();
    let [_, (_, newest)] = &releases;
    let statements = numbers::statements().len();
    assert!(statements > 700, "only {statements} statements: the lists of the crate have holes");
    let differences = releases.iter().map(|(release, names)| (*release, numbers::differences(*release, names, newest)));
    none("numbers differ from the C headers", differences.collect());
    let unstated = releases.iter().map(|(release, names)| (*release, numbers::unstated(*release, names)));
    none("numbers of the C headers are neither in abi nor in left_out.rs", unstated.collect());
    exceptions_are_alive(&releases);
}

/// An exception that matches nothing hides a mistake in its spelling.
fn exceptions_are_alive(releases: &[(Release, Names)]) {
    let (mut numbers, mut types) = (Vec::new(), Vec::new());
    for (_, names) in releases {
        numbers.extend(names.macros.iter().map(|item| (item.place.0.clone(), item.name.clone())));
        numbers.extend(names.types.enumerators.iter().map(|(name, place)| (place.0.clone(), name.clone())));
        types.extend(names.types.by_name.iter().map(|(name, item)| (item.place.0.clone(), name.clone())));
    }
    let dead = left_out::dead(&numbers, &types);
    assert!(dead.is_empty(), "left_out.rs names what no header has:\n{}", dead.join("\n"));
}

#[test]
fn number_types() {
    for release in RELEASES {
        let sizes: Vec<String> =
            hand_written::NUMBER_TYPES.iter().map(|(_, c_type, _)| format!("sizeof({c_type})")).collect();
        let theirs = c_program::evaluate(release, "number-types", &sizes);
        for ((path, c_type, ours), theirs) in hand_written::NUMBER_TYPES.iter().zip(theirs) {
            assert_eq!(*ours as i64, theirs, "Xen {}: abi::{path} against {c_type}", release.name());
        }
    }
}

#[test]
fn another_project_agrees() {
    let theirs = other_bindings::read();
    let (mut compared, mut wrong) = (0, Vec::new());
    let mut compare = |name: &str, ours: i64, theirs: Option<i64>| {
        if let Some(theirs) = theirs {
            compared += 1;
            if ours != theirs && !left_out::is_listed(left_out::OTHER_BINDINGS, name) {
                wrong.push(format!("{name}: we say {ours}, xen-sys says {theirs}"));
            }
        }
    };
    for statement in numbers::statements() {
        let theirs = theirs.constants.get(&statement.c_name).copied();
        compare(&statement.c_name, statement.value, theirs);
    }
    for (_, item) in structs::ours() {
        let Some(name) = item.c_name.strip_prefix("struct ") else { continue };
        compare(item.c_name, item.size as i64, theirs.sizes.get(name).map(|size| *size as i64));
        for field in item.fields {
            let offset = theirs.offsets.get(&(name.to_string(), field.c_name.to_string()));
            let place = format!("{}.{}", item.c_name, field.c_name);
            compare(&place, field.offset as i64, offset.map(|offset| *offset as i64));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 300, "only {compared} numbers, sizes and offsets are in both: the bindings were not understood");
}

#[test]
fn every_header_is_compared_or_explained() {
    for release in RELEASES {
        let mut headers = BTreeSet::new();
        headers_below(&release.include().join("xen"), "", &mut headers);
        let read = names(release);
        let seen: BTreeSet<&String> = read
            .types
            .by_name
            .values()
            .map(|item| &item.place.0)
            .chain(read.types.enumerators.values().map(|place| &place.0))
            .chain(read.macros.iter().map(|item| &item.place.0))
            .collect();
        let forgotten: Vec<String> =
            headers.into_iter().filter(|name| !left_out::header(name) && !seen.contains(name)).collect();
        assert!(forgotten.is_empty(), "Xen {}: no test looks into {forgotten:?}", release.name());
    }
}

fn headers_below(directory: &Path, prefix: &str, headers: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            headers_below(&path, &format!("{name}/"), headers);
        } else {
            headers.insert(name);
        }
    }
}

#[test]
fn nothing_in_the_sources_escapes() {
    let mut escaped = Vec::new();
    for item in own_source::found() {
        let known = match item.kind {
            Kind::Block => block_is_listed(&item.path),
            Kind::Type => hand_written::NUMBER_TYPES.iter().any(|(path, ..)| *path == item.path),
            Kind::Constant => hand_written::CONSTANTS.iter().any(|(path, ..)| *path == item.path),
        };
        if !known && !left_out::is_listed(left_out::OWN_ITEMS, &item.path) {
            escaped.push(format!("{}: {}", item.place, item.path));
        }
    }
    assert!(
        escaped.is_empty(),
        "neither compared (put it in a block, or in hand_written.rs) nor explained (left_out::OWN_ITEMS):\n{}",
        escaped.join("\n")
    );
}

/// Whether `abi::layout::HEADERS` has the list that a block leaves behind.
fn block_is_listed(path: &str) -> bool {
    let (module, block) = path.rsplit_once("::").unwrap();
    let Some(header) = HEADERS.iter().find(|header| header.module == module) else { return false };
    match block {
        "wire!" => !header.structs.is_empty(),
        "numbers!" => !header.families.is_empty(),
        "constants!" => !header.constants.is_empty(),
        _ => false,
    }
}
