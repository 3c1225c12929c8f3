//! Compares every struct, constant and error number of this crate with the C headers of Debian's libxen-dev.
//!
//! The C side is a program generated from the crate's own lists (`abi::layout::HEADERS`), so a statement cannot be left
//! out; a second pass scans the C headers for names the crate should have and does not. Without the headers or a C
//! compiler the tests fail: a comparison that did not happen is not a success.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod c_program;
mod header_scan;

use std::collections::BTreeMap;

use abi::{
    DomainId, Errno, Virq,
    layout::{HEADERS, Header},
};

/// Constants of hand-written types, which no list of the crate holds.
const HAND_WRITTEN: &[(&str, i64)] = &[
    ("DOMID_FIRST_RESERVED", DomainId::FIRST_RESERVED.0 as i64),
    ("DOMID_SELF", DomainId::SELF.0 as i64),
    ("DOMID_IO", DomainId::IO.0 as i64),
    ("DOMID_XEN", DomainId::XEN.0 as i64),
    ("DOMID_COW", DomainId::COW.0 as i64),
    ("DOMID_INVALID", DomainId::INVALID.0 as i64),
    ("DOMID_IDLE", DomainId::IDLE.0 as i64),
    ("NR_VIRQS", Virq::COUNT as i64),
    ("VIRQ_TIMER", Virq::TIMER.0 as i64),
    ("VIRQ_DEBUG", Virq::DEBUG.0 as i64),
    ("VIRQ_CONSOLE", Virq::CONSOLE.0 as i64),
    ("VIRQ_DOM_EXC", Virq::DOM_EXC.0 as i64),
    ("VIRQ_TBUF", Virq::TBUF.0 as i64),
    ("VIRQ_DEBUGGER", Virq::DEBUGGER.0 as i64),
    ("VIRQ_XENOPROF", Virq::XENOPROF.0 as i64),
    ("VIRQ_CON_RING", Virq::CON_RING.0 as i64),
    ("VIRQ_PCPU_STATE", Virq::PCPU_STATE.0 as i64),
    ("VIRQ_MEM_EVENT", Virq::MEM_EVENT.0 as i64),
    ("VIRQ_ARGO", Virq::ARGO.0 as i64),
    ("VIRQ_ENOMEM", Virq::ENOMEM.0 as i64),
    ("VIRQ_XENPMU", Virq::XENPMU.0 as i64),
    ("VIRQ_MCA", Virq::MCA.0 as i64),
];

/// Error numbers that never reach a guest, so the public header shows them to Xen only.
const INTERNAL_ERRORS: &[&str] = &["EINTR", "ERESTART"];

/// Second names of error numbers in the C header.
const ALIASES: &[&str] = &["EDEADLOCK", "EWOULDBLOCK"];

/// What the crate says: a C expression, where it is stated, and its value.
fn statements() -> Vec<(String, String, i64)> {
    let mut all = Vec::new();
    for header in HEADERS {
        struct_statements(header, &mut all);
        for family in header.families {
            for number in family.numbers.iter().filter(|number| !number.c_name.is_empty()) {
                let place = format!("abi::{}::{}::{}", header.module, family.name, number.name);
                all.push((number.c_name.to_string(), place, number.value));
            }
        }
        for number in header.constants.iter().filter(|number| !number.c_name.is_empty()) {
            all.push((number.c_name.to_string(), format!("abi::{}::{}", header.module, number.name), number.value));
        }
    }
    for number in Errno::NAMED.iter().filter(|number| !INTERNAL_ERRORS.contains(&number.name)) {
        all.push((number.c_name.to_string(), format!("abi::Errno::{}", number.name), number.value));
    }
    for (c_name, value) in HAND_WRITTEN {
        all.push((c_name.to_string(), "abi::ids".to_string(), *value));
    }
    all
}

fn struct_statements(header: &Header, all: &mut Vec<(String, String, i64)>) {
    for item in header.structs.iter().filter(|item| !item.c_name.is_empty()) {
        let place = format!("abi::{}::{}", header.module, item.name);
        all.push((format!("sizeof({})", item.c_name), place.clone(), item.size as i64));
        for field in item.fields.iter().filter(|field| !field.c_name.is_empty()) {
            let (c_type, c_field) = (item.c_name, field.c_name);
            let place = format!("{place}.{}", field.name);
            all.push((format!("offsetof({c_type}, {c_field})"), place.clone(), field.offset as i64));
            all.push((format!("sizeof((({c_type} *)0)->{c_field})"), place, field.size as i64));
        }
    }
}

#[test]
fn every_statement_agrees_with_the_c_headers() {
    let statements = statements();
    assert!(statements.len() > 1000, "only {} statements: the lists of the crate have holes", statements.len());
    let values = c_program::evaluate(statements.iter().map(|(expression, _, _)| expression.as_str()));
    let wrong: Vec<String> = statements
        .iter()
        .zip(&values)
        .filter(|((_, _, ours), theirs)| ours != *theirs)
        .map(|((expression, place, ours), theirs)| format!("{place}: we say {ours}, C says {expression} = {theirs}"))
        .collect();
    assert!(wrong.is_empty(), "{} statements differ from the C headers:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_error_number_of_the_c_header_has_a_name() {
    let ours: BTreeMap<i64, &str> = Errno::NAMED.iter().map(|number| (number.value, number.name)).collect();
    let missing: Vec<String> = c_program::error_numbers()
        .into_iter()
        .filter(|(name, value)| ours.get(value) != Some(&name.as_str()) && !ALIASES.contains(&name.as_str()))
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    assert!(missing.is_empty(), "xen/errno.h has error numbers that abi::Errno lacks: {}", missing.join(", "));
}

#[test]
fn every_command_of_the_c_headers_is_stated() {
    let ours: Vec<String> = statements().into_iter().map(|(expression, _, _)| expression).collect();
    let missing = header_scan::unstated_numbers(&ours);
    assert!(missing.is_empty(), "the C headers have numbers that abi lacks:\n{}", missing.join("\n"));
}

#[test]
fn every_struct_of_the_c_headers_is_stated() {
    let ours: Vec<&str> = HEADERS
        .iter()
        .flat_map(|header| header.structs)
        .map(|item| item.c_name)
        .filter(|name| !name.is_empty())
        .collect();
    let missing = header_scan::unstated_structs(&ours);
    assert!(missing.is_empty(), "the C headers have structs that abi lacks:\n{}", missing.join("\n"));
}

#[test]
fn every_block_of_the_crate_is_in_the_list_of_headers() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in std::fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let module = path.file_stem().unwrap().to_str().unwrap().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        if module == "layout" {
            continue;
        }
        let listed = HEADERS.iter().find(|header| header.module == module);
        let lists = [
            ("wire! {", listed.is_some_and(|header| !header.structs.is_empty())),
            ("numbers! {", listed.is_some_and(|header| !header.families.is_empty())),
            ("constants! {", listed.is_some_and(|header| !header.constants.is_empty())),
        ];
        for (block, is_listed) in lists {
            let has_block = text.lines().any(|line| line == block);
            assert_eq!(has_block, is_listed, "{module}.rs: `{block}` against abi::layout::HEADERS");
        }
    }
}
