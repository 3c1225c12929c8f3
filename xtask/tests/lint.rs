//! Each rule of the lint against a planted violation, and against a small tree that breaks none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use xtask::lint::{advisories, finding::Finding, run::findings, shape, source::Source, tree::Tree};

const ROOT: &str = "//! A crate.\n#![forbid(unsafe_code)]\n";

/// A tree that breaks no rule.
fn clean() -> Tree {
    let mut tree = Tree::default();
    for name in ["abi", "event-channels", "hypercalls"] {
        tree.insert(&format!("{name}/src/lib.rs"), ROOT);
    }
    tree.insert("abi/Cargo.toml", &manifest("abi", ""));
    tree.insert("event-channels/Cargo.toml", &manifest("event-channels", "abi = { workspace = true }"));
    tree.insert("hypercalls/Cargo.toml", &manifest("hypercalls", "abi = \"1\"\nevent-channels = { path = \"..\" }"));
    tree.insert("hv/Cargo.toml", &manifest("hv", "hypercalls = \"1\"\nlog = \"1\""));
    tree.insert(
        "hv/src/port.rs",
        "//! Ports.\npub fn outb() {\n    // SAFETY: the port is ours.\n    unsafe { write() }\n}\n",
    );
    tree.insert("docs/unsafe-files.txt", "# comment\nhv/src/port.rs  port instructions\n");
    tree.insert("docs/size-exceptions.txt", "");
    tree
}

fn manifest(name: &str, dependencies: &str) -> String {
    format!("[package]\nname = \"{name}\"\n[dependencies]\n{dependencies}\n")
}

/// The findings after one file was planted in the clean tree.
fn plant(path: &str, text: &str) -> Vec<Finding> {
    let mut tree = clean();
    tree.insert(path, text);
    findings(&tree)
}

