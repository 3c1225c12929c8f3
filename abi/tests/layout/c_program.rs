//! Generates C over the public headers, compiles it, and reads what the compiler made of it.

use std::{
    fmt::Write as _,
    path::PathBuf,
    process::{Command, Output},
};

use crate::releases::{Release, header_name};

/// The headers that this crate answers for; they include more. What no test program includes is in
/// [`crate::left_out::HEADERS`].
pub const INCLUDED: &[&str] = &[
    "xen.h",
    "errno.h",
    "event_channel.h",
    "grant_table.h",
    "sched.h",
    "vcpu.h",
    "memory.h",
    "callback.h",
    "nmi.h",
    "version.h",
    "features.h",
    "physdev.h",
    "platform.h",
    "elfnote.h",
    "pmu.h",
    "domctl.h",
    "sysctl.h",
    "hypfs.h",
    "kexec.h",
    "argo.h",
    "xenoprof.h",
    "io/console.h",
    "hvm/hvm_op.h",
    "hvm/params.h",
    "hvm/dm_op.h",
    "xsm/flask_op.h",
    "arch-x86/cpuid.h",
    "arch-x86/xen-mca.h",
];

/// A macro without arguments, and where it is defined.
#[derive(Clone, Debug)]
pub struct Macro {
    pub name: String,
    /// Header below `xen/` and line.
    pub place: (String, usize),
}

fn prologue() -> String {
    let mut text =
        "#define __XEN_TOOLS__ 1\n#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n".to_string();
    for header in INCLUDED {
        writeln!(text, "#include <xen/{header}>").unwrap();
    }
    text
}

/// The values of C expressions, each converted to `long long`.
pub fn evaluate(release: Release, name: &str, expressions: &[String]) -> Vec<i64> {
    let mut program = format!("{}int main(void) {{\n", prologue());
    for expression in expressions {
        writeln!(program, "    printf(\"%lld\\n\", (long long)({expression}));").unwrap();
    }
    program.push_str("    return 0;\n}\n");
    let binary = compile(release, name, &program, &["-w"]);
    let output = Command::new(&binary).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

/// A program with all types of the headers in its debug information.
pub fn with_debug_information(release: Release) -> Vec<u8> {
    let program = format!("{}int main(void) {{ return 0; }}\n", prologue());
    let binary = compile(release, "types", &program, &["-w", "-g", "-fno-eliminate-unused-debug-types"]);
    std::fs::read(binary).unwrap()
}

/// All macros without arguments whose value is an integer, in the order of the headers.
pub fn integer_macros(release: Release) -> Vec<Macro> {
    let include = release.include();
    let output = compiler(release, "macros", &prologue(), &["-w", "-E", "-dD", "-o", "-"]);
    let text = String::from_utf8(succeeded(release, output).stdout).unwrap();
    let (mut header, mut line) = (None, 0);
    let mut macros: Vec<Macro> = Vec::new();
    for text in text.lines() {
        if let Some((number, rest)) = text.strip_prefix("# ").and_then(|mark| mark.split_once(" \"")) {
            header = header_name(&include, rest.split('"').next().unwrap());
            line = number.parse::<usize>().unwrap();
            continue;
        }
        let mut words = text.strip_prefix("#define ").unwrap_or("").split_whitespace();
        if let (Some(header), Some(name), Some(_)) = (&header, words.next(), words.next())
            && !name.contains('(')
        {
            macros.retain(|earlier| earlier.name != name);
            macros.push(Macro { name: name.to_string(), place: (header.clone(), line) });
        }
        line += 1;
    }
    keep_integers(release, macros)
}

/// Asks the compiler which macros are integer constants: one enumerator each, those that it refuses are none.
fn keep_integers(release: Release, mut macros: Vec<Macro>) -> Vec<Macro> {
    loop {
        let mut program = prologue();
        for (index, item) in macros.iter().enumerate() {
            writeln!(program, "#line {} \"probe\"\nenum {{ probe_{index} = ({}) }};", index + 1, item.name).unwrap();
        }
        let output = compiler(release, "probe", &program, &["-w", "-fsyntax-only", "-fmax-errors=0"]);
        if output.status.success() {
            return macros;
        }
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        let refused: Vec<usize> = complaints
            .lines()
            .filter_map(|line| line.strip_prefix("probe:")?.split(':').next()?.parse().ok())
            .collect();
        assert!(!refused.is_empty(), "the C compiler refuses the headers of Xen {}:\n{complaints}", release.name());
        let mut index = 0;
        macros.retain(|_| {
            index += 1;
            !refused.contains(&index)
        });
    }
}

fn compile(release: Release, name: &str, program: &str, options: &[&str]) -> PathBuf {
    let binary = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", release.name()));
    let options = [options, &["-o", binary.to_str().unwrap()]].concat();
    succeeded(release, compiler(release, name, program, &options));
    binary
}

fn compiler(release: Release, name: &str, program: &str, options: &[&str]) -> Output {
    let source = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.c", release.name()));
    std::fs::write(&source, program).unwrap();
    let output =
        Command::new("cc").arg("-std=gnu11").arg("-I").arg(release.include()).args(options).arg(&source).output();
    output.expect("`cc` does not start: install a C compiler (`make setup` does), this test needs one")
}

fn succeeded(release: Release, output: Output) -> Output {
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "C with the headers of Xen {} does not compile:\n{complaints}", release.name());
    output
}
