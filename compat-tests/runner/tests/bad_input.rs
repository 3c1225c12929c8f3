//! What goes wrong around a run is told in one sentence, with a status that is not 0; what goes wrong in a hypervisor is a
//! verdict. QEMU and the build are stood in for by scripts, so that each mishap comes when it is wanted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory with the tools that a run starts, and a build directory with a guest and a hypervisor to boot.
struct Stage {
    root: PathBuf,
}

impl Stage {
    fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&root);
        let guests = root.join("target/guests/x86_64-unknown-none/release");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(&guests).unwrap();
        fs::write(guests.join("smoke"), "guest").unwrap();
        fs::write(root.join("xenolith.elf"), "hypervisor").unwrap();
        let stage = Self { root };
        stage.tool("bash", "exit 0");
        stage
    }

    fn tool(&self, name: &str, script: &str) {
        let path = self.root.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A QEMU of version 10 that does what the script says; `$log` is where the serial line goes.
    fn emulator(&self, script: &str) {
        self.tool(
            "qemu-system-x86_64",
            &format!(
                "[ \"$1\" = --version ] && {{ echo 'QEMU emulator version 10.0.2'; exit; }}\n\
                 for word in \"$@\"; do case $word in file:*) log=${{word#file:}} ;; esac; done\n{script}"
            ),
        );
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_compat-runner"))
            .args(arguments)
            .env("PATH", self.root.join("bin"))
            .env("CARGO_TARGET_DIR", self.root.join("target"))
            .env("XENOLITH_IMAGE", self.root.join("xenolith.elf"))
            .env("XENOLITH_CACHE", self.root.join("cache"))
            .env("XENOLITH_BUDGETS", self.root.join("budgets.toml"))
            .output()
            .unwrap()
    }
}

/// The one line on standard error, of a run that could not go on.
fn sentence(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

const SMOKE: [&str; 6] = ["run-guest", "smoke", "--on", "xenolith", "--limit", "2"];

#[test]
fn a_missing_tool_is_named() {
    let stage = Stage::new("no-tool");
    let said = sentence(&stage.run(&SMOKE));
    assert!(said.contains("qemu-system-x86_64 is not installed; run `make setup`"), "{said}");
    fs::remove_file(stage.root.join("bin/bash")).unwrap();
    let said = sentence(&stage.run(&SMOKE));
    assert!(said.contains("bash is not installed"), "{said}");
}

#[test]
fn a_missing_package_is_named() {
    let stage = Stage::new("no-package");
    stage.emulator("exit 0");
    let said = sentence(&stage.run(&["run-guest", "smoke", "--on", "xen", "--reference", "4.20"]));
    assert!(said.contains("xen-4.20/xen.elf is missing; run `make setup`"), "{said}");
}

#[test]
fn an_old_emulator_is_refused() {
    let stage = Stage::new("old-emulator");
    stage.tool("qemu-system-x86_64", "echo 'QEMU emulator version 7.2.15 (Debian 1:7.2)'");
    let said = sentence(&stage.run(&SMOKE));
    assert!(said.contains("is QEMU 7.2, and 10 or newer is needed"), "{said}");
}

#[test]
fn a_corrupt_budget_file_is_told_with_its_line() {
    let stage = Stage::new("corrupt-budgets");
    fs::write(stage.root.join("budgets.toml"), "[guest.cost]\n\"null\" = { xenolith = \"many\" }\n").unwrap();
    let said = sentence(&stage.run(&["budgets", "show"]));
    assert!(said.contains("budgets.toml is no budget file (line 2: ") && said.contains("restore it"), "{said}");
    fs::remove_file(stage.root.join("budgets.toml")).unwrap();
    let said = sentence(&stage.run(&["budgets", "show"]));
    assert!(said.contains("cannot read"), "{said}");
}

#[test]
fn an_unknown_guest_is_refused() {
    let said = sentence(&Stage::new("unknown-guest").run(&["run-guest", "nobody"]));
    assert!(said.contains("there is no test guest `nobody`"), "{said}");
}

#[test]
fn a_test_that_hangs_ends_with_its_last_lines() {
    let stage = Stage::new("hangs");
    stage
        .emulator("i=1; while [ $i -le 30 ]; do echo \"line $i\" >> \"$log\"; i=$((i + 1)); done; while :; do :; done");
    let output = stage.run(&SMOKE);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("no verdict within 2 s") && said.ends_with("0 passed, 1 failed\n"), "{said}");
    let shown: Vec<&str> = said.lines().filter(|line| line.contains("| line ")).collect();
    assert!(shown.len() == 20 && shown[0].ends_with("line 11"), "{said}");
    let log = fs::read_to_string(stage.root.join("target/compat-logs/smoke.xenolith.log")).unwrap();
    assert_eq!(log.lines().count(), 30);
}

#[test]
fn a_hypervisor_that_panics_is_a_verdict() {
    let stage = Stage::new("panics");
    stage.emulator("echo '(XEN) Panic on CPU 0:' >> \"$log\"; echo '(XEN) something broke' >> \"$log\"");
    let output = stage.run(&SMOKE);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("FAIL smoke") && said.contains("hypervisor in trouble: (XEN) Panic on CPU 0:"), "{said}");
}

#[test]
fn a_machine_that_ends_early_is_a_verdict() {
    let stage = Stage::new("ends");
    stage.emulator("exit 0");
    let output = stage.run(&SMOKE);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("ended without a verdict"), "{output:?}");
}