#[track_caller]
fn assert_found(found: &[Finding], path: &str, line: usize, words: &str) {
    let hit =
        found.iter().any(|finding| finding.path == path && finding.line == line && finding.message.contains(words));
    assert!(hit, "no finding at {path}:{line} about {words:?}, only: {found:#?}");
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[track_caller]
fn assert_clean(found: &[Finding]) {
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_clean_tree_has_no_findings() {
    assert_clean(&findings(&clean()));
}

#[test]
fn crate_roots_forbid_unsafe_code() {
    assert_found(&plant("abi/src/lib.rs", "//! A crate.\n"), "abi/src/lib.rs", 0, "#![forbid(unsafe_code)]");
    assert_found(
        &plant("abi/src/main.rs", "//! Not it:\n// #![forbid(unsafe_code)]\n"),
        "abi/src/main.rs",
        0,
        "forbid",
    );
}

#[test]
fn unsafe_code_and_assembly_stay_in_hv() {
    let code = "//! A file.\nfn f() {\n    // SAFETY: no.\n    unsafe { g() }\n}\n";
    assert_found(&plant("abi/src/a.rs", code), "abi/src/a.rs", 4, "unsafe code outside hv");
    assert_found(&plant("abi/tests/a.rs", code), "abi/tests/a.rs", 4, "unsafe code outside hv");
    assert_found(&plant("abi/src/a.rs", "//! A file.\nglobal_asm! (\"\");\n"), "abi/src/a.rs", 2, "global_asm!");
    assert_found(&plant("abi/src/a.rs", "//! A file.\ncore::arch::asm!(\"\");\n"), "abi/src/a.rs", 2, "asm!");
    assert_found(&plant("abi/src/a.rs", "//! A file.\n#[naked]\nfn f() {}\n"), "abi/src/a.rs", 2, "naked");
    assert_found(&plant("abi/src/a.S", "# A file.\n"), "abi/src/a.S", 0, "assembly outside hv");
    assert_clean(&plant("compat-tests/guests/src/a.rs", code));
}

#[test]
fn unsafe_in_words_strings_and_comments_is_none() {
    let text = "//! unsafe { asm!() }\n/* unsafe /* { */ } */\nconst A: &str = \"unsafe {\\\" unsafe\";\n\
        const B: &str = r#\"unsafe \" asm!\"#;\nconst C: char = '\"';\n// unsafe\nlet unsafe_code = not_asm!('\\'');\n";
    assert_clean(&plant("abi/src/a.rs", text));
}

#[test]
fn unsafe_files_of_hv_are_listed() {
    let code = "//! A file.\n// SAFETY: fine.\nunsafe impl Send for A {}\n";
    assert_found(&plant("hv/src/a.rs", code), "hv/src/a.rs", 3, "docs/unsafe-files.txt");
    assert_found(&plant("hv/src/a.S", "# Assembly.\n"), "hv/src/a.S", 0, "docs/unsafe-files.txt");
    assert_found(&plant("hv/src/port.rs", "//! Safe now.\n"), "hv/src/port.rs", 0, "has no unsafe code");
    let list = "docs/unsafe-files.txt";
    assert_found(&plant(list, "hv/src/port.rs ports\nhv/src/gone.rs gone\n"), list, 0, "is not there");
    assert_found(&plant(list, "hv/src/port.rs\n"), list, 0, "no reason");
}

#[test]
fn unsafe_blocks_say_why_they_are_sound() {
    let with = |body: &str| plant("hv/src/port.rs", &format!("//! Ports.\n{body}"));
    assert_found(&with("fn f() {\n    unsafe { g() }\n}\n"), "hv/src/port.rs", 3, "SAFETY");
    assert_found(&with("unsafe impl Send for A {}\n"), "hv/src/port.rs", 2, "SAFETY");
    assert_found(&with("fn f() {\n    // because\n    unsafe { g() }\n}\n"), "hv/src/port.rs", 4, "SAFETY");
    let two = "fn f() {\n    // SAFETY: one.\n    unsafe { g() };\n    unsafe { g() };\n}\n";
    assert_found(&with(two), "hv/src/port.rs", 5, "SAFETY");
    assert_found(&with("fn f() {\n    let a =\n        unsafe\n        { g() };\n}\n"), "hv/src/port.rs", 4, "SAFETY");
    assert_clean(&with(
        "fn f() {\n    // SAFETY: a long\n    // reason.\n    #[rustfmt::skip]\n    let a =\n        unsafe { g() };\n}\n",
    ));
    assert_clean(&with("fn f() {\n    let a = unsafe { g() }; // SAFETY: fine.\n}\n"));
    assert_clean(&with("unsafe extern \"C\" { fn g(); }\n"));
}

#[test]
fn dependencies_point_downward() {
    let path = "event-channels/Cargo.toml";
    let with = |text: &str| plant(path, &format!("[package]\nname = \"event-channels\"\n{text}"));
    assert_found(&with("[dependencies]\nhypercalls = \"1\"\n"), path, 0, "may not depend on hypercalls");
    assert_found(&with("[dev-dependencies]\nhv = \"1\"\n"), path, 0, "may not depend on hv");
    assert_found(&with("[build-dependencies]\nhv = \"1\"\n"), path, 0, "may not depend on hv");
    assert_found(&with("[target.'cfg(loom)'.dependencies]\nhv = \"1\"\n"), path, 0, "may not depend on hv");
    assert_found(&with("[dependencies]\nharmless = { package = \"hv\" }\n"), path, 0, "may not depend on hv");
    assert_clean(&with("[dependencies]\nspin = \"1\"\n"));
    assert_found(&plant("abi/Cargo.toml", &manifest("abi", "hypercalls = \"1\"")), "abi/Cargo.toml", 0, "hypercalls");
    assert_found(&plant("new/Cargo.toml", &manifest("new", "")), "new/Cargo.toml", 0, "no place in the graph");
    assert_found(&plant("new/Cargo.toml", "[package\n"), "new/Cargo.toml", 0, "cannot be read");
}

#[test]
fn leaves_do_not_know_each_other() {
    let mut tree = clean();
    tree.insert("grant-tables/Cargo.toml", &manifest("grant-tables", "event-channels = \"1\""));
    assert_found(&findings(&tree), "grant-tables/Cargo.toml", 0, "may not depend on event-channels");
}

#[test]
fn files_start_with_what_they_are() {
    assert_found(&plant("abi/src/a.rs", "use b;\n"), "abi/src/a.rs", 1, "must start");
    assert_found(&plant("abi/src/a.rs", "//!\n//! Late.\n"), "abi/src/a.rs", 1, "must start");
    assert_found(&plant("abi/src/a.rs", ""), "abi/src/a.rs", 1, "must start");
    let mut tree = clean();
    tree.insert("hv/src/a.S", "#include \"b.h\"\n");
    tree.insert("docs/unsafe-files.txt", "hv/src/port.rs ports\nhv/src/a.S assembly\n");
    assert_found(&findings(&tree), "hv/src/a.S", 1, "must start");
}

#[test]
fn lists_of_modules_have_no_functions() {
    assert_found(&plant("abi/src/b/mod.rs", "//! B.\npub const fn f() {}\n"), "abi/src/b/mod.rs", 2, "a function");
    let root = format!("{ROOT}\nimpl A {{\n    fn f() {{}}\n}}\n");
    assert_found(&plant("abi/src/lib.rs", &root), "abi/src/lib.rs", 5, "a function");
    let exported = format!("{ROOT}macro_rules! m {{\n    () => {{ fn f() {{}} }};\n}}\n");
    assert_clean(&plant("abi/src/lib.rs", &exported));
    assert_found(&plant("abi/src/lib.rs", &format!("{exported}fn g() {{}}\n")), "abi/src/lib.rs", 6, "a function");
    assert_clean(&plant("abi/tests/common/mod.rs", "//! Helpers.\nfn f() {}\n"));
}

#[test]
fn files_keep_to_their_size() {
    let long = format!("//! Long.\n{}", "\n".repeat(shape::LINES));
    assert_found(&plant("abi/src/a.rs", &long), "abi/src/a.rs", 0, "lines, the budget is");
    let mut tree = clean();
    tree.insert("abi/src/a.rs", &long);
    tree.insert("docs/size-exceptions.txt", "abi/src/a.rs one table\n");
    assert_clean(&findings(&tree));
    tree.insert("abi/src/a.rs", "//! Short.\n");
    assert_found(&findings(&tree), "abi/src/a.rs", 0, "fits the budget");
    let list = "docs/size-exceptions.txt";
    assert_found(&plant(list, "abi/src/gone.rs gone\n"), list, 0, "is not there");
}

#[test]
fn nothing_names_the_machine() {
    let slash = "/";
    let path = format!("cd \"{slash}somewhere/deep\"\n");
    assert_found(&plant("a.sh", &path), "a.sh", 1, "somewhere");
    assert_found(&plant("a.md", &format!("see {slash}home/me/file\n")), "a.md", 1, "home");
    let host = format!("url = \"https:{slash}{slash}packages.example.org:8080/x\"\n");
    assert_found(&plant("a.toml", &host), "a.toml", 1, "packages.example.org:8080");
    assert_clean(&plant(
        "a.md",
        r#"/usr/include/xen and/or src/lib.rs, "$root"/dom0/init, a / b/ c, https://github.com/x"#,
    ));
}

#[test]
fn the_page_of_locks_says_what_the_code_does() {
    let page = "docs/locking.md";
    let with = |rows: &str| {
        let mut tree = clean();
        tree.insert(
            "locks/src/level.rs",
            "//! Levels.\npub enum Level {\n    /// A.\n    Low = 1,\n    High = 2,\n}\n",
        );
        tree.insert("abi/src/a.rs", "//! A file. Not Level::High.\nconst A: Lock = Lock::new(Level::Low, 0);\n");
        tree.insert("abi/src/b.rs", "//! A file.\nuse log::Level::Lower; // LogLevel::Low\nuse a::SubLevel::Low;\n");
        tree.insert(page, &format!("# Locks\n| order | level | protects | made in |\n|---|---|---|---|\n{rows}"));
        findings(&tree)
    };
    let low = "| 1 | `Low` | this | `abi/src/a.rs` |\n";
    let high = "| 2 | `High` | that | none |\n";
    assert_clean(&with(&format!("{low}{high}")));
    assert_found(&with(low), page, 0, "no row for level 2 High");
    assert_found(&with(&format!("{low}{high}| 3 | `Top` | more | none |\n")), page, 6, "has no level 3 Top");
    assert_found(&with(&format!("{high}{low}")), page, 5, "not in the order");
    assert_found(&with(&format!("| 1 | `Low` | this | none |\n{high}")), page, 4, "abi/src/a.rs uses Low");
    assert_found(&with(&format!("{low}| 2 | `High` | that | `abi/src/a.rs` |\n")), page, 5, "does not use High");
}

#[test]
fn sources_split_into_code_and_comments() {
    let source = Source::parse(
        "let a = b'\\''; // one\nlet s = \"x \\\n y\"; /* two\nthree */ fn f<'a>() {}\nlet r = br\"//\";",
    );
    assert_eq!(source.code.len(), 5);
    assert!(source.comments[0].contains("one") && !source.code[0].contains("one"));
    assert!(!source.code[2].contains('y') && source.comments[2].contains("two"));
    assert!(source.comments[3].contains("three") && source.has_word(3, "fn"));
    assert_eq!(source.comments[4], "");
}

/// A tree with one advisory less than the list wants; `row` answers it.
fn with_advisory(row: &str) -> Vec<Finding> {
    let mut tree = clean();
    tree.insert("event-channels/tests/a.rs", "//! Tests.\n#[test]\nfn holds() {}\nfn helper() {}\n");
    tree.insert("event-channels/src/port.rs", "//! Ports.\npub(crate) struct Port<P> {\n}\n");
    tree.insert("compat-tests/guests/tests/smoke/test.toml", "about = \"\"\n");
    tree.insert("compat-tests/guests/tests/smoke/main.rs", "//! A guest.\nfn main() { check(\"time\"); }\n");
    let numbers = 1..=u32::try_from(advisories::COUNT).unwrap();
    let list: String = numbers.clone().map(|number| format!("{number}\tevt\trace\tsomething\n")).collect();
    let rest: String = numbers.skip(1).map(|number| format!("{number} = {{ absent = \"hvm\" }}\n")).collect();
    let feature = "[features]\nhvm = { what = \"HVM\", file = \"hv/src/port.rs\", seen = \"Ports\" }\n";
    tree.insert(advisories::LIST, &list);
    tree.insert(advisories::MAP, &format!("{feature}[advisories]\n{row}\n{rest}"));
    findings(&tree)
}

#[test]
fn advisories_point_at_what_is_there() {
    for good in [
        "test = [\"event-channels/tests/a.rs::holds\", \"guest:smoke/time\", \"guest:smoke\"]",
        "type = [\"event-channels/src/port.rs::Port\"]",
        "absent = \"hvm\"",
        "open = \"nobody looked\"",
    ] {
        assert_clean(&with_advisory(&format!("1 = {{ {good} }}")));
    }
    for (bad, words) in [
        ("test = [\"event-channels/tests/a.rs::helper\"]", "there is no event-channels/tests/a.rs::helper"),
        ("test = [\"event-channels/tests/a.rs::gone\"]", "there is no"),
        ("test = [\"event-channels/tests/gone.rs::holds\"]", "there is no"),
        ("test = [\"guest:smoke/space\"]", "there is no guest:smoke/space"),
        ("test = [\"guest:gone\"]", "there is no guest:gone"),
        ("test = []", "names nothing"),
        ("type = [\"event-channels/src/port.rs::Po\"]", "there is no"),
        ("absent = \"svm\"", "none of [features]"),
        ("open = \"\"", "no answer of this form"),
        ("absent = \"hvm\", open = \"both\"", "exactly one"),
    ] {
        assert_found(&with_advisory(&format!("1 = {{ {bad} }}")), advisories::MAP, 0, words);
    }
    assert_found(&with_advisory(""), advisories::MAP, 0, "has no row for advisory 1");
    let unknown = "1 = { absent = \"hvm\" }\n5000 = { absent = \"hvm\" }";
    assert_found(&with_advisory(unknown), advisories::MAP, 0, "5000 is not in");
}
