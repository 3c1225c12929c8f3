//! Generates a C program over the public headers, compiles and runs it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Where libxen-dev puts the headers.
pub const INCLUDE: &str = "/usr/include/xen";

const PROLOGUE: &str = r#"
#define __XEN_INTERFACE_VERSION__ 0x00040e00
#define __XEN_TOOLS__ 1
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/memory.h>
#include <xen/callback.h>
#include <xen/nmi.h>
#include <xen/version.h>
#include <xen/features.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/elfnote.h>
#include <xen/pmu.h>
#include <xen/domctl.h>
#include <xen/sysctl.h>
#include <xen/hypfs.h>
#include <xen/kexec.h>
#include <xen/argo.h>
#include <xen/xenoprof.h>
#include <xen/io/console.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/hvm/dm_op.h>
#include <xen/xsm/flask_op.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/arch-x86/xen-mca.h>
"#;

/// The values of C expressions, each converted to `long long`.
pub fn evaluate<'a>(expressions: impl Iterator<Item = &'a str>) -> Vec<i64> {
    let mut program = format!("{PROLOGUE}int main(void) {{\n");
    for expression in expressions {
        writeln!(program, "    printf(\"%lld\\n\", (long long)({expression}));").unwrap();
    }
    program.push_str("    return 0;\n}\n");
    run("statements", &program).lines().map(|line| line.parse().unwrap()).collect()
}

/// Names (without prefix) and values of all error numbers of `xen/errno.h`.
pub fn error_numbers() -> Vec<(String, i64)> {
    let program = "#include <stdio.h>\n\
         #define XEN_ERRNO(name, value) printf(\"%s %d\\n\", #name, value);\n\
         int main(void) {\n\
         #include <xen/errno.h>\n\
         return 0; }\n";
    run("errors", program)
        .lines()
        .map(|line| {
            let (name, value) = line.split_once(' ').unwrap();
            (name.to_string(), value.parse().unwrap())
        })
        .collect()
}

fn run(name: &str, program: &str) -> String {
    assert!(
        Path::new(INCLUDE).join("xen.h").exists(),
        "{INCLUDE}/xen.h is not there: install libxen-dev, whose headers are what this test compares with"
    );
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (source, binary) = (directory.join(format!("{name}.c")), directory.join(name));
    std::fs::write(&source, program).unwrap();
    let compiler = Command::new("cc").arg("-std=gnu11").arg("-o").arg(&binary).arg(&source).output();
    let compiler = compiler.expect("`cc` does not start: install a C compiler, this test needs one");
    assert!(
        compiler.status.success(),
        "C does not know what abi states:\n{}",
        String::from_utf8_lossy(&compiler.stderr)
    );
    let output = Command::new(&binary).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}
