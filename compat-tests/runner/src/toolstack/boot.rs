//! The machine that boots the dom0 with Debian's toolstack.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::images;
use super::scenario::{self, Recipe, Scenario};
use crate::hypervisor::Hypervisor;
use crate::places;
use crate::qemu::{Icount, Machine, linux_model};

/// Which tools, which kernel.
#[derive(Clone, Debug, clap::Args)]
pub struct Choice {
    /// Version of Xen's tools in dom0: a file packages-VERSION of qubes-integration/toolstack.
    #[arg(long, default_value = "4.17")]
    pub tools: String,
    /// Dom0's kernel series, as set-up unpacked it.
    #[arg(long, default_value = "6.1")]
    pub kernel: String,
    /// QEMU's CPU model.
    #[arg(long, default_value = "EPYC-Milan")]
    pub cpu: String,
    /// How often scenarios that repeat something do it; without it, as often as each says itself.
    #[arg(long)]
    pub rounds: Option<u32>,
}

impl Default for Choice {
    fn default() -> Choice {
        Choice { tools: "4.17".into(), kernel: "6.1".into(), cpu: "EPYC-Milan".into(), rounds: None }
    }
}

impl Choice {
    /// The Xen that these tools belong to: an older or newer one does not let them in.
    pub fn reference(&self) -> Result<Hypervisor> {
        match self.tools.as_str() {
            "4.17" => Ok(Hypervisor::Xen),
            "4.20" => Ok(Hypervisor::Xen420),
            other => bail!("there is no Xen {other} to compare with; tools are 4.17 or 4.20"),
        }
    }

    /// What makes Debian's wrapper find these tools: it goes by the hypervisor's version, and ours says 4.17 unless told.
    /// Xen does not know the option and gets it all the same, so that both command lines are one.
    fn version_option(&self) -> String {
        if self.tools == "4.17" { String::new() } else { format!(" xen-version={}", self.tools) }
    }

    /// The machine that runs these scenarios one after the other; `recipe` says what they share.
    pub fn machine(&self, hypervisor: Hypervisor, recipe: &Recipe, scenarios: &[Scenario]) -> Result<Machine> {
        let words: Vec<String> =
            scenarios.iter().map(|scenario| format!("{}:{}", scenario.name, scenario.recipe.limit)).collect();
        let rounds = self.rounds.map(|rounds| format!(" rounds={rounds}")).unwrap_or_default();
        let line = format!("console=hvc0 store={} scenarios={}{rounds}", recipe.store.word(), words.join(","));
        let root = images::root(&self.tools)?;
        let mut extra = drive("root", &root, "snapshot=on");
        extra.extend(drive("guests", &images::guests(&recipe.kernels)?, "readonly=on"));
        // The same root once more, for a guest that is a driver domain.
        extra.extend(drive("backend", &root, "snapshot=on"));
        // eager-fpu: QEMU's XSAVE does not fault while CR0.TS is set, so that a dom0 whose registers Xen would load lazily
        // saves another domain's as its own, and its programs crash.
        Ok(Machine {
            hypervisor,
            options: format!(
                "com1=115200,8n1 console=com1 dom0_mem={0}M,max:{0}M spec-ctrl=eager-fpu loglvl=all guest_loglvl=all {1}{2}",
                recipe.dom0_memory,
                recipe.options,
                self.version_option()
            ),
            modules: vec![
                (places::cached(&format!("linux-{}/vmlinuz", self.kernel))?, line),
                (images::initial(&self.kernel, scenarios)?, String::new()),
            ],
            machine: "q35".into(),
            cpu: linux_model(recipe.cpu.as_deref().unwrap_or(&self.cpu), recipe.cpus),
            cpus: recipe.cpus,
            memory: recipe.memory,
            icount: if recipe.counted { Icount::WhileBusy } else { Icount::Off },
            disc: None,
            extra,
        })
    }
}

/// QEMU's arguments for a raw disk.
pub fn drive(id: &str, image: &Path, how: &str) -> Vec<String> {
    let drive = format!("file={},if=none,id={id},format=raw,{how}", image.display());
    vec!["-drive".into(), drive, "-device".into(), format!("virtio-blk-pci,drive={id}")]
}

/// QEMU's arguments for the port that dom0 writes its results to, and its file on this side.
pub fn results_port(file: &Path) -> [String; 6] {
    [
        "-device".into(),
        "virtio-serial-pci".into(),
        "-chardev".into(),
        format!("file,id=results,path={}", file.display()),
        "-device".into(),
        "virtserialport,chardev=results,name=results".into(),
    ]
}

/// Boots the dom0 to a root shell with the serial line on this terminal.
pub fn shell(choice: &Choice, hypervisor: Hypervisor) -> Result<()> {
    let machine = choice.machine(hypervisor, &scenario::for_a_shell()?, &[])?;
    let mut command = machine.command()?;
    command.args(["-chardev", "stdio,id=tty,mux=on,signal=off", "-serial", "chardev:tty"]);
    println!("Ctrl-a x ends the machine; Ctrl-a b sends a break.");
    command.stdin(Stdio::inherit()).status().context("cannot start QEMU")?;
    Ok(())
}
